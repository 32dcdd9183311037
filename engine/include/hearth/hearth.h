/* libhearth: run functions from inside a C or C++ program.
 *
 * An engine pairs events with functions. A function is a folder of Python, JavaScript or native
 * code, which runs in confined worker processes of its own; or a C function of the host itself,
 * under the same names, queues, limits and metrics.
 *
 * Conventions
 *  1. Types are opaque. What a function gives out through an `out` parameter is the caller's, and is
 *     given back with the matching _free, _release or _close.
 *  2. hearth_error_t * as a result: NULL is success; else the caller owns the error
 *     (hearth_error_free). Outputs are untouched then, unless a function says otherwise. There is no
 *     "last error".
 *  3. Structures that you pass begin with struct_size: set it to sizeof the structure, clear the
 *     rest to zero (HEARTH_INIT does both), set what you need. Zero means the default everywhere. A
 *     structure that the library passes to you begins with struct_size as well: fields behind it are
 *     of a later version.
 *  4. Pointers in arguments are borrowed for the call. hearth_bytes_t never owns; `data` may be NULL
 *     when `size` is 0. Strings are UTF-8 and end in NUL.
 *  5. Functions marked THREAD-SAFE may be called from any thread at any time between open and close;
 *     the others from the engine's thread or from the one that opened it, one at a time.
 *  6. Callbacks run on the engine's thread: the library's own, or the one inside
 *     hearth_engine_step() when the host drives. Each that is promised runs exactly once, never
 *     inside the call that registered it, and has finished when hearth_engine_close() returns. They
 *     must return quickly: while one runs, nothing else does. They must not throw, longjmp or end
 *     their thread.
 *  7. Times are milliseconds, sizes are bytes. Every wait has a limit.
 *  8. The library changes nothing of its host: no uid, no signal handler or mask of another thread,
 *     no SIGCHLD, no dumpable flag, no umask, no working folder, no environment, no stdio. It never
 *     forks the host. An engine has one child process, the spawner, which ends when the engine
 *     closes; opening tries what the machine allows in another. Their ends raise SIGCHLD as those
 *     of any child. A host that waits for any child, in a handler or a thread, may take them; one
 *     that ignores SIGCHLD is served as well. Workers are the spawner's children and never seen.
 *     The library's threads block all signals.
 *  9. After a fork of the host the engine is the parent's alone: the child may exec or _exit, and
 *     calls no function of the library on the parent's handles.
 *
 * This is version 1 of the binary interface. It grows at the ends of structures and by new
 * functions only.
 */
/* clang-format off: comments stand beside the fields. */
#ifndef HEARTH_HEARTH_H
#define HEARTH_HEARTH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HEARTH_API __attribute__((visibility("default")))
#else
#define HEARTH_API
#endif

#define HEARTH_ABI_VERSION 1u

/* Clears a structure and sets its struct_size: hearth_options_t options; HEARTH_INIT(&options); */
#define HEARTH_INIT(structure) hearth_init_struct((structure), (uint32_t)sizeof *(structure))

typedef struct hearth_engine hearth_engine_t;
typedef struct hearth_error hearth_error_t;
typedef struct hearth_reply hearth_reply_t;
typedef struct hearth_call hearth_call_t;               /* a call that the host has submitted */
typedef struct hearth_incoming hearth_incoming_t;       /* a call that a host function has to answer */
typedef struct { const void *data; size_t size; } hearth_bytes_t;

/* THREAD-SAFE, needs no engine. The version of the binary interface, and "0.1.0". */
HEARTH_API uint32_t hearth_abi_version(void);
HEARTH_API const char *hearth_version(void);
HEARTH_API void hearth_init_struct(void *structure, uint32_t size);

/* ---- errors ------------------------------------------------------------------------------------
 * Readable from any thread until they are freed. The texts live as long as the error. NULL, which
 * means success, has the texts "" and the numbers 0. */

