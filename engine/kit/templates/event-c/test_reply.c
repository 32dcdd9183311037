/* make test */
#include <stdio.h>
#include <string.h>

#include "reply.h"

static int failures = 0;

/* `wanted`: the whole reply; "" if there is to be none. */
static void expect(const char* event, const char* wanted) {
  char reply[256] = "";
  size_t size = make_reply(event, reply, sizeof reply);
  if (size == strlen(wanted) && memcmp(reply, wanted, size) == 0) return;
  printf("%s: got %s instead of %s\n", event, reply, wanted);
  failures++;
}

int main(void) {
  char event[8192] = "", tiny[8];
  FILE* file = fopen("event.json", "r");
  if (file == NULL || fread(event, 1, sizeof event - 1, file) == 0) return 2;
  fclose(file);
  expect(event, "{\"order\":\"A-17\",\"accepted\":true}");
  expect("{\"data\":{\"lines\":[{\"order\":\"no\"}],\"order\":\"B-1\"}}",
         "{\"order\":\"B-1\",\"accepted\":true}");
  expect("{\"data\":{\"order\":17}}", "");
  expect("{\"data\":{}}", "");
  expect("not JSON", "");
  if (make_reply(event, tiny, sizeof tiny) != 0) failures++;
  puts(failures == 0 ? "ok" : "failed");
  return failures == 0 ? 0 : 1;
}
