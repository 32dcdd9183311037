/* Frames in, frames out, and the second thread. Part of hearth_worker.h, which includes it. */
#ifndef HEARTH_WORKER_H
#include "hearth_worker.h"
#elif !defined(HEARTH_WORKER_CHANNEL_H)
#define HEARTH_WORKER_CHANNEL_H

enum {
  HEARTH_FD_ = 3,
  HEARTH_HEADER_ = 16,
  HEARTH_CALL_FIXED_ = 24,
  HEARTH_FRAME_MAX_ = 131072,
  HEARTH_PART_MAX_ = 65536,
  HEARTH_FIRST_CREDIT_ = 262144,
  HEARTH_BUFFER_ = 262144,
  HEARTH_REPLY_MAX_ = 6 * 1024 * 1024 + 100, /* Lambda's limit, to the byte */
  HEARTH_LINE_MAX_ = 65536,
  HEARTH_AGE_US_ = 500, /* between calls, unsent bytes older than this are sent */
  HEARTH_GUARD_US_ =
      3000, /* the second thread looks this often: a finished reply waits 5 ms at most */
  HEARTH_GUARD_IDLE_ = 34, /* and sleeps for good after that many looks at an idle worker */
  HEARTH_MARKER_US_ = 1000000,
  HEARTH_MARKER_RESERVE_ = 1024, /* bytes of the burst that only markers may use */
  HEARTH_DEPTH_MAX_ = 64         /* of INIT's JSON */
};
enum {
  HEARTH_MORE_ = 1,
  HEARTH_IS_ERROR_ = 2,
  HEARTH_STREAM_ = 4,
  HEARTH_HTTP_ = 8,
  HEARTH_LAST_ = 16 /* never set here: a native worker ends at STOP only */
};
enum { HEARTH_FRESH_ = 0, HEARTH_STREAMING_ = 1, HEARTH_ANSWERED_ = 2 };

typedef struct hearth_worker_ hearth_worker_;

struct hearth_call {
  hearth_worker_* worker;
  hearth_call* next;
  uint8_t id[8];
  uint8_t flags;
  int state;
  uint64_t deadline_us;
  uint64_t start_us;
  int64_t credit; /* under the lock */
  uint8_t request_id[16];
  char request_text[37];
  char* extension;
  char* event;
  size_t size;
};

/* `lock` guards everything. A write holds it; a blocking read does not: `reading` gives `in` to the
 * reader meanwhile. */
struct hearth_worker_ {
#ifndef HEARTH_WORKER_NO_THREAD
  pthread_mutex_t lock;
  pthread_cond_t wake;
  int parked;
#endif
  int reading, stopping, broken;
  uint64_t serial; /* grows with each read of the main thread */
  uint8_t *in, *out;
  size_t in_size, out_size;
  uint64_t out_since_us;
  hearth_call *head, *tail, *running, *partial;
  char* init; /* INIT's payload, until the main thread takes it */
  char *name, *version, *arn, *root;
  double log_rate, log_burst, log_tokens;
  uint64_t log_at_us, log_dropped, log_marked_us;
};

static inline void hearth_lock_(hearth_worker_* w) {
#ifndef HEARTH_WORKER_NO_THREAD
  pthread_mutex_lock(&w->lock);
#else
  (void)w;
#endif
}

static inline void hearth_unlock_(hearth_worker_* w) {
#ifndef HEARTH_WORKER_NO_THREAD
  pthread_mutex_unlock(&w->lock);
#else
  (void)w;
#endif
}

