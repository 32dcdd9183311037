/* Answers HTTP requests: GET /?name=you. */
#include "hearth_worker.h"
#include "reply.h"

static void handle(hearth_call* call, const char* event, size_t size, void* user) {
  char reply[4096];
  size_t length = make_reply(event, reply, sizeof reply);
  (void)size;
  (void)user;
  hearth_log(call, HEARTH_INFO, "a reply of %zu bytes", length);
  if (length > 0) {
    hearth_reply(call, reply, length);
  } else {
    hearth_reply_error(call, "ValueError", "the name is too long");
  }
}

int main(void) { return hearth_worker_run(handle, NULL); }