/* A stable name such as "queue_full", and its number; the full list is in the manual. */
HEARTH_API const char *hearth_error_name(const hearth_error_t *error);
HEARTH_API uint32_t hearth_error_code(const hearth_error_t *error);
/* What happened and what to do, for people. */
HEARTH_API const char *hearth_error_message(const hearth_error_t *error);
/* The HTTP status that the same error has there. */
HEARTH_API uint32_t hearth_error_http_status(const hearth_error_t *error);
/* 1 when the same call may succeed later, unchanged. */
HEARTH_API int hearth_error_retryable(const hearth_error_t *error);
/* NULL is ignored. */
HEARTH_API void hearth_error_free(hearth_error_t *error);

/* ---- opening and closing ----------------------------------------------------------------------- */

enum {
  /* The host drives: hearth_engine_fd() and hearth_engine_step(), on the thread that opened it.
   * Without this the engine runs on a thread of its own. */
  HEARTH_HOST_DRIVEN = 1u << 0,
  /* Permits sandbox "off": functions run unconfined. */
  HEARTH_I_KNOW_THIS_IS_UNSAFE = 1u << 1
};

enum { HEARTH_LOG_DEBUG = 1, HEARTH_LOG_INFO = 2, HEARTH_LOG_WARNING = 3, HEARTH_LOG_ERROR = 4 };

/* What the engine says of itself. From any thread of the library, several at once. `text` is not
 * NUL-terminated. */
typedef void (*hearth_log_fn)(void *ctx, int level, const char *area, hearth_bytes_t text);

/* A line that a function wrote. On the engine's thread. `level`: 0 = plain output, else
 * HEARTH_LOG_*; `request_id`: 36 characters and NUL, or NULL when no call was running. `more`: the
 * line goes on in the next one of this function. */
typedef struct hearth_log_line {
  uint32_t struct_size;
  int32_t level;
  const char *function;
  const char *request_id;
  hearth_bytes_t text;
  int32_t more;
} hearth_log_line_t;
typedef void (*hearth_function_log_fn)(void *ctx, const hearth_log_line_t *line);

typedef struct hearth_options {
  uint32_t struct_size;
  uint32_t flags;
  /* A hearth.yaml, as a path or as text; at most one of the two. NULL: defaults. */
  const char *config_path;
  const char *config_yaml;
  /* Where functions and logs are kept, absolute; made if it is missing. NULL: what the
   * configuration names, else a folder of this engine alone below TMPDIR or /tmp, which closing
   * removes, and the next start of an engine when its host was killed. */
  const char *state_dir;
  /* "127.0.0.1:0": also serve HTTP there. NULL: no listener, whatever the configuration says. */
  const char *listen;
  /* "auto", "strict", "user", "degraded", "off". NULL: what the configuration says. */
  const char *sandbox;
  hearth_log_fn log;
  void *log_ctx;
  int32_t log_level; /* the least that is told; 0: what the configuration says, by default INFO */
  uint32_t reserved;
  hearth_function_log_fn function_log;
  void *function_log_ctx;
  /* Ends with HEARTH_ABI_VERSION 1. */
} hearth_options_t;

/* Opens an engine, which blocks for some tens of milliseconds. `options` may be NULL.
 * Errors: config_invalid, state_unusable, sandbox_unavailable, runtime_unavailable,
 * listen_failed, listen_not_allowed, store_failed, io_failed, would_deadlock (in a callback). */
HEARTH_API hearth_error_t *hearth_engine_open(const hearth_options_t *options, hearth_engine_t **out);

/* THREAD-SAFE. Refuses new calls from now on; those in flight go on, for at most
 * limits.drain_timeout of the configuration. Returns at once. */
HEARTH_API void hearth_engine_drain(hearth_engine_t *engine);

/* Drains for at most `drain_ms` (and limits.drain_timeout), ends the calls that are left with shutting_down, and frees the
 * engine and all of its processes, in every case but one: would_deadlock, from inside a callback,
 * changes nothing. Not to be called while another thread is inside a function of this engine.
 * Handles of calls and replies stay valid and must still be released. NULL is ignored. */
HEARTH_API hearth_error_t *hearth_engine_close(hearth_engine_t *engine, uint64_t drain_ms);

