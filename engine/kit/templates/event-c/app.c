/* Handles an event: a CloudEvent that tells of an order. */
#include "hearth_worker.h"
#include "reply.h"

static void handle(hearth_call* call, const char* event, size_t size, void* user) {
  char reply[1024];
  size_t length = make_reply(event, reply, sizeof reply);
  (void)size;
  (void)user;
  if (length == 0) {
    hearth_reply_error(call, "ValueError", "the event has no data.order, or it is too long");
    return;
  }
  hearth_log(call, HEARTH_INFO, "answered %.*s", (int)length, reply);
  hearth_reply(call, reply, length);
}

int main(void) { return hearth_worker_run(handle, NULL); }
