/* Answers, logs, the call's particulars, and the worker's life. Part of hearth_worker.h, which
 * includes it. */
#ifndef HEARTH_WORKER_H
#include "hearth_worker.h"
#elif !defined(HEARTH_WORKER_RUN_H)
#define HEARTH_WORKER_RUN_H

/* Sends a part of an answer in frames, waiting for credit where it has to. `more`: other parts
 * follow; `flags` are for the REPLY frame, `end_flags` for the last CHUNK. The lock is held, but
 * not while it waits. */
static inline void hearth_send_(hearth_call* call, const char* data, size_t size, int more,
                                int flags, int end_flags, uint32_t micros) {
  hearth_worker_* w = call->worker;
  int metered = more || size > HEARTH_PART_MAX_ || call->state != HEARTH_FRESH_;
  size_t at = 0;
  do {
    size_t part = size - at;
    int bits;
    while (metered && part && call->credit <= 0) {
      hearth_flush_(w);
      hearth_read_(w, 1);
    }
    if (metered && part > HEARTH_PART_MAX_ - 4) part = HEARTH_PART_MAX_ - 4;
    if (metered && (int64_t)part > call->credit) part = (size_t)call->credit;
    bits = more || at + part < size ? HEARTH_MORE_ : 0;
    if (call->state == HEARTH_FRESH_) {
      hearth_put_(w, 0x84, (uint8_t)(bits | flags), 0, call->id, &micros, data + at, part);
      call->state = HEARTH_STREAMING_;
    } else {
      hearth_put_(w, 0x85, (uint8_t)(bits ? bits : end_flags), 0, call->id, NULL, data + at, part);
    }
    call->credit -= (int64_t)part;
    at += part;
  } while (at < size);
  if (!more) call->state = HEARTH_ANSWERED_;
}

/* Takes `size` bytes from the bucket if `reserve` bytes stay in it. */
static inline int hearth_take_(hearth_worker_* w, size_t size, double reserve) {
  uint64_t now = hearth_now_us_();
  w->log_tokens += (double)(now - w->log_at_us) * w->log_rate / 1e6;
  w->log_at_us = now;
  if (w->log_tokens > w->log_burst) w->log_tokens = w->log_burst;
  if (w->log_tokens - (double)size < reserve) return 0;
  w->log_tokens -= (double)size;
  return 1;
}

/* Tells of dropped lines: once a period while a call goes on, and with its answer. Markers are paid
 * for as well; a count that finds even the reserve used up waits for the next answer. */
static inline void hearth_marker_(hearth_worker_* w, const hearth_call* call) {
  char text[64];
  int size = snprintf(text, sizeof text, "[hearth] %llu log lines dropped\n",
                      (unsigned long long)w->log_dropped);
  if (!hearth_take_(w, (size_t)size, 0)) return;
  w->log_marked_us = w->log_at_us;
  w->log_dropped = 0;
  hearth_put_(w, 0x88, 0, 0, call ? call->id : NULL, NULL, text, (size_t)size);
}

static inline uint32_t hearth_elapsed_(const hearth_call* call) {
  return (uint32_t)(hearth_now_us_() - call->start_us);
}

static inline int hearth_answer_(hearth_call* call, const char* data, size_t size, int flags) {
  hearth_worker_* w = call->worker;
  uint32_t micros = hearth_elapsed_(call);
  if (call->state != HEARTH_FRESH_) return -1;
  hearth_lock_(w);
  if (w->log_dropped) hearth_marker_(w, call);
  hearth_send_(call, data, size, 0, flags, 0, micros);
  hearth_unlock_(w);
  return 0;
}

/* Writes `text` as the inside of a JSON string; returns the bytes written, at most `room`. */
static inline size_t hearth_escape_(char* to, size_t room, const char* text) {
  size_t used = 0;
  for (; *text && used + 6 <= room; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\') {
      to[used++] = '\\';
      to[used++] = (char)c;
    } else if (c < 0x20) {
      used += (size_t)snprintf(to + used, 7, "\\u%04x", c);
    } else {
      to[used++] = (char)c;
    }
  }
  return used;
}

