#include "reply.h"

#include <stdio.h>

#include "json_find.h"

size_t make_reply(const char* event, char* reply, size_t room) {
  size_t size = 0;
  int written;
  const char* path = json_find_string(event, "rawPath", &size);
  if (path == NULL || size != 1) {
    written = snprintf(reply, room, "{\"statusCode\":404,\"body\":\"there is nothing here\\n\"}");
  } else {
    const char* query = json_find(event, "queryStringParameters", &size);
    const char* name = json_find_string(query, "name", &size);
    if (name == NULL) name = "world", size = 5;
    written = snprintf(reply, room,
                       "{\"statusCode\":200,\"headers\":{\"content-type\":\"text/plain; "
                       "charset=utf-8\"},\"body\":\"Hello %.*s\\n\"}",
                       (int)size, name);
  }
  return written > 0 && (size_t)written < room ? (size_t)written : 0;
}
