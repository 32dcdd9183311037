/* The reader for INIT, and the environment that it sets. Part of hearth_worker.h, which includes
 * it. */
#ifndef HEARTH_WORKER_H
#include "hearth_worker.h"
#elif !defined(HEARTH_WORKER_JSON_H)
#define HEARTH_WORKER_JSON_H

/* -- INIT's JSON: a reader that walks a NUL-terminated text and never past its end; NULL says that
 * the text is not JSON -- */

static inline const char* hearth_space_(const char* p) {
  while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') p++;
  return p;
}

static inline int hearth_hex4_(const char* p) {
  int value = 0, i;
  for (i = 0; i < 4; i++) {
    char c = p[i];
    int digit = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

static inline char* hearth_utf8_(char* to, uint32_t c) {
  if (c < 0x80) {
    *to++ = (char)c;
  } else if (c < 0x800) {
    *to++ = (char)(0xC0 | c >> 6);
    *to++ = (char)(0x80 | (c & 63));
  } else if (c < 0x10000) {
    *to++ = (char)(0xE0 | c >> 12);
    *to++ = (char)(0x80 | (c >> 6 & 63));
    *to++ = (char)(0x80 | (c & 63));
  } else {
    *to++ = (char)(0xF0 | c >> 18);
    *to++ = (char)(0x80 | (c >> 12 & 63));
    *to++ = (char)(0x80 | (c >> 6 & 63));
    *to++ = (char)(0x80 | (c & 63));
  }
  return to;
}

/* Reads one escape behind its backslash; a lone surrogate becomes U+FFFD. */
static inline const char* hearth_json_escape_(const char* p, char** to) {
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  const char* name = *p ? strchr(names, *p) : NULL;
  int c, low;
  if (name) {
    *(*to)++ = values[name - names];
    return p + 1;
  }
  if (*p != 'u' || (c = hearth_hex4_(p + 1)) < 0) return NULL;
  p += 5;
  if (c >= 0xD800 && c < 0xDC00 && p[0] == '\\' && p[1] == 'u' &&
      (low = hearth_hex4_(p + 2)) >= 0xDC00 && low < 0xE000) {
    *to = hearth_utf8_(*to, 0x10000u + ((uint32_t)(c - 0xD800) << 10) + (uint32_t)(low - 0xDC00));
    return p + 6;
  }
  *to = hearth_utf8_(*to, c >= 0xD800 && c < 0xE000 ? 0xFFFDu : (uint32_t)c);
  return p;
}

/* Reads a string at its opening quote into fresh memory. A text never grows when it is unescaped.
 */
static inline const char* hearth_json_string_(const char* p, char** result) {
  const char* end = p + 1;
  char* to;
  *result = NULL;
  if (*p != '"') return NULL;
  while (*end && *end != '"') {
    if (*end == '\\' && end[1]) end++;
    end++;
  }
  if (*end != '"') return NULL;
  to = *result = (char*)hearth_alloc_((size_t)(end - p));
  for (p++; p && p < end;) {
    if (*p == '\\')
      p = hearth_json_escape_(p + 1, &to);
    else
      *to++ = *p++;
  }
  *to = 0;
  if (p) return end + 1;
  free(*result);
  *result = NULL;
  return NULL;
}

static inline const char* hearth_json_skip_(const char* p, int depth) {
  char* text;
  if (*p == '"') {
    p = hearth_json_string_(p, &text);
    free(text);
    return p;
  }
  if (*p != '{' && *p != '[') {
    const char* start = p;
    while (*p && !strchr(",]} \t\r\n", *p)) p++;
    return p > start ? p : NULL;
  }
  if (depth >= HEARTH_DEPTH_MAX_) return NULL;
  for (p = hearth_space_(p + 1); p && *p != '}' && *p != ']';) {
    if (!*p) return NULL;
    if (*p == ',' || *p == ':')
      p++;
    else
      p = hearth_json_skip_(p, depth + 1);
    if (p) p = hearth_space_(p);
  }
  return p ? p + 1 : NULL;
}

typedef void (*hearth_member_fn_)(hearth_worker_* w, const char* key, const char* value);

/* Calls `each` for every member of the object at p, with the value's text. */
static inline const char* hearth_json_members_(const char* p, hearth_member_fn_ each,
                                               hearth_worker_* w) {
  if (*p != '{') return NULL;
  for (p = hearth_space_(p + 1); *p != '}';) {
    char* key;
    const char* value;
    p = hearth_json_string_(p, &key);
    if (!p) return NULL;
    p = hearth_space_(p);
    value = *p == ':' ? hearth_space_(p + 1) : NULL;
    p = value ? hearth_json_skip_(value, 0) : NULL;
    if (p) each(w, key, value);
    free(key);
    if (!p) return NULL;
    p = hearth_space_(p);
    if (*p == ',')
      p = hearth_space_(p + 1);
    else if (*p != '}')
      return NULL;
  }
  return p + 1;
}

static inline void hearth_set_env_(hearth_worker_* w, const char* key, const char* value) {
  char* text;
  (void)w;
  if (hearth_json_string_(value, &text)) setenv(key, text, 1);
  free(text);
}

static inline void hearth_init_member_(hearth_worker_* w, const char* key, const char* value) {
  char** text = strcmp(key, "function") == 0  ? &w->name
                : strcmp(key, "version") == 0 ? &w->version
                : strcmp(key, "arn") == 0     ? &w->arn
                : strcmp(key, "root") == 0    ? &w->root
                                              : NULL;
  if (text && *value == '"') {
    free(*text);
    hearth_json_string_(value, text);
  } else if (strcmp(key, "environment") == 0) {
    hearth_json_members_(value, hearth_set_env_, w);
  } else if (strcmp(key, "log_rate") == 0) {
    w->log_rate = strtod(value, NULL);
  } else if (strcmp(key, "log_burst") == 0) {
    w->log_burst = strtod(value, NULL);
  }
}

extern char** environ;

static inline void hearth_clear_env_(void) {
  while (environ && environ[0]) {
    const char* equals = strchr(environ[0], '=');
    size_t size = equals ? (size_t)(equals - environ[0]) : strlen(environ[0]);
    char* name = (char*)hearth_alloc_(size + 1);
    int failed;
    memcpy(name, environ[0], size);
    name[size] = 0;
    failed = unsetenv(name);
    free(name);
    if (failed) return; /* an entry without a name */
  }
}

#endif