/* Error JSON into a buffer of HEARTH_PART_MAX_ / 2 bytes; a longer message is cut. */
static inline size_t hearth_error_json_(char* to, const char* type, const char* message) {
  const size_t room = HEARTH_PART_MAX_ / 2;
  static const char lead[] = "{\"errorMessage\":\"", middle[] = "\",\"errorType\":\"",
                    end[] = "\",\"stackTrace\":[]}";
  size_t used = sizeof lead - 1;
  memcpy(to, lead, used);
  used += hearth_escape_(to + used, room - 512, message ? message : "");
  if (message && strlen(message) > room / 8) /* perhaps cut: whole UTF-8 sequences only */
    while (used > sizeof lead && (unsigned char)to[used - 1] & 0x80) used--;
  memcpy(to + used, middle, sizeof middle - 1);
  used += sizeof middle - 1;
  used += hearth_escape_(to + used, 256, type ? type : "Error");
  memcpy(to + used, end, sizeof end - 1);
  return used + sizeof end - 1;
}

static inline int hearth_reply_error(hearth_call* call, const char* type, const char* message) {
  char* text = (char*)hearth_alloc_(HEARTH_PART_MAX_ / 2);
  int result =
      hearth_answer_(call, text, hearth_error_json_(text, type, message), HEARTH_IS_ERROR_);
  free(text);
  return result;
}

static inline int hearth_reply(hearth_call* call, const void* data, size_t size) {
  if (size > HEARTH_REPLY_MAX_)
    return hearth_reply_error(
        call, "Function.ResponseSizeTooLarge",
        "Response payload size exceeded maximum allowed payload size (6291556 bytes).");
  return hearth_answer_(call, (const char*)data, size, 0);
}

static inline int hearth_stream_write(hearth_call* call, const void* data, size_t size) {
  if (call->state == HEARTH_ANSWERED_) return -1;
  if (size == 0) return 0;
  hearth_lock_(call->worker);
  hearth_send_(call, (const char*)data, size, 1, HEARTH_STREAM_, 0, 0);
  hearth_flush_(call->worker);
  hearth_unlock_(call->worker);
  return 0;
}

static inline int hearth_stream_end(hearth_call* call) {
  if (call->state == HEARTH_ANSWERED_) return -1;
  hearth_lock_(call->worker);
  if (call->worker->log_dropped) hearth_marker_(call->worker, call);
  hearth_send_(call, "", 0, 0, HEARTH_STREAM_, 0, 0);
  hearth_unlock_(call->worker);
  return 0;
}

static inline int hearth_stream_fail(hearth_call* call, const char* type, const char* message) {
  char* text;
  if (call->state == HEARTH_ANSWERED_) return -1;
  if (call->state == HEARTH_FRESH_) return hearth_reply_error(call, type, message);
  text = (char*)hearth_alloc_(HEARTH_PART_MAX_ / 2);
  hearth_lock_(call->worker);
  if (call->worker->log_dropped) hearth_marker_(call->worker, call);
  /* Error JSON goes beside the credit, in one frame: it is the last that comes. */
  hearth_put_(call->worker, 0x85, HEARTH_IS_ERROR_, 0, call->id, NULL, text,
              hearth_error_json_(text, type, message));
  call->state = HEARTH_ANSWERED_;
  hearth_unlock_(call->worker);
  free(text);
  return 0;
}

/* -- logs -- */

static inline hearth_worker_** hearth_only_worker_(void) {
  static hearth_worker_* worker; /* for hearth_log(NULL, ...) */
  return &worker;
}

