/* make test */
#include <stdio.h>
#include <string.h>

#include "reply.h"

static int failures = 0;

static void expect(const char* event, const char* part) {
  char reply[256] = "";
  make_reply(event, reply, sizeof reply);
  if (strstr(reply, part) != NULL) return;
  printf("%s: got %s, which has no %s\n", event, reply, part);
  failures++;
}

int main(void) {
  char event[8192] = "", tiny[8];
  FILE* file = fopen("event.json", "r");
  if (file == NULL || fread(event, 1, sizeof event - 1, file) == 0) return 2;
  fclose(file);
  expect(event, "Hello world\\n");
  expect("{\"rawPath\":\"/\"}", "Hello world\\n");
  expect("{\"rawPath\":\"/\",\"queryStringParameters\":{\"x\":[1,\"}\"],\"name\":\"a\\\"b\"}}",
         "Hello a\\\"b\\n");
  expect("{\"rawPath\":\"/other\"}", "404");
  expect("not JSON", "404");
  if (make_reply(event, tiny, sizeof tiny) != 0) failures++;
  puts(failures == 0 ? "ok" : "failed");
  return failures == 0 ? 0 : 1;
}
