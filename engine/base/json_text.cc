#include "base/json_text.h"

#include <cstdint>
#include <cstring>

namespace hearth {
namespace {

// Length of the valid UTF-8 sequence at `p` (1 to 4), or 0. Overlong forms, surrogates and values
// past U+10FFFF are not valid.
size_t utf8_length(const unsigned char* p, size_t left) {
  const unsigned char c = p[0];
  const auto tail = [&](size_t i) { return i < left && (p[i] & 0xC0) == 0x80; };
  if (c < 0x80) return 1;
  if (c >= 0xC2 && c <= 0xDF) return tail(1) ? 2 : 0;
  if (c >= 0xE0 && c <= 0xEF) {
    if (!tail(1) || !tail(2)) return 0;
    if (c == 0xE0 && p[1] < 0xA0) return 0;
    if (c == 0xED && p[1] > 0x9F) return 0;
    return 3;
  }
  if (c >= 0xF0 && c <= 0xF4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if (c == 0xF0 && p[1] < 0x90) return 0;
    if (c == 0xF4 && p[1] > 0x8F) return 0;
    return 4;
  }
  return 0;
}

char* write_control(char* out, unsigned char c) {
  static constexpr char kHex[] = "0123456789abcdef";
  *out++ = '\\';
  switch (c) {
    case '\b':
      *out++ = 'b';
      return out;
    case '\t':
      *out++ = 't';
      return out;
    case '\n':
      *out++ = 'n';
      return out;
    case '\f':
      *out++ = 'f';
      return out;
    case '\r':
      *out++ = 'r';
      return out;
    default:
      break;
  }
  std::memcpy(out, "u00", 3);
  out[3] = kHex[c >> 4];
  out[4] = kHex[c & 15];
  return out + 5;
}

}  // namespace

char* write_json_escaped(char* out, std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p < end) {
    const unsigned char c = *p;
    if (c >= 0x20 && c < 0x80) {
      if (c == '"' || c == '\\') *out++ = '\\';
      *out++ = static_cast<char>(c);
      ++p;
    } else if (c < 0x20) {
      out = write_control(out, c);
      ++p;
    } else if (const size_t n = utf8_length(p, static_cast<size_t>(end - p))) {
      std::memcpy(out, p, n);
      out += n;
      p += n;
    } else {
      std::memcpy(out, "\xEF\xBF\xBD", 3);
      out += 3;
      ++p;
    }
  }
  return out;
}

std::optional<size_t> json_escaped_size(std::string_view text) {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  size_t size = 0;
  while (p < end) {
    const unsigned char c = *p;
    if (c >= 0x20 && c < 0x80) {
      size += c == '"' || c == '\\' ? 2 : 1;
      ++p;
    } else if (c < 0x20) {
      size += c == '\b' || c == '\t' || c == '\n' || c == '\f' || c == '\r' ? 2 : 6;
      ++p;
    } else {
      const size_t n = utf8_length(p, static_cast<size_t>(end - p));
      if (n == 0) return std::nullopt;
      size += n;
      p += n;
    }
  }
  return size;
}

void append_json_string(std::string& out, std::string_view text) {
  const size_t start = out.size();
  out.resize(start + json_escaped_max(text.size()) + 2);
  char* p = out.data() + start;
  *p++ = '"';
  p = write_json_escaped(p, text);
  *p++ = '"';
  out.resize(static_cast<size_t>(p - out.data()));
}

}  // namespace hearth
