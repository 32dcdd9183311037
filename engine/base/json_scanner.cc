#include "base/json_scanner.h"

#include <array>
#include <cstring>

namespace hearth {
namespace {

// Bytes that end a run of plain string characters: the quote, the backslash, control characters.
constexpr std::array<bool, 256> make_stops() {
  std::array<bool, 256> stops{};
  for (size_t c = 0; c < 0x20; ++c) stops[c] = true;
  stops['"'] = stops['\\'] = true;
  return stops;
}
constexpr std::array<bool, 256> kStops = make_stops();

bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

uint32_t hex4(const char* p) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 4 | static_cast<uint32_t>(hex_digit(p[i]));
  return value;
}

char* write_utf8(char* out, uint32_t c) {
  if (c < 0x80) {
    *out++ = static_cast<char>(c);
  } else if (c < 0x800) {
    *out++ = static_cast<char>(0xC0 | c >> 6);
    *out++ = static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    *out++ = static_cast<char>(0xE0 | c >> 12);
    *out++ = static_cast<char>(0x80 | (c >> 6 & 0x3F));
    *out++ = static_cast<char>(0x80 | (c & 0x3F));
  } else {
    *out++ = static_cast<char>(0xF0 | c >> 18);
    *out++ = static_cast<char>(0x80 | (c >> 12 & 0x3F));
    *out++ = static_cast<char>(0x80 | (c >> 6 & 0x3F));
    *out++ = static_cast<char>(0x80 | (c & 0x3F));
  }
  return out;
}

// `p` is behind "\u"; moves it behind the escape, and behind the second half of a pair.
uint32_t unicode_escape(const char*& p, const char* end) {
  const uint32_t c = hex4(p);
  p += 4;
  if (c < 0xD800 || c > 0xDFFF) return c;
  if (c <= 0xDBFF && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
    const uint32_t low = hex4(p + 2);
    if (low >= 0xDC00 && low <= 0xDFFF) {
      p += 6;
      return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
  }
  return 0xFFFD;
}

char simple_escape(char c) {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return c;  // quote, backslash, slash
  }
}

// The escape's size behind the backslash, or 0 when it is none.
size_t escape_size(const char* p, const char* end) {
  if (p == end) return 0;
  if (*p != 'u') return std::memchr("\"\\/bfnrt", *p, 8) != nullptr ? 1 : 0;
  if (end - p < 5) return 0;
  for (int i = 1; i <= 4; ++i) {
    if (hex_digit(p[i]) < 0) return 0;
  }
  return 5;
}

}  // namespace

size_t json_unescape(char* out, std::string_view raw) {
  char* const begin = out;
  const char* p = raw.data();
  const char* const end = p + raw.size();
  while (p < end) {
    const auto* slash =
        static_cast<const char*>(std::memchr(p, '\\', static_cast<size_t>(end - p)));
    const auto run = static_cast<size_t>((slash != nullptr ? slash : end) - p);
    std::memmove(out, p, run);
    out += run;
    p += run;
    if (slash == nullptr) break;
    const char c = p[1];
    p += 2;
    out = c == 'u' ? write_utf8(out, unicode_escape(p, end)) : (*out = simple_escape(c), out + 1);
  }
  return static_cast<size_t>(out - begin);
}

void JsonScanner::space() {
  while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
}

JsonScanner::Kind JsonScanner::peek() {
  space();
  if (at_ == end_) return Kind::none;
  switch (*at_) {
    case '{':
      return Kind::object;
    case '[':
      return Kind::array;
    case '"':
      return Kind::string;
    case 't':
    case 'f':
    case 'n':
    case '-':
      return Kind::scalar;
    default:
      return is_digit(*at_) ? Kind::scalar : Kind::none;
  }
}

bool JsonScanner::string(JsonString& out) {
  space();
  if (at_ == end_ || *at_ != '"') return false;
  const char* const begin = ++at_;
  out.escaped = false;
  while (true) {
    while (at_ < end_ && !kStops[static_cast<unsigned char>(*at_)]) ++at_;
    if (at_ == end_) return false;
    if (*at_ == '"') break;
    if (*at_ != '\\') return false;
    const size_t size = escape_size(at_ + 1, end_);
    if (size == 0) return false;
    at_ += 1 + size;
    out.escaped = true;
  }
  out.raw = {begin, static_cast<size_t>(at_ - begin)};
  ++at_;
  return true;
}

