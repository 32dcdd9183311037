#include "store/log_record.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "store/utf8.h"

namespace hearth {
namespace {

constexpr size_t kTimeSize = 24;  // 2026-11-22T13:00:00.123Z
constexpr size_t kRequestIdMax = 64;
constexpr size_t kRevisionShown = 8;
constexpr size_t kLevelMax = 16;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr char kHex[] = "0123456789abcdef";

char* put(char* out, std::string_view text) {
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

char* put_digits(char* out, unsigned value, int digits) {
  for (int i = digits - 1; i >= 0; --i, value /= 10) out[i] = static_cast<char>('0' + value % 10);
  return out + digits;
}

char* put_time(char* out, WallTime time) {
  using std::chrono::days;
  const auto since = std::chrono::floor<milliseconds>(time.time_since_epoch());
  const auto day = std::chrono::floor<days>(since);
  const std::chrono::year_month_day date{std::chrono::sys_days(day)};
  const auto ms = static_cast<unsigned>((since - day).count());
  out = put_digits(out, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  *out++ = '-';
  out = put_digits(out, static_cast<unsigned>(date.month()), 2);
  *out++ = '-';
  out = put_digits(out, static_cast<unsigned>(date.day()), 2);
  *out++ = 'T';
  out = put_digits(out, ms / 3'600'000, 2);
  *out++ = ':';
  out = put_digits(out, ms / 60'000 % 60, 2);
  *out++ = ':';
  out = put_digits(out, ms / 1'000 % 60, 2);
  *out++ = '.';
  out = put_digits(out, ms % 1'000, 3);
  *out++ = 'Z';
  return out;
}

char* put_or_dash(char* out, std::string_view text, size_t max) {
  return put(out, text.empty() ? std::string_view("-") : text.substr(0, max));
}

// Writes the escape of an ASCII byte, or the byte itself.
char* put_ascii(char* out, unsigned char c) {
  switch (c) {
    case '\\':
      return put(out, "\\\\");
    case '\n':
      return put(out, "\\n");
    case '\r':
      return put(out, "\\r");
    case '\t':
      return put(out, "\\t");
    default:
      break;
  }
  if (c >= 0x20 && c != 0x7F) {
    *out++ = static_cast<char>(c);
    return out;
  }
  out = put(out, "\\x");
  *out++ = kHex[c >> 4];
  *out++ = kHex[c & 15];
  return out;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

size_t log_line_max(const LogRecord& record) {
  // Five separators; a byte of text takes at most the four of \xNN.
  return kTimeSize + kRequestIdMax + kRevisionShown + kLevelMax + 5 + record.text.size() * 4;
}

char* write_log_line(char* out, const LogRecord& record) {
  out = put_time(out, record.time);
  *out++ = '\t';
  out = put_or_dash(out, record.request_id, kRequestIdMax);
  *out++ = '\t';
  out = put_or_dash(out, record.revision, kRevisionShown);
  *out++ = '\t';
  out = put_or_dash(out, record.level, kLevelMax);
  *out++ = '\t';
  for (std::string_view rest = record.text; !rest.empty();) {
    const auto c = static_cast<unsigned char>(rest[0]);
    const size_t length = utf8_sequence(rest);
    if (c < 0x80) {
      out = put_ascii(out, c);
    } else {
      out = put(out, length == 0 ? kReplacement : rest.substr(0, length));
    }
    rest.remove_prefix(std::max<size_t>(length, 1));
  }
  *out++ = '\n';
  return out;
}

std::optional<LogLineView> parse_log_line(std::string_view line) {
  LogLineView view;
  for (std::string_view* field : {&view.time, &view.request_id, &view.revision, &view.level}) {
    const size_t tab = line.find('\t');
    if (tab == line.npos || tab == 0) return std::nullopt;
    *field = line.substr(0, tab);
    line.remove_prefix(tab + 1);
  }
  if (view.time.size() != kTimeSize || view.time.back() != 'Z') return std::nullopt;
  if (line.find('\t') != line.npos) return std::nullopt;
  view.text = line;
  return view;
}

std::string unescape_log_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    if (c == 'n') {
      out += '\n';
    } else if (c == 'r') {
      out += '\r';
    } else if (c == 't') {
      out += '\t';
    } else if (c == 'x' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
               hex_value(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
      i += 2;
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace hearth
