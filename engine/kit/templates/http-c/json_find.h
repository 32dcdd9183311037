/* Finds members of JSON objects without building a tree. Texts end with a NUL; what is not JSON is
 * not found. */
#ifndef JSON_FIND_H
#define JSON_FIND_H
#include <stddef.h>
#include <string.h>

static inline const char* json_space(const char* p) { return p + strspn(p, " \t\r\n"); }

/* The place behind the value at `p`, or NULL if it has no end. */
static inline const char* json_skip(const char* p) {
  int depth = 0;
  if (*p == '"') {
    for (p++; *p != '"'; p++) {
      if (*p == '\\' && p[1] != '\0') p++;
      if (*p == '\0') return NULL;
    }
    return p + 1;
  }
  if (*p != '{' && *p != '[') {
    size_t size = strcspn(p, ",}] \t\r\n");
    return size > 0 ? p + size : NULL;
  }
  do {
    if (*p == '\0') return NULL;
    if (*p == '"') {
      p = json_skip(p);
      if (p == NULL) return NULL;
      continue;
    }
    if (*p == '{' || *p == '[') depth++;
    if (*p == '}' || *p == ']') depth--;
    p++;
  } while (depth > 0);
  return p;
}

/* The value of `key` in `object`, which may be NULL, and its size in bytes. NULL: it has none. */
static inline const char* json_find(const char* object, const char* key, size_t* size) {
  const size_t length = strlen(key);
  const char* p = object == NULL ? "" : json_space(object);
  if (*p != '{') return NULL;
  p = json_space(p + 1);
  while (*p == '"') {
    const char* name = p + 1;
    const char* value;
    const char* end = json_skip(p);
    if (end == NULL) return NULL;
    p = json_space(end);
    if (*p != ':') return NULL;
    value = json_space(p + 1);
    p = json_skip(value);
    if (p == NULL) return NULL;
    if ((size_t)(end - 1 - name) == length && memcmp(name, key, length) == 0) {
      *size = (size_t)(p - value);
      return value;
    }
    p = json_space(p);
    if (*p != ',') return NULL;
    p = json_space(p + 1);
  }
  return NULL;
}

/* The same for a string: what stands between its quotes, escapes as they are. */
static inline const char* json_find_string(const char* object, const char* key, size_t* size) {
  const char* value = json_find(object, key, size);
  if (value == NULL || *value != '"') return NULL;
  *size -= 2;
  return value + 1;
}

#endif
