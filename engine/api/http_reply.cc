#include "api/http_reply.h"

#include <algorithm>
#include <cstring>

#include "base/base64.h"
#include "base/json_scanner.h"

namespace hearth::api {
namespace {

using Kind = JsonScanner::Kind;
using Step = JsonScanner::Step;

constexpr std::string_view kPathAttribute = "; Path=";

Error invalid(const char* what) { return Error{Code::reply_invalid, what}; }

// Connection management, framing, and what the engine itself writes: never a function's to say.
bool is_reserved(std::string_view name) {
  static constexpr std::string_view kReserved[] = {
      "content-length", "transfer-encoding", "connection",
      "keep-alive",     "proxy-connection",  "te",
      "trailer",        "upgrade",           "x-amzn-requestid",
      "date",           "x-hearth-error",    "x-hearth-detail"};
  for (const std::string_view reserved : kReserved) {
    if (http::equals_ignoring_case(name, reserved)) return true;
  }
  return false;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool key_is(const JsonString& key, std::string_view name) {
  if (!key.escaped) return key.raw == name;
  char text[6 * 24];
  if (key.raw.size() > sizeof text) return false;
  return std::string_view(text, json_unescape(text, key.raw)) == name;
}

// The values of the members that matter, as JSON text; empty: not there. A repeated key's last
// value counts.
struct Members {
  std::string_view status;
  std::string_view headers;
  std::string_view multi_headers;
  std::string_view cookies;
  std::string_view body;
  std::string_view is_base64;

  std::string_view* find(const JsonString& key) {
    if (key_is(key, "statusCode")) return &status;
    if (key_is(key, "headers")) return &headers;
    if (key_is(key, "multiValueHeaders")) return &multi_headers;
    if (key_is(key, "cookies")) return &cookies;
    if (key_is(key, "body")) return &body;
    if (key_is(key, "isBase64Encoded")) return &is_base64;
    return nullptr;
  }
};

class Reader {
 public:
  Reader(const ReplyRules& rules, BufferPool& pool, HttpReply& reply)
      : rules_(rules), pool_(pool), reply_(reply) {}

  Status read(std::string_view payload);

 private:
  Status scan(JsonScanner& scanner);
  Status respond();
  Status read_status();
  Status read_headers();
  Status read_multi_headers();
  Status read_values(JsonScanner& scanner, std::string_view name);
  Status read_cookies();
  Status read_body();
  Status decode_body(std::string_view raw, bool escaped);
  Status add(std::string_view name, std::string_view value, bool replace);
  Status header_text(const JsonString& string, std::string_view& text);
  Status scalar_text(JsonScanner& scanner, std::string_view& text, bool& present);
  Status rewrite_cookie(std::string_view& value);
  Status text_room(size_t room);
  std::string_view keep(size_t size);

  const ReplyRules& rules_;
  BufferPool& pool_;
  HttpReply& reply_;
  Members members_;
};

// All header texts go into one buffer that never grows, since views point into it.
Status Reader::text_room(size_t room) {
  if (!reply_.text) {
    const size_t texts =
        members_.headers.size() + members_.multi_headers.size() + members_.cookies.size();
    // Each cookie is unescaped and rewritten: twice its text, and a Path behind it.
    reply_.text = pool_.take(2 * texts + kReplyHeadersMax *
                                             (kPathAttribute.size() + rules_.cookie_path.size()));
  }
  if (!reply_.text) return Error{Code::buffers_full, {}};
  // Enough for kReplyHeadersMax lines; keys that repeat can ask for more.
  return reply_.text.room() >= room ? ok() : invalid("it has too many headers");
}

std::string_view Reader::keep(size_t size) {
  const char* begin = reply_.text.data() + reply_.text.size();
  reply_.text.set_size(reply_.text.size() + size);
  return {begin, size};
}

Status Reader::read(std::string_view payload) {
  JsonScanner scanner(payload);
  const Kind kind = scanner.peek();
  if (kind == Kind::string) {
    JsonString text;
    if (!scanner.string(text) || !scanner.at_end()) return invalid("it is not valid JSON");
    reply_.body = text.raw;
    return text.escaped ? decode_body(text.raw, true) : ok();
  }
  reply_.body = payload;
  if (kind != Kind::object) {
    if (!scanner.skip_value() || !scanner.at_end()) return invalid("it is not valid JSON");
    return ok();
  }
  HEARTH_TRY(scan(scanner));
  return members_.status.empty() ? ok() : respond();
}

Status Reader::scan(JsonScanner& scanner) {
  scanner.enter(Kind::object);
  while (true) {
    JsonString key;
    const Step step = scanner.next_member(key);
    if (step == Step::end) break;
    std::string_view value;
    if (step == Step::error || !scanner.skip_value(&value))
      return invalid("it is not valid JSON, or nested too deep");
    if (std::string_view* member = members_.find(key)) *member = value;
  }
  return scanner.at_end() ? ok() : invalid("there is something behind its JSON");
}

Status Reader::respond() {
  HEARTH_TRY(read_status());
  if (members_.headers.size() + members_.multi_headers.size() + members_.cookies.size() >
      kReplyHeaderBytesMax) {
    return invalid("its headers are too large");
  }
  HEARTH_TRY(read_headers());
  HEARTH_TRY(read_multi_headers());
  HEARTH_TRY(read_cookies());
  return read_body();
}

Status Reader::read_status() {
  std::string_view text = members_.status;
  if (text.size() == 5 && text.front() == '"') text = text.substr(1, 3);
  if (text.size() != 3) return invalid("statusCode is not an integer from 200 to 599");
  unsigned status = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return invalid("statusCode is not an integer from 200 to 599");
    status = status * 10 + static_cast<unsigned>(c - '0');
  }
  // 1xx is not an end: a client would wait for the real answer, and take the next call's for it.
  if (status < 200 || status > 599) return invalid("statusCode is not an integer from 200 to 599");
  reply_.status = static_cast<uint16_t>(status);
  return ok();
}

Status Reader::header_text(const JsonString& string, std::string_view& text) {
  if (!string.escaped) {
    text = string.raw;
    return ok();
  }
  HEARTH_TRY(text_room(string.raw.size()));
  text = keep(json_unescape(reply_.text.data() + reply_.text.size(), string.raw));
  return ok();
}

Status Reader::scalar_text(JsonScanner& scanner, std::string_view& text, bool& present) {
  present = true;
  const Kind kind = scanner.peek();
  if (kind == Kind::string) {
    JsonString string;
    if (!scanner.string(string)) return invalid("it is not valid JSON");
    return header_text(string, text);
  }
  if (kind != Kind::scalar)
    return invalid("a header's value is neither a string nor a number nor a boolean");
  if (!scanner.skip_value(&text)) return invalid("it is not valid JSON");
  present = text != "null";
  return ok();
}

Status Reader::read_headers() {
  if (members_.headers.empty() || members_.headers == "null") return ok();
  JsonScanner scanner(members_.headers);
  if (!scanner.enter(Kind::object)) return invalid("headers is not an object");
  JsonString key;
  while (scanner.next_member(key) == Step::item) {
    std::string_view name;
    std::string_view value;
    bool present;
    HEARTH_TRY(header_text(key, name));
    HEARTH_TRY(scalar_text(scanner, value, present));
    if (present) HEARTH_TRY(add(name, value, true));
  }
  return ok();
}

Status Reader::read_multi_headers() {
  if (members_.multi_headers.empty() || members_.multi_headers == "null") return ok();
  JsonScanner scanner(members_.multi_headers);
  if (!scanner.enter(Kind::object)) return invalid("multiValueHeaders is not an object");
  JsonString key;
  while (scanner.next_member(key) == Step::item) {
    std::string_view name;
    HEARTH_TRY(header_text(key, name));
    // The list replaces what `headers` says under this name.
    size_t kept = 0;
    for (size_t i = 0; i < reply_.header_count; ++i) {
      if (!http::equals_ignoring_case(reply_.headers[i].name, name))
        reply_.headers[kept++] = reply_.headers[i];
    }
    reply_.header_count = kept;
    HEARTH_TRY(read_values(scanner, name));
  }
  return ok();
}

Status Reader::read_values(JsonScanner& scanner, std::string_view name) {
  if (!scanner.enter(Kind::array)) return invalid("a value of multiValueHeaders is not an array");
  while (scanner.next_element() == Step::item) {
    std::string_view value;
    bool present;
    HEARTH_TRY(scalar_text(scanner, value, present));
    if (present) HEARTH_TRY(add(name, value, false));
  }
  return ok();
}

Status Reader::read_cookies() {
  if (members_.cookies.empty() || members_.cookies == "null") return ok();
  JsonScanner scanner(members_.cookies);
  if (!scanner.enter(Kind::array)) return invalid("cookies is not an array");
  while (scanner.next_element() == Step::item) {
    JsonString string;
    std::string_view value;
    if (!scanner.string(string)) return invalid("a cookie is not a string");
    HEARTH_TRY(header_text(string, value));
    HEARTH_TRY(add("Set-Cookie", value, false));
  }
  return ok();
}

Status Reader::add(std::string_view name, std::string_view value, bool replace) {
  if (is_reserved(name)) return ok();
  value = trim(value);
  if (!http::valid_header(name, value))
    return invalid("a header's name or value is not allowed in HTTP");
  if (http::equals_ignoring_case(name, "content-type")) {
    reply_.content_type = value;
    return ok();
  }
  if (http::equals_ignoring_case(name, "set-cookie") && !rules_.cookie_path.empty())
    HEARTH_TRY(rewrite_cookie(value));
  // Only the very same key repeats: "Set-Cookie" and "set-cookie" are two headers, a known way to
  // send two cookies.
  for (size_t i = 0; replace && i < reply_.header_count; ++i) {
    if (reply_.headers[i].name == name) {
      reply_.headers[i].value = value;
      return ok();
    }
  }
  if (reply_.header_count == kReplyHeadersMax) return invalid("it has too many headers");
  reply_.headers[reply_.header_count++] = {name, value};
  return ok();
}

Status Reader::rewrite_cookie(std::string_view& value) {
  HEARTH_TRY(text_room(value.size() + kPathAttribute.size() + rules_.cookie_path.size()));
  char* const begin = reply_.text.data() + reply_.text.size();
  char* out = begin;
  for (size_t start = 0; start <= value.size();) {
    const size_t end = std::min(value.find(';', start), value.size());
    const std::string_view part = value.substr(start, end - start);
    const std::string_view attribute = trim(part.substr(0, part.find('=')));
    const bool dropped = start != 0 && (http::equals_ignoring_case(attribute, "path") ||
                                        http::equals_ignoring_case(attribute, "domain"));
    if (!dropped) {
      if (start != 0) *out++ = ';';
      std::memcpy(out, part.data(), part.size());
      out += part.size();
    }
    start = end + 1;
  }
  std::memcpy(out, kPathAttribute.data(), kPathAttribute.size());
  out += kPathAttribute.size();
  std::memcpy(out, rules_.cookie_path.data(), rules_.cookie_path.size());
  out += rules_.cookie_path.size();
  value = keep(static_cast<size_t>(out - begin));
  return ok();
}

Status Reader::read_body() {
  reply_.body = members_.body;
  if (members_.body.empty() || members_.body == "null") {
    reply_.body = {};
    return ok();
  }
  if (members_.body.front() != '"') return ok();
  JsonString string;
  JsonScanner scanner(members_.body);
  if (!scanner.string(string)) return invalid("it is not valid JSON");
  reply_.body = string.raw;
  const bool base64 = members_.is_base64 == "true";
  return string.escaped || base64 ? decode_body(string.raw, string.escaped) : ok();
}

Status Reader::decode_body(std::string_view raw, bool escaped) {
  if (raw.empty()) return ok();
  reply_.decoded = pool_.take(raw.size() + 2);
  if (!reply_.decoded) return Error{Code::buffers_full, {}};
  char* const out = reply_.decoded.data();
  std::string_view text = raw;
  if (escaped) text = {out, json_unescape(out, raw)};
  size_t size = text.size();
  if (members_.is_base64 == "true") {
    const std::optional<size_t> decoded = base64_decode(out, text);
    if (!decoded) return invalid("isBase64Encoded is true, but body is not base64");
    size = *decoded;
  }
  reply_.decoded.set_size(size);
  reply_.body = reply_.decoded.view();
  return ok();
}

}  // namespace

Status read_http_reply(std::string_view payload, const ReplyRules& rules, BufferPool& pool,
                       HttpReply& reply) {
  HEARTH_ASSERT(rules.cookie_path.size() <= kCookiePathMax);
  return Reader(rules, pool, reply).read(payload);
}

}  // namespace hearth::api