bool JsonScanner::word(std::string_view text) {
  if (static_cast<size_t>(end_ - at_) < text.size() ||
      std::memcmp(at_, text.data(), text.size()) != 0)
    return false;
  at_ += text.size();
  return true;
}

bool JsonScanner::number() {
  const auto digits = [&] {
    const char* const begin = at_;
    while (at_ < end_ && is_digit(*at_)) ++at_;
    return at_ > begin;
  };
  if (*at_ == '-') ++at_;
  if (at_ < end_ && *at_ == '0') {
    ++at_;
  } else if (!digits()) {
    return false;
  }
  if (at_ < end_ && *at_ == '.') {
    ++at_;
    if (!digits()) return false;
  }
  if (at_ < end_ && (*at_ == 'e' || *at_ == 'E')) {
    ++at_;
    if (at_ < end_ && (*at_ == '+' || *at_ == '-')) ++at_;
    if (!digits()) return false;
  }
  return true;
}

bool JsonScanner::scalar() {
  switch (*at_) {
    case 't':
      return word("true");
    case 'f':
      return word("false");
    case 'n':
      return word("null");
    default:
      return number();
  }
}

bool JsonScanner::key_and_colon(JsonString* key) {
  JsonString ignored;
  if (!string(key != nullptr ? *key : ignored)) return false;
  space();
  if (at_ == end_ || *at_ != ':') return false;
  ++at_;
  return true;
}

bool JsonScanner::skip_value(std::string_view* raw) {
  space();
  const char* const begin = at_;
  uint64_t objects = 0;  // one bit a level, the innermost lowest: object or array
  unsigned depth = 0;
  do {
    const Kind kind = peek();
    if (kind == Kind::object || kind == Kind::array) {
      if (depth == kJsonDepthMax) return false;
      ++depth;
      objects = objects << 1 | (kind == Kind::object ? 1u : 0u);
      ++at_;
      space();
      const bool empty = at_ < end_ && *at_ == (kind == Kind::object ? '}' : ']');
      if (!empty) {
        if (kind == Kind::object && !key_and_colon(nullptr)) return false;
        continue;
      }
    } else {
      JsonString ignored;
      if (kind == Kind::none || !(kind == Kind::string ? string(ignored) : scalar())) return false;
      space();
    }
    // Behind a value: close what ends here, or go on to the next item.
    for (; depth > 0; space()) {
      const bool object = (objects & 1) != 0;
      if (at_ == end_) return false;
      if (*at_ == ',') break;
      if (*at_ != (object ? '}' : ']')) return false;
      ++at_;
      --depth;
      objects >>= 1;
    }
    if (depth > 0) {
      ++at_;
      if ((objects & 1) != 0 && !key_and_colon(nullptr)) return false;
    }
  } while (depth > 0);
  if (raw != nullptr) {
    *raw = {begin, static_cast<size_t>(at_ - begin)};
    while (!raw->empty() && std::memchr(" \n\r\t", raw->back(), 4) != nullptr)
      raw->remove_suffix(1);
  }
  return true;
}

bool JsonScanner::enter(Kind kind) {
  if (peek() != kind) return false;
  ++at_;
  first_ = true;
  return true;
}

JsonScanner::Step JsonScanner::next_item(char close) {
  space();
  if (at_ == end_) return Step::error;
  if (*at_ == close) {
    ++at_;
    first_ = false;
    return Step::end;
  }
  if (!first_) {
    if (*at_ != ',') return Step::error;
    ++at_;
  }
  first_ = false;
  return Step::item;
}

JsonScanner::Step JsonScanner::next_member(JsonString& key) {
  const Step step = next_item('}');
  if (step != Step::item) return step;
  return key_and_colon(&key) ? Step::item : Step::error;
}

JsonScanner::Step JsonScanner::next_element() { return next_item(']'); }

bool JsonScanner::at_end() {
  space();
  return at_ == end_;
}

}  // namespace hearth