/* The address that is listened on, with its real port; NULL without one. Valid until close. */
HEARTH_API const char *hearth_engine_address(const hearth_engine_t *engine);
/* "strict", "user", "degraded" or "off": what the functions of this engine run in. */
HEARTH_API const char *hearth_engine_sandbox(const hearth_engine_t *engine);

/* ---- a host with a loop of its own -------------------------------------------------------------- */

/* A descriptor that is readable whenever hearth_engine_step() has something to do, due timers
 * included: for epoll, poll, asio, libuv or glib. Level-triggered; only to be watched. -1 when the
 * engine has a thread of its own. Valid until close. */
HEARTH_API int hearth_engine_fd(const hearth_engine_t *engine);

/* Does what there is to do, and waits at most `max_ms` for it if there is nothing; 0 never waits.
 * Callbacks run inside. Errors: would_deadlock (from inside a callback), not_supported (the engine
 * has a thread of its own), wrong_thread, spawner_lost (functions can't run any more: close). */
HEARTH_API hearth_error_t *hearth_engine_step(hearth_engine_t *engine, uint64_t max_ms);

/* ---- functions ---------------------------------------------------------------------------------- */

typedef struct hearth_file {
  uint32_t struct_size;
  uint32_t mode; /* 0 = 0644; an executable needs 0755 */
  const char *path; /* below the function's folder, with '/' */
  hearth_bytes_t content;
} hearth_file_t;

/* A function's code and manifest: a folder, or files from memory. */
typedef struct hearth_source {
  uint32_t struct_size;
  uint32_t file_count;
  const char *folder;        /* NULL: `files` hold the code */
  const hearth_file_t *files;
  const char *manifest_path; /* a function.yaml elsewhere; NULL: the folder's own, if it has one */
  const char *manifest_yaml; /* or its text; wins over every file */
  const char *name;          /* wins over the manifest's; files without a manifest need it */
} hearth_source_t;

/* THREAD-SAFE, blocks for at most `timeout_ms` (0 = 30,000). Creates the function or replaces its
 * code and configuration. When it returns, new calls and those that wait go to the new revision,
 * and a host function of this name is gone: so a function moves out of the host's process without
 * its callers noticing. `revision_out` (64 characters and NUL; may be NULL) gets the revision: the
 * same for the same code and configuration. After timed_out nothing is changed, now or later,
 * unless the message says that it was begun: then the change was being written when the time ran
 * out, and hearth_engine_functions() tells whether it came about. Errors:
 * manifest_invalid, invalid_parameter, archive_invalid, unpack_failed, runtime_unavailable,
 * disk_full, io_failed, sandbox_unavailable, store_busy, timed_out, would_deadlock, shutting_down.
 */
HEARTH_API hearth_error_t *hearth_function_load(hearth_engine_t *engine,
                                                const hearth_source_t *source, uint64_t timeout_ms,
                                                char revision_out[65]);

/* THREAD-SAFE, blocks likewise. Removes a host function, which uncovers a loaded one of the same
 * name; else the loaded one. Without either left, calls that wait end with function_unknown. Those
 * that run go on. Errors: function_unknown, timed_out, would_deadlock. */
HEARTH_API hearth_error_t *hearth_function_remove(hearth_engine_t *engine, const char *name,
                                                  uint64_t timeout_ms);

/* A function of the host: C or C++ code in this process, for code that you trust. Runs on the
 * engine's thread; answers `call` exactly once, in here or later from any thread, with
 * hearth_incoming_reply() or hearth_incoming_fail(). `event` is valid until then. */
typedef void (*hearth_handler_fn)(void *ctx, hearth_incoming_t *call, hearth_bytes_t event);

typedef struct hearth_host_function {
  uint32_t struct_size;
  uint32_t concurrency; /* calls that run at once; 0 = 1 */
  const char *name;
  hearth_handler_fn handler;
  void *ctx;
  /* Runs once, on the engine's thread, when no call of `handler` will come any more; not at all
   * when defining fails, but for timed_out: then it runs in every case, at the latest when the
   * engine closes. May be NULL. */
  void (*on_removed)(void *ctx);
  uint64_t timeout_ms;  /* 0 = 3,000. A call that passes it has ended for its caller. */
  uint32_t queue;       /* calls that may wait; 0 = limits.queue */
  uint32_t reserved;
} hearth_host_function_t;

