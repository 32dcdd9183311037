/* The reader for INIT: what it takes, what it refuses, and that it stays inside its text (run it
 * under a sanitizer or valgrind too). */
#include "hearth_worker.h"

static int failures;

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      failures++;                                                     \
    }                                                                 \
  } while (0)

static int reads(const char* json, const char* expected) {
  char* text;
  const char* end = hearth_json_string_(json, &text);
  int same = expected ? end && strcmp(text, expected) == 0 : end == NULL;
  free(text);
  return same;
}

static void strings(void) {
  CHECK(reads("\"\"", ""));
  CHECK(reads("\"a\\\"b\\\\c\\/\\b\\f\\n\\r\\t\"", "a\"b\\c/\b\f\n\r\t"));
  CHECK(reads("\"gr\xc3\xbc\xc3\x9f\"", "gr\xc3\xbc\xc3\x9f"));
  CHECK(reads("\"\\u0041\\u00fc\\u20ac\\ud83d\\ude00\"", "A\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"));
  CHECK(reads("\"\\ud83d\"", "\xef\xbf\xbd"));
  CHECK(reads("\"\\ud83d\\u0041\"",
              "\xef\xbf\xbd"
              "A"));
  CHECK(reads("\"\\ude00\"", "\xef\xbf\xbd"));
  CHECK(reads("\"abc", NULL));
  CHECK(reads("\"abc\\", NULL));
  CHECK(reads("\"abc\\\"", NULL));
  CHECK(reads("\"\\u12\"", NULL));
  CHECK(reads("\"\\u", NULL));
  CHECK(reads("\"\\x\"", NULL));
  CHECK(reads("abc", NULL));
}

/* Every prefix of an INIT is refused or ends early, and none is read past its end: each stands in
 * memory of its exact size. */
static void prefixes(void) {
  static const char init[] =
      "{\"protocol\":1,\"function\":\"h\\u00fc\",\"nested\":[{\"a\":[1,2.5e3,null,true]},\"\\\"]}"
      "\"],"
      "\"environment\":{\"HEARTH_A\":\"1\",\"HEARTH_B\":\"\\ud83d\\ude00\"},\"log_rate\":20000,"
      "\"root\":\"/tmp\"}";
  size_t size;
  for (size = 0; size < sizeof init; size++) {
    hearth_worker_ w;
    char* text = (char*)malloc(size + 1);
    const char* end;
    memset(&w, 0, sizeof w);
    memcpy(text, init, size);
    text[size] = 0;
    end = hearth_json_members_(text, hearth_init_member_, &w);
    CHECK((end != NULL) == (size == sizeof init - 1));
    if (end) {
      CHECK(w.name && strcmp(w.name, "h\xc3\xbc") == 0);
      CHECK(w.root && strcmp(w.root, "/tmp") == 0);
      CHECK(w.log_rate > 19999.0 && w.log_rate < 20001.0);
      CHECK(strcmp(getenv("HEARTH_A"), "1") == 0);
      CHECK(strcmp(getenv("HEARTH_B"), "\xf0\x9f\x98\x80") == 0);
    }
    free(w.name);
    free(w.root);
    free(text);
    if (size == sizeof init - 1) break;
  }
}

static void depth(void) {
  char deep[400];
  memset(deep, '[', sizeof deep);
  memset(deep + 200, ']', 199);
  deep[399] = 0;
  CHECK(hearth_json_skip_(deep, 0) == NULL);
  memset(deep, '[', 50);
  memset(deep + 50, ']', 50);
  deep[100] = 0;
  CHECK(hearth_json_skip_(deep, 0) == deep + 100);
}

static void errors(void) {
  char *text = (char*)malloc(HEARTH_PART_MAX_ / 2), *message = (char*)malloc(100001);
  size_t size = hearth_error_json_(text, "T", "a\"\n");
  static const char expected[] =
      "{\"errorMessage\":\"a\\\"\\u000a\",\"errorType\":\"T\",\"stackTrace\":[]}";
  CHECK(size == sizeof expected - 1 && memcmp(text, expected, size) == 0);
  memset(message, 1, 100000);
  message[100000] = 0;
  size = hearth_error_json_(text, message, message);
  CHECK(size <= HEARTH_PART_MAX_ / 2 && text[size - 1] == '}');
  free(text);
  free(message);
}

int main(void) {
  strings();
  prefixes();
  depth();
  errors();
  hearth_clear_env_();
  CHECK(getenv("PATH") == NULL);
  CHECK(environ == NULL || environ[0] == NULL);
  return failures != 0;
}
