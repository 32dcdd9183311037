/* The function that the conformance tests run: what it does depends on the event's "do". */
#include "../hearth_worker.h"

static int has(const char* event, const char* what) { return strstr(event, what) != NULL; }

static void sleep_ms(long ms) {
  struct timespec t;
  t.tv_sec = ms / 1000;
  t.tv_nsec = ms % 1000 * 1000000;
  nanosleep(&t, NULL);
}

static void spin_ms(long ms) {
  struct timespec begin, now;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  do clock_gettime(CLOCK_MONOTONIC, &now);
  while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 < ms);
}

static int keep_busy(const char* event) {
  if (has(event, "\"do\":\"sleep\""))
    sleep_ms(600);
  else if (has(event, "\"do\":\"nap\""))
    sleep_ms(40);
  else if (has(event, "\"do\":\"spin\""))
    spin_ms(600);
  else if (has(event, "\"do\":\"whirl\""))
    spin_ms(40);
  else
    return 0;
  return 1;
}

static void reply_large(hearth_call* call, size_t size) {
  char* text = (char*)malloc(size);
  if (!text) return;
  memset(text, 'x', size);
  text[0] = text[size - 1] = '"';
  hearth_reply(call, text, size);
  free(text);
}

static void handle(hearth_call* call, const char* event, size_t size, void* user) {
  char text[512];
  (void)user;
  if (has(event, "\"do\":\"error\"")) {
    hearth_reply_error(call, "ValueError", "no \"good\"\n");
  } else if (keep_busy(event)) {
    hearth_reply(call, "\"slept\"", 7);
  } else if (has(event, "\"do\":\"log\"")) {
    hearth_log(call, HEARTH_WARNING, "line %d\nline %d", 1, 2);
    hearth_reply(call, "1", 1);
  } else if (has(event, "\"do\":\"flood\"")) {
    int i;
    for (i = 0; i < 20000; i++)
      hearth_log(call, HEARTH_PLAIN, "flood %d %s", i, "0123456789012345678901234567890123456789");
    hearth_reply(call, "1", 1);
  } else if (has(event, "\"do\":\"longline\"")) {
    char* line = (char*)malloc(150001);
    memset(line, 'a', 150000);
    line[150000] = 0;
    hearth_log(call, HEARTH_PLAIN, "%s", line);
    free(line);
    hearth_reply(call, "1", 1);
  } else if (has(event, "\"do\":\"large\"")) {
    reply_large(call, 1000000);
  } else if (has(event, "\"do\":\"toolarge\"")) {
    reply_large(call, 6 * 1024 * 1024 + 101);
  } else if (has(event, "\"do\":\"stream\"")) {
    hearth_stream_write(call, "one ", 4);
    hearth_stream_write(call, "two", 3);
    hearth_stream_end(call);
  } else if (has(event, "\"do\":\"broken\"")) {
    hearth_stream_write(call, "one ", 4);
    hearth_stream_fail(call, "Broken", "half-way");
  } else if (has(event, "\"do\":\"nothing\"")) {
    return;
  } else if (has(event, "\"do\":\"context\"")) {
    const char* key = getenv("GREETING");
    snprintf(text, sizeof text,
             "{\"request_id\":\"%s\",\"name\":\"%s\",\"version\":\"%s\",\"arn\":\"%s\","
             "\"remaining\":%ld,\"greeting\":\"%s\",\"home\":%s}",
             hearth_request_id(call), hearth_function_name(call), hearth_function_version(call),
             hearth_function_arn(call), (long)hearth_remaining_ms(call), key ? key : "",
             getenv("HOME") ? "true" : "false");
    hearth_reply(call, text, strlen(text));
  } else if (has(event, "\"do\":\"exit\"")) {
    _exit(3);
  } else if (size > 100) {
    snprintf(text, sizeof text, "{\"size\":%lu}", (unsigned long)size);
    hearth_reply(call, text, strlen(text));
  } else {
    hearth_reply(call, "{\"message\":\"Hello world\"}", 25);
  }
}

static const char* init(void* user) {
  (void)user;
  if (getenv("INIT_LOG")) hearth_log(NULL, HEARTH_INFO, "loading");
  return getenv("INIT_FAILS");
}

int main(void) { return hearth_worker_run_init(init, handle, NULL); }