/* THREAD-SAFE, blocks for at most `timeout_ms` (0 = 30,000). Defines or replaces a function of the
 * host. It is not kept in the state folder, and covers a loaded function of the same name: calls
 * move to it. Errors: invalid_parameter, would_deadlock, timed_out, shutting_down. */
HEARTH_API hearth_error_t *hearth_function_define(hearth_engine_t *engine,
                                                  const hearth_host_function_t *function,
                                                  uint64_t timeout_ms);

/* THREAD-SAFE, all of these. They end the call: it must not be used afterwards. A call whose time
 * has passed, or whose engine closes, may still be answered; the answer is dropped. */
HEARTH_API void hearth_incoming_reply(hearth_incoming_t *call, hearth_bytes_t reply);
/* An error of the function: `type` and `message` become Lambda's errorType and errorMessage. */
HEARTH_API void hearth_incoming_fail(hearth_incoming_t *call, const char *type, const char *message);
/* THREAD-SAFE. A part of the reply, ahead of hearth_incoming_reply(), which gives the last one. */
HEARTH_API void hearth_incoming_write(hearth_incoming_t *call, hearth_bytes_t part);
/* On the engine's thread inside the handler, or on the thread that answers. */
HEARTH_API const char *hearth_incoming_request_id(const hearth_incoming_t *call); /* 36 characters */
HEARTH_API uint64_t hearth_incoming_remaining_ms(const hearth_incoming_t *call);

/* ---- calls -------------------------------------------------------------------------------------- */

typedef struct hearth_request {
  uint32_t struct_size;
  uint32_t flags;           /* HEARTH_WANT_LOG_TAIL, HEARTH_HTTP_EVENT */
  const char *function;
  hearth_bytes_t payload;   /* JSON; copied */
  uint64_t timeout_ms;      /* how long the caller waits, queueing included; 0 = no limit of its own */
  const char *client_context_json; /* context.client_context of the handler; may be NULL */
} hearth_request_t;

enum {
  HEARTH_WANT_LOG_TAIL = 1u << 0, /* the last 4 KiB that the call wrote, in the outcome */
  HEARTH_HTTP_EVENT = 1u << 1     /* the payload has the API Gateway v2.0 shape */
};

enum {
  HEARTH_REPLY = 0,         /* `payload` is the function's reply */
  HEARTH_FUNCTION_ERROR = 1,/* `payload` is the error JSON of the function, as in Lambda */
  HEARTH_PLATFORM_ERROR = 2 /* no payload: `error_name` and `error_message` say what happened */
};

/* How a call ended. Everything in it is valid during the callback only, or as long as the reply
 * that it is asked of. */
typedef struct hearth_outcome {
  uint32_t struct_size;
  int32_t kind;
  hearth_bytes_t payload;     /* empty when parts were delivered to on_part */
  const char *error_name;     /* "" for a reply */
  hearth_bytes_t error_message;
  uint32_t error_code;
  uint32_t error_http_status;
  hearth_bytes_t log_tail;
  const char *request_id;     /* 36 characters and NUL */
  const char *revision;       /* that ran or would have, 64 characters; "" when there is none */
  uint64_t exec_us;           /* the handler's time */
  uint64_t init_us;           /* of the worker's start, when `cold` */
  uint64_t memory_max_bytes;  /* the worker's peak, or what its sandbox held; 0 = not known */
  int32_t cold;               /* 1: the call waited for a worker to start */
  int32_t retryable;          /* of the error */
} hearth_outcome_t;

typedef void (*hearth_done_fn)(void *ctx, const hearth_outcome_t *outcome);
/* A part of a reply that is streamed or large, in order, before `done`. */
typedef void (*hearth_part_fn)(void *ctx, hearth_bytes_t part);

