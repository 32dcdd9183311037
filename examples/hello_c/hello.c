/* The smallest native function: reads {"name":"..."}, answers {"message":"Hello ..."}. */
#include "hearth_worker.h"

/* The start and length of the string behind "name": in a flat JSON object, escapes as they are; 0 =
 * it is not there. */
static const char* find_name(const char* event, size_t* length) {
  const char* at = strstr(event, "\"name\"");
  if (at == NULL) return NULL;
  at += strlen("\"name\"");
  at += strspn(at, " \t\r\n");
  if (*at++ != ':') return NULL;
  at += strspn(at, " \t\r\n");
  if (*at++ != '"') return NULL;
  const char* end = at;
  while (*end != '"' && *end != '\0') end += end[0] == '\\' && end[1] != '\0' ? 2 : 1;
  if (*end != '"') return NULL;
  *length = (size_t)(end - at);
  return at;
}

static void handle(hearth_call* call, const char* event, size_t size, void* user) {
  char reply[1024];
  size_t length = 0;
  const char* name = find_name(event, &length);
  (void)size;
  (void)user;
  if (name == NULL || length > 900) {
    hearth_reply_error(call, "ValueError", "send {\"name\":\"...\"}, at most 900 bytes long");
    return;
  }
  const int written =
      snprintf(reply, sizeof reply, "{\"message\":\"Hello %.*s\"}", (int)length, name);
  hearth_reply(call, reply, (size_t)written);
}

int main(void) { return hearth_worker_run(handle, NULL); }
