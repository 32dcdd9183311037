/* Hearth's library for native functions: header-only, C99, also C++. It speaks ../protocol.md on
 * file descriptor 3.
 *
 *   #include "hearth_worker.h"
 *   static void handle(hearth_call *call, const char *event, size_t size, void *user) {
 *     hearth_reply(call, "{\"message\":\"Hello\"}", 19);
 *   }
 *   int main(void) { return hearth_worker_run(handle, NULL); }
 *
 * Include it before any other header, in one source file (or compile with
 * -D_POSIX_C_SOURCE=200809L). README.md is the guide. The three files beside it belong to it. Names
 * that end in an underscore are private. Calls run one at a time on the thread that called
 * hearth_worker_run(). A second thread, which sleeps while nothing runs, answers the engine and
 * sends finished replies while a handler takes long; define HEARTH_WORKER_NO_THREAD to do without
 * it: then hearth_poll() does that, and a call that runs into its deadline without it is killed.
 */
#ifndef HEARTH_WORKER_H
#define HEARTH_WORKER_H

#if !defined(_POSIX_C_SOURCE) && !defined(_GNU_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifndef HEARTH_WORKER_NO_THREAD
#include <pthread.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What a program uses ---- */

typedef struct hearth_call hearth_call;

/* Runs one call. `event` is `size` bytes with a NUL behind them, valid until the function returns.
 * It answers once, by hearth_reply(), hearth_reply_error() or a stream; a handler that returns
 * without an answer has answered `null`. */
typedef void (*hearth_handler_fn)(hearth_call* call, const char* event, size_t size, void* user);

/* Runs once, when environment and working directory are the function's. NULL: ready; a text: the
 * reason why it can't serve. */
typedef const char* (*hearth_init_fn)(void* user);

enum {
  HEARTH_PLAIN = 0,
  HEARTH_DEBUG = 1,
  HEARTH_INFO = 2,
  HEARTH_WARNING = 3,
  HEARTH_ERROR = 4,
  HEARTH_CRITICAL = 5
};

/* Serves calls until the engine says stop. Returns the status for main() to return: 0 after a stop,
 * 1 when the engine is gone. */
static inline int hearth_worker_run(hearth_handler_fn handler, void* user);
static inline int hearth_worker_run_init(hearth_init_fn init, hearth_handler_fn handler,
                                         void* user);

/* About the call. Texts belong to the library and are valid until the handler returns. */
static inline const char* hearth_request_id(const hearth_call* call);
static inline int64_t hearth_remaining_ms(const hearth_call* call); /* 0 at least */
static inline int hearth_is_http(
    const hearth_call* call); /* the event has the API Gateway v2.0 shape */
static inline const char* hearth_extension(
    const hearth_call* call); /* JSON {"clientContext","traceId","arn"}, or "" */
static inline const char* hearth_function_name(const hearth_call* call);
static inline const char* hearth_function_version(const hearth_call* call);
static inline const char* hearth_function_arn(const hearth_call* call);

/* Answers. `data` is copied; it should be JSON. They return 0, or -1 if the call was answered
 * already. Handler's thread only. They may block while the engine passes a large reply on. */
static inline int hearth_reply(hearth_call* call, const void* data, size_t size);
static inline int hearth_reply_error(hearth_call* call, const char* type, const char* message);

/* A stream: any number of writes, then its end or its failure. The parts are passed on as they
 * come. */
static inline int hearth_stream_write(hearth_call* call, const void* data, size_t size);
static inline int hearth_stream_end(hearth_call* call);
static inline int hearth_stream_fail(hearth_call* call, const char* type, const char* message);

/* Logs one line (several, if there are newlines in it) for this call, or outside of any with NULL.
 * Any thread. Above the engine's rate lines are dropped and counted. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static inline void
hearth_log(hearth_call* call, int level, const char* format, ...);

/* For long handlers without the second thread: sends finished replies and answers the engine.
 * Cheap; every few ms will do. */
static inline void hearth_poll(hearth_call* call);

#include "hearth_worker_channel.h"
#include "hearth_worker_json.h"
#include "hearth_worker_run.h"

#ifdef __cplusplus
}
#endif
#endif