static inline uint64_t hearth_now_us_(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static inline uint32_t hearth_u32_(const uint8_t* p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void hearth_put_u32_(uint8_t* p, uint32_t v) {
  p[0] = (uint8_t)v;
  p[1] = (uint8_t)(v >> 8);
  p[2] = (uint8_t)(v >> 16);
  p[3] = (uint8_t)(v >> 24);
}

static inline void* hearth_alloc_(size_t size) {
  void* p = malloc(size);
  if (!p) {
    static const char text[] = "hearth: out of memory\n";
    if (write(2, text, sizeof text - 1) < 0) _exit(1);
    _exit(1);
  }
  return p;
}

/* -- out, under the lock -- */

static inline void hearth_flush_(hearth_worker_* w) {
  size_t at = 0;
  while (at < w->out_size && !w->broken) {
    ssize_t n = send(HEARTH_FD_, w->out + at, w->out_size - at, MSG_NOSIGNAL);
    if (n > 0) {
      at += (size_t)n;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      struct pollfd p;
      p.fd = HEARTH_FD_;
      p.events = POLLOUT;
      p.revents = 0;
      poll(&p, 1, -1);
    } else if (errno != EINTR) {
      w->broken = 1;
    }
  }
  w->out_size = 0;
}

/* Queues one frame; `lead` is the execution time in front of a reply's bytes, or NULL. */
static inline void hearth_put_(hearth_worker_* w, uint8_t type, uint8_t flags, uint16_t aux,
                               const uint8_t* id, const uint32_t* lead, const void* data,
                               size_t size) {
  size_t payload = size + (lead ? 4 : 0);
  uint8_t* p;
  if (w->out_size + HEARTH_HEADER_ + payload > HEARTH_BUFFER_) hearth_flush_(w);
  if (w->out_size == 0) w->out_since_us = hearth_now_us_();
  p = w->out + w->out_size;
  hearth_put_u32_(p, (uint32_t)payload);
  p[4] = type;
  p[5] = flags;
  p[6] = (uint8_t)aux;
  p[7] = (uint8_t)(aux >> 8);
  if (id)
    memcpy(p + 8, id, 8);
  else
    memset(p + 8, 0, 8);
  p += HEARTH_HEADER_;
  if (lead) {
    hearth_put_u32_(p, *lead);
    p += 4;
  }
  if (size) memcpy(p, data, size);
  w->out_size += HEARTH_HEADER_ + payload;
}

/* -- in, under the lock -- */

static inline void hearth_free_call_(hearth_call* call) {
  if (!call) return;
  free(call->event);
  free(call->extension);
  free(call);
}

static inline void hearth_queue_(hearth_worker_* w, hearth_call* call) {
  call->event[call->size] = 0;
  call->next = NULL;
  if (w->tail)
    w->tail->next = call;
  else
    w->head = call;
  w->tail = call;
}

static inline void hearth_on_call_(hearth_worker_* w, const uint8_t* frame, size_t length) {
  const uint8_t* p = frame + HEARTH_HEADER_;
  size_t extension = (size_t)frame[6] | (size_t)frame[7] << 8;
  hearth_call* call;
  if (length < HEARTH_CALL_FIXED_ + extension) {
    w->broken = 1;
    return;
  }
  call = (hearth_call*)hearth_alloc_(sizeof *call);
  memset(call, 0, sizeof *call);
  call->worker = w;
  call->flags = frame[5];
  memcpy(call->id, frame + 8, 8);
  call->deadline_us = (uint64_t)hearth_u32_(p) | (uint64_t)hearth_u32_(p + 4) << 32;
  memcpy(call->request_id, p + 8, 16);
  p += HEARTH_CALL_FIXED_;
  if (extension) {
    call->extension = (char*)hearth_alloc_(extension + 1);
    memcpy(call->extension, p, extension);
    call->extension[extension] = 0;
  }
  call->size = length - HEARTH_CALL_FIXED_ - extension;
  call->event = (char*)hearth_alloc_(call->size + 1);
  memcpy(call->event, p + extension, call->size);
  if (call->flags & HEARTH_MORE_) {
    hearth_free_call_(w->partial);
    w->partial = call;
  } else {
    hearth_queue_(w, call);
  }
}

static inline void hearth_on_body_(hearth_worker_* w, const uint8_t* frame, size_t length) {
  hearth_call* call = w->partial;
  char* grown;
  if (!call || memcmp(call->id, frame + 8, 8) != 0)
    return; /* the rest of an event that was handed back */
  grown = (char*)realloc(call->event, call->size + length + 1);
  if (!grown) {
    w->broken = 1;
    return;
  }
  memcpy(grown + call->size, frame + HEARTH_HEADER_, length);
  call->event = grown;
  call->size += length;
  if (frame[5] & HEARTH_MORE_) return;
  w->partial = NULL;
  hearth_queue_(w, call);
}

static inline void hearth_on_recall_(hearth_worker_* w, const uint8_t* id) {
  hearth_call *before = NULL, *call;
  if (w->partial && memcmp(w->partial->id, id, 8) == 0) {
    call = w->partial;
    w->partial = NULL;
  } else {
    for (call = w->head; call && memcmp(call->id, id, 8) != 0; call = call->next) before = call;
    if (!call) return; /* started, or answered */
    if (before)
      before->next = call->next;
    else
      w->head = call->next;
    if (w->tail == call) w->tail = before;
  }
  hearth_put_(w, 0x87, 0, 0, id, NULL, NULL, 0);
  hearth_free_call_(call);
}

static inline void hearth_frame_(hearth_worker_* w, const uint8_t* frame, size_t length) {
  switch (frame[4]) {
    case 0x01:
      free(w->init);
      w->init = (char*)hearth_alloc_(length + 1);
      memcpy(w->init, frame + HEARTH_HEADER_, length);
      w->init[length] = 0;
      break;
    case 0x02:
      hearth_on_call_(w, frame, length);
      break;
    case 0x03:
      hearth_on_body_(w, frame, length);
      break;
    case 0x05:
      hearth_on_recall_(w, frame + 8);
      break;
    case 0x06:
      hearth_put_(w, 0x86, 0, (uint16_t)(frame[6] | frame[7] << 8), NULL, NULL, NULL, 0);
      break;
    case 0x07:
      if (length >= 4 && w->running && memcmp(w->running->id, frame + 8, 8) == 0)
        w->running->credit += hearth_u32_(frame + HEARTH_HEADER_);
      break;
    case 0x08:
      w->stopping = 1;
      break;
    default:
      break; /* CANCEL is a hint that this library doesn't take */
  }
}

static inline void hearth_parse_(hearth_worker_* w) {
  size_t at = 0;
  while (w->in_size - at >= HEARTH_HEADER_) {
    size_t length = hearth_u32_(w->in + at);
    if (length > HEARTH_FRAME_MAX_) {
      w->broken = 1;
      return;
    }
    if (w->in_size - at < HEARTH_HEADER_ + length) break;
    hearth_frame_(w, w->in + at, length);
    at += HEARTH_HEADER_ + length;
  }
  if (at && at < w->in_size) memmove(w->in, w->in + at, w->in_size - at);
  w->in_size -= at;
}

/* One read. Blocking ones give the lock up meanwhile. An engine that is gone ends the process:
 * nobody is there to hear anything. */
static inline void hearth_read_(hearth_worker_* w, int block) {
  ssize_t n;
  w->reading = block;
  if (block) hearth_unlock_(w);
  do {
    n = recv(HEARTH_FD_, w->in + w->in_size, HEARTH_BUFFER_ - w->in_size, block ? 0 : MSG_DONTWAIT);
    if (n < 0 && block && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      struct pollfd p;
      p.fd = HEARTH_FD_;
      p.events = POLLIN;
      p.revents = 0;
      poll(&p, 1, -1);
      errno = EINTR;
    }
  } while (n < 0 && errno == EINTR);
  if (block) hearth_lock_(w);
  w->reading = 0;
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
  if (n <= 0) _exit(1);
  w->in_size += (size_t)n;
  hearth_parse_(w);
  if (w->broken) _exit(1);
  if (block) {
    w->serial++;
#ifndef HEARTH_WORKER_NO_THREAD
    if (w->parked) {
      w->parked = 0;
      pthread_cond_signal(&w->wake);
    }
#endif
  }
}

#ifndef HEARTH_WORKER_NO_THREAD
/* The second thread. It acts when the main thread has read nothing since its last look and does not
 * wait in a read either. */
static inline void* hearth_guard_(void* argument) {
  hearth_worker_* w = (hearth_worker_*)argument;
  uint64_t seen = 0;
  int idle = 0;
  struct timespec period;
  period.tv_sec = 0;
  period.tv_nsec = HEARTH_GUARD_US_ * 1000L;
  for (;;) {
    nanosleep(&period, NULL);
    hearth_lock_(w);
    if (w->serial != seen) {
      seen = w->serial;
      idle = 0;
    } else if (!w->reading) {
      idle = 0;
      hearth_read_(w, 0);
    } else if (++idle >= HEARTH_GUARD_IDLE_) {
      idle = 0;
      w->parked = 1;
      while (w->parked) pthread_cond_wait(&w->wake, &w->lock);
    }
    if (w->out_size && hearth_now_us_() - w->out_since_us > HEARTH_AGE_US_) hearth_flush_(w);
    hearth_unlock_(w);
  }
  return NULL;
}
#endif

static inline void hearth_poll(hearth_call* call) {
  hearth_worker_* w = call->worker;
  hearth_lock_(w);
  hearth_read_(w, 0);
  hearth_flush_(w);
  hearth_unlock_(w);
}

/* -- answers -- */

#endif