/* THREAD-SAFE. Submits a call and returns; `done` runs once it has ended, in whatever way. With
 * `call_out` (may be NULL) the call can be cancelled; release it in every case.
 * Errors, and then `done` never runs: calls_full, buffers_full (too much is on its way to the
 * engine: retry), invalid_parameter. On the engine's thread also what the queue refuses:
 * function_unknown, queue_full, shutting_down; from other threads these end the call. */
HEARTH_API hearth_error_t *hearth_invoke_async(hearth_engine_t *engine,
                                               const hearth_request_t *request, hearth_done_fn done,
                                               void *ctx, hearth_call_t **call_out);

/* The same, with the reply in parts as they come: `part` may run any number of times before `done`.
 * A reply that comes whole is given to `done` alone. limits.reply does not hold for it. */
HEARTH_API hearth_error_t *hearth_invoke_stream(hearth_engine_t *engine,
                                                const hearth_request_t *request,
                                                hearth_part_fn part, hearth_done_fn done, void *ctx,
                                                hearth_call_t **call_out);

/* THREAD-SAFE. The caller does not wait any more: `done` runs with the platform error `cancelled`,
 * unless the call has ended already. A call that waits is dropped; one that runs is told to stop,
 * and its reply is thrown away. NULL is ignored. */
HEARTH_API void hearth_call_cancel(hearth_call_t *call);
/* Does not cancel. NULL is ignored. */
HEARTH_API void hearth_call_release(hearth_call_t *call);

/* THREAD-SAFE, blocks until the call has ended, at most request->timeout_ms when that is set; then
 * the call ends with deadline_exceeded. On success the function was reached and `out` tells the
 * outcome, which may be an error of the function. Platform errors are returned. With
 * HEARTH_HOST_DRIVEN, on the driving thread and outside callbacks, it drives the engine meanwhile.
 * Errors: those of hearth_invoke_async, every platform error, would_deadlock (in a callback). */
HEARTH_API hearth_error_t *hearth_invoke(hearth_engine_t *engine, const hearth_request_t *request,
                                         hearth_reply_t **out);

/* What a blocking call returned. Valid until the reply is released; survives its engine. */
HEARTH_API const hearth_outcome_t *hearth_reply_outcome(const hearth_reply_t *reply);
HEARTH_API hearth_bytes_t hearth_reply_payload(const hearth_reply_t *reply);
/* 1 when the function failed: the payload is its error JSON. */
HEARTH_API int hearth_reply_is_error(const hearth_reply_t *reply);
HEARTH_API void hearth_reply_release(hearth_reply_t *reply);

/* ---- what the engine tells ---------------------------------------------------------------------- */

/* A text that the library made; free it with hearth_text_free(), which ignores NULL. */
typedef struct hearth_text hearth_text_t;
HEARTH_API const char *hearth_text_data(const hearth_text_t *text); /* ends in NUL */
HEARTH_API size_t hearth_text_size(const hearth_text_t *text);      /* without it */
HEARTH_API void hearth_text_free(hearth_text_t *text);

/* THREAD-SAFE, blocks for at most `timeout_ms` (0 = 30,000). Errors: timed_out, would_deadlock. */
/* All metrics, in the Prometheus text format. */
HEARTH_API hearth_error_t *hearth_engine_metrics(hearth_engine_t *engine, uint64_t timeout_ms,
                                                 hearth_text_t **out);
/* The functions, as a JSON array of objects with name, runtime, revision, state. */
HEARTH_API hearth_error_t *hearth_engine_functions(hearth_engine_t *engine, uint64_t timeout_ms,
                                                   hearth_text_t **out);
/* The last `lines` lines (0 = 100, at most 10,000) of a function's log, as it is shown to people.
 * Errors: function_unknown too. */
HEARTH_API hearth_error_t *hearth_function_logs(hearth_engine_t *engine, const char *function,
                                                uint32_t lines, uint64_t timeout_ms,
                                                hearth_text_t **out);

#ifdef __cplusplus
}
#endif
#endif
