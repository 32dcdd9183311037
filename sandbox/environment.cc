#include "sandbox/environment.h"

namespace hearth::sandbox {
namespace {

constexpr uint8_t kEnvironmentFrame = 0x0a;

struct FrameHead {
  uint32_t length;
  uint8_t type, flags;
  uint16_t aux;
  uint32_t slot, generation;
};
static_assert(sizeof(FrameHead) == 16);

Failure read_whole(int fd, void* to, size_t size) {
  char* at = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t n = read(fd, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failure::at("read the environment");
    if (n == 0) return {"read the environment", EPIPE};
    at += n;
    size -= static_cast<size_t>(n);
  }
  return {};
}

// Whether both are entries of one variable: "NAME=".
bool same_name(const char* a, const char* b) {
  const size_t length = strcspn(a, "=") + 1;
  return strncmp(a, b, length) == 0;
}

}  // namespace

Failure read_environment(int channel, const char* const* base, const char* const*& envp) {
  static char text[kEnvironmentBytesMax];
  static const char* entries[kEnvironmentEntriesMax + 1];
  FrameHead head;
  if (Failure f = read_whole(channel, &head, sizeof head)) return f;
  if (head.type != kEnvironmentFrame || head.flags != 0)
    return {"expect the environment first", EPROTO};
  if (head.length > sizeof text) return {"take an environment of that size", E2BIG};
  if (Failure f = read_whole(channel, text, head.length)) return f;
  if (head.length > 0 && text[head.length - 1] != '\0')
    return {"find the end of the environment", EPROTO};
  size_t count = 0;
  for (const char* at = text; at < text + head.length; at += strlen(at) + 1) {
    if (*at == '=' || strchr(at, '=') == nullptr) return {"read a variable", EPROTO};
    if (count == kEnvironmentEntriesMax) return {"take that many variables", E2BIG};
    entries[count++] = at;
  }
  const size_t own = count;
  for (; *base != nullptr; ++base) {
    bool given = false;
    for (size_t i = 0; i < own && !given; ++i) given = same_name(entries[i], *base);
    if (given) continue;
    if (count == kEnvironmentEntriesMax) return {"take that many variables", E2BIG};
    entries[count++] = *base;
  }
  entries[count] = nullptr;
  envp = entries;
  return {};
}

}  // namespace hearth::sandbox
