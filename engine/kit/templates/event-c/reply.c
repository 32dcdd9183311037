#include "reply.h"

#include <stdio.h>

#include "json_find.h"

size_t make_reply(const char* event, char* reply, size_t room) {
  size_t size = 0;
  const char* data = json_find(event, "data", &size);
  const char* order = json_find_string(data, "order", &size);
  int written;
  if (order == NULL || size == 0) return 0;
  written = snprintf(reply, room, "{\"order\":\"%.*s\",\"accepted\":true}", (int)size, order);
  return written > 0 && (size_t)written < room ? (size_t)written : 0;
}