static inline void hearth_log_line_(hearth_worker_* w, const hearth_call* call, int level,
                                    const char* text, size_t size) {
  const uint8_t* id = call ? call->id : NULL;
  const double most = HEARTH_MARKER_RESERVE_;
  double reserve = w->log_burst / 2 < most ? w->log_burst / 2 : most;
  if (!hearth_take_(w, size, reserve)) {
    w->log_dropped++;
    return;
  }
  if (w->log_dropped && w->log_at_us - w->log_marked_us >= HEARTH_MARKER_US_)
    hearth_marker_(w, call);
  while (size > HEARTH_LINE_MAX_) {
    size_t cut = HEARTH_LINE_MAX_;
    while (cut > 1 && ((unsigned char)text[cut] & 0xC0) == 0x80)
      cut--; /* never inside a UTF-8 sequence */
    hearth_put_(w, 0x88, HEARTH_MORE_, (uint16_t)level, id, NULL, text, cut);
    text += cut;
    size -= cut;
  }
  hearth_put_(w, 0x88, 0, (uint16_t)level, id, NULL, text, size);
}

static inline void hearth_log(hearth_call* call, int level, const char* format, ...) {
  hearth_worker_* w = call ? call->worker : *hearth_only_worker_();
  va_list list;
  int size;
  char *text, *line;
  if (!w) return;
  va_start(list, format);
  size = vsnprintf(NULL, 0, format, list);
  va_end(list);
  if (size < 0) return;
  text = (char*)hearth_alloc_((size_t)size + 2);
  va_start(list, format);
  vsnprintf(text, (size_t)size + 1, format, list);
  va_end(list);
  if (size == 0 || text[size - 1] != '\n') text[size++] = '\n';
  hearth_lock_(w);
  for (line = text; line < text + size;) {
    char* end = (char*)memchr(line, '\n', (size_t)(text + size - line));
    hearth_log_line_(w, call, level, line, (size_t)(end - line) + 1);
    line = end + 1;
  }
  if (!call) hearth_flush_(w);
  hearth_unlock_(w);
  free(text);
}

/* -- about the call -- */

static inline const char* hearth_request_id(const hearth_call* call) { return call->request_text; }
static inline int hearth_is_http(const hearth_call* call) {
  return (call->flags & HEARTH_HTTP_) != 0;
}
static inline const char* hearth_extension(const hearth_call* call) {
  return call->extension ? call->extension : "";
}
static inline const char* hearth_function_name(const hearth_call* call) {
  return call->worker->name ? call->worker->name : "";
}
static inline const char* hearth_function_version(const hearth_call* call) {
  return call->worker->version ? call->worker->version : "";
}
static inline const char* hearth_function_arn(const hearth_call* call) {
  return call->worker->arn ? call->worker->arn : "";
}

static inline int64_t hearth_remaining_ms(const hearth_call* call) {
  uint64_t now = hearth_now_us_();
  return call->deadline_us > now ? (int64_t)((call->deadline_us - now) / 1000u) : 0;
}

static inline void hearth_request_text_(hearth_call* call) {
  static const char digits[] = "0123456789abcdef";
  char* to = call->request_text;
  int i;
  for (i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *to++ = '-';
    *to++ = digits[call->request_id[i] >> 4];
    *to++ = digits[call->request_id[i] & 15];
  }
  *to = 0;
}

/* -- life -- */

static inline void hearth_init_error_(hearth_worker_* w, const char* message) {
  char* text = (char*)hearth_alloc_(HEARTH_PART_MAX_ / 2);
  hearth_put_(w, 0x83, 0, 0, NULL, NULL, text,
              hearth_error_json_(text, "Runtime.InitError", message));
  hearth_flush_(w);
  free(text);
}

/* HELLO, INIT, READY. Returns 0, or -1 when the worker is to end with *status. The lock is held,
 * but not while `init` runs. */
static inline int hearth_start_(hearth_worker_* w, hearth_init_fn init, void* user, int* status) {
  static const char hello[] = "{\"protocol\":1,\"runtime\":\"native\",\"version\":\"1\"}";
  const char* problem = NULL;
  uint64_t begin;
  uint8_t took[4];
  hearth_put_(w, 0x81, 0, 0, NULL, NULL, hello, sizeof hello - 1);
  hearth_flush_(w);
  while (!w->init) {
    *status = 0;
    if (w->stopping) return -1;
    hearth_read_(w, 1);
    hearth_flush_(w);
  }
  *status = 1;
  begin = hearth_now_us_();
  hearth_clear_env_();
  if (!hearth_json_members_(hearth_space_(w->init), hearth_init_member_, w))
    problem = "INIT is not a JSON object";
  free(w->init);
  w->init = NULL;
  tzset();
  w->log_tokens = w->log_burst;
  if (!problem && w->root && chdir(w->root) != 0) problem = "unable to enter the function's folder";
  if (!problem && init) {
    hearth_unlock_(w);
    problem = init(user);
    hearth_lock_(w);
  }
  if (problem) {
    hearth_init_error_(w, problem);
    return -1;
  }
  hearth_put_u32_(took, (uint32_t)(hearth_now_us_() - begin));
  hearth_put_(w, 0x82, 0, 0, NULL, NULL, took, sizeof took);
  hearth_flush_(w);
  *status = 0;
  return 0;
}

/* Runs calls until STOP. The lock is held, but not while the handler runs. A call is claimed under
 * it, so that RECALL can't have it too. */
static inline void hearth_serve_(hearth_worker_* w, hearth_handler_fn handler, void* user) {
  for (;;) {
    hearth_call* call = w->head;
    if (!call) {
      hearth_flush_(w);
      if (w->head) continue;
      if (w->stopping) return;
      hearth_read_(w, 1);
      continue;
    }
    w->head = call->next;
    if (!w->head) w->tail = NULL;
    w->running = call;
    call->credit = HEARTH_FIRST_CREDIT_;
    call->start_us = hearth_now_us_();
    if (w->out_size && call->start_us - w->out_since_us > HEARTH_AGE_US_) hearth_flush_(w);
    hearth_unlock_(w);
    hearth_request_text_(call);
    handler(call, call->event, call->size, user);
    if (call->state == HEARTH_FRESH_)
      hearth_reply(call, "null", 4);
    else if (call->state == HEARTH_STREAMING_)
      hearth_stream_end(call);
    hearth_lock_(w);
    w->running = NULL;
    if (w->head &&
        hearth_elapsed_(call) >
            HEARTH_AGE_US_) { /* the next may take long too, and a RECALL may have come for it */
      hearth_flush_(w);
      hearth_read_(w, 0);
    }
    hearth_free_call_(call);
  }
}

static inline int hearth_worker_run(hearth_handler_fn handler, void* user) {
  return hearth_worker_run_init(NULL, handler, user);
}

static inline int hearth_worker_run_init(hearth_init_fn init, hearth_handler_fn handler,
                                         void* user) {
  hearth_worker_* w = (hearth_worker_*)hearth_alloc_(sizeof *w);
  int status = 0;
  memset(w, 0, sizeof *w);
  w->in = (uint8_t*)hearth_alloc_(HEARTH_BUFFER_);
  w->out = (uint8_t*)hearth_alloc_(HEARTH_BUFFER_);
  w->log_rate = 1048576;
  w->log_burst = 4194304;
  *hearth_only_worker_() = w;
#ifndef HEARTH_WORKER_NO_THREAD
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->wake, NULL);
  {
    pthread_t guard;
    sigset_t all, before;
    sigfillset(&all); /* signals are the program's: they go to its own threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&guard, NULL, hearth_guard_, w) == 0) pthread_detach(guard);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
  }
#endif
  hearth_lock_(w);
  if (hearth_start_(w, init, user, &status) == 0) hearth_serve_(w, handler, user);
  hearth_flush_(w);
  /* What the worker holds stays where it is: the second thread may still look at it until the
   * process ends. */
  if (w->broken) status = 1;
  hearth_unlock_(w);
  return status;
}

#endif
