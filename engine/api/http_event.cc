#include "api/http_event.h"

#include <algorithm>
#include <cstring>

#include "api/byte_writer.h"
#include "api/guard.h"
#include "api/percent.h"
#include "base/base64.h"

namespace hearth::api {
namespace {

using http::HeaderView;

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_cookie(const HeaderView& header) {
  return header.name.size() == 6 && http::equals_ignoring_case(header.name, "cookie");
}

bool same_name(const HeaderView& a, const HeaderView& b) {
  return a.name.size() == b.name.size() && http::equals_ignoring_case(a.name, b.name);
}

void write_lower(ByteWriter& out, std::string_view name) {
  if (!out.reserve(json_escaped_max(name.size()))) return;
  char* const begin = out.end();
  char* const end = write_json_escaped(begin, name);
  std::transform(begin, end, begin,
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  out.commit(end);
}

// Decodes to the far end of the room, then escapes to its beginning: the escaped text can't reach
// what it is still reading.
void write_decoded(ByteWriter& out, std::string_view encoded) {
  if (!out.reserve(json_escaped_max(encoded.size()) + encoded.size())) return;
  char* const decoded = out.end() + json_escaped_max(encoded.size());
  const size_t size = percent_decode(decoded, encoded, Plus::space);
  out.commit(write_json_escaped(out.end(), {decoded, size}));
}

void write_cookies(ByteWriter& out, std::span<const HeaderView> headers) {
  bool first = true;
  for (const HeaderView& header : headers) {
    if (!is_cookie(header)) continue;
    for (size_t start = 0; start <= header.value.size();) {
      const size_t end = std::min(header.value.find(';', start), header.value.size());
      const std::string_view cookie = trim(header.value.substr(start, end - start));
      start = end + 1;
      if (cookie.empty()) continue;
      out.raw(first ? R"(,"cookies":[)" : ",");
      out.quoted(cookie);
      first = false;
    }
  }
  if (!first) out.raw("]");
}

bool is_forwarded_for(const HeaderView& header) {
  return header.name.size() == 15 && http::equals_ignoring_case(header.name, "x-forwarded-for");
}

// Headers that the event has elsewhere, or of which it has the engine's own.
bool is_replaced(const HeaderView& header) {
  switch (header.name.size()) {
    case 6:
      return is_cookie(header);
    case 15:
      return is_forwarded_for(header);
    case 16:
      return http::equals_ignoring_case(header.name, "x-forwarded-port");
    case 17:
      return http::equals_ignoring_case(header.name, "x-forwarded-proto");
    default:
      return false;
  }
}

// The client's address stands behind what the proxies before it have told.
void write_forwarded(ByteWriter& out, const http::Request& request) {
  out.raw(R"("x-forwarded-for":")");
  for (const HeaderView& header : request.headers) {
    if (!is_forwarded_for(header) || header.value.empty()) continue;
    out.escaped(header.value);
    out.raw(", ");
  }
  out.escaped(request.peer);
  out.raw(R"(","x-forwarded-proto":"http","x-forwarded-port":")");
  const std::string_view port = host_port(request.host);
  out.raw(port.empty() ? "80" : port);
  out.raw("\"");
}

// Tells long names apart without comparing each with each, which a client could make expensive. The
// start value is random, so that names of one hash can't be prepared.
class NameHash {
 public:
  explicit NameHash(const RequestId& seed) { std::memcpy(&hash_, seed.bytes.data(), sizeof hash_); }
  void add(char c) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    hash_ = (hash_ ^ static_cast<unsigned char>(lower)) * 0x9E3779B97F4A7C15u;
  }
  uint32_t value() const { return static_cast<uint32_t>(hash_ >> 32); }

 private:
  uint64_t hash_ = 0;
};

// Headers of one name become one member, where the first of them stands. The number of headers is
// limited by the server.
void write_headers(ByteWriter& out, const http::Request& request, const RequestId& seed) {
  constexpr size_t kHashesMax = 1'024;  // what is behind them is compared by name alone
  const std::span<const HeaderView> headers = request.headers;
  std::array<uint32_t, kHashesMax> hashes;
  const size_t hashed = std::min(headers.size(), kHashesMax);
  for (size_t i = 0; i < hashed; ++i) {
    NameHash hash(seed);
    for (const char c : headers[i].name) hash.add(c);
    hashes[i] = hash.value();
  }
  const auto same = [&](size_t i, size_t j) {
    if (i < hashed && j < hashed && hashes[i] != hashes[j]) return false;
    return same_name(headers[i], headers[j]);
  };
  out.raw(R"(,"headers":{)");
  for (size_t i = 0; i < headers.size(); ++i) {
    if (is_replaced(headers[i])) continue;
    size_t earlier = 0;
    while (earlier < i && !same(earlier, i)) ++earlier;
    if (earlier < i) continue;
    out.raw("\"");
    write_lower(out, headers[i].name);
    out.raw("\":\"");
    out.escaped(headers[i].value);
    for (size_t j = i + 1; j < headers.size(); ++j) {
      if (!same(i, j)) continue;
      out.raw(",");
      out.escaped(headers[j].value);
    }
    out.raw("\",");
  }
  write_forwarded(out, request);
  out.raw("}");
}

// False: too many pairs.
bool write_query(ByteWriter& out, std::string_view query, const RequestId& seed) {
  std::array<QueryPair, kQueryParametersMax> pairs;
  std::array<uint32_t, kQueryParametersMax> hashes;
  size_t count = 0;
  QueryPair pair;
  while (next_query_pair(query, pair)) {
    if (count == pairs.size()) return false;
    NameHash hash(seed);
    for (size_t at = 0; at < pair.key.size();) hash.add(percent_next(pair.key, at, Plus::space));
    hashes[count] = hash.value();
    pairs[count++] = pair;
  }
  if (count == 0) return true;
  out.raw(R"(,"queryStringParameters":{)");
  bool first = true;
  for (size_t i = 0; i < count; ++i) {
    const auto same = [&](size_t j) {
      return hashes[i] == hashes[j] && percent_equal(pairs[i].key, pairs[j].key, Plus::space);
    };
    size_t earlier = 0;
    while (earlier < i && !same(earlier)) ++earlier;
    if (earlier < i) continue;
    out.raw(first ? "\"" : ",\"");
    first = false;
    write_decoded(out, pairs[i].key);
    out.raw("\":\"");
    write_decoded(out, pairs[i].value);
    for (size_t j = i + 1; j < count; ++j) {
      if (!same(j)) continue;
      out.raw(",");
      write_decoded(out, pairs[j].value);
    }
    out.raw("\"");
  }
  out.raw("}");
  return true;
}

void write_context(ByteWriter& out, const HttpEventSource& source, std::string_view time,
                   int64_t epoch_ms) {
  const http::Request& request = source.request;
  out.raw(R"(,"requestContext":{"accountId":"anonymous","apiId":")");
  out.raw(source.function);
  out.raw(R"(","domainName":")");
  out.escaped(host_name(request.host));
  out.raw(R"(","domainPrefix":")");
  out.raw(source.function);
  out.raw(R"(","http":{"method":")");
  out.escaped(request.method);
  out.raw(R"(","path":")");
  out.escaped(source.raw_path);
  out.raw(request.http_1_0 ? R"(","protocol":"HTTP/1.0","sourceIp":")"
                           : R"(","protocol":"HTTP/1.1","sourceIp":")");
  out.escaped(request.peer);
  out.raw(R"(","userAgent":")");
  out.escaped(request.header("user-agent"));
  out.raw(R"("},"requestId":")");
  if (out.reserve(RequestId::kTextSize)) {
    source.request_id.write_text(out.end());
    out.commit(out.end() + RequestId::kTextSize);
  }
  out.raw(R"(","routeKey":"$default","stage":"$default","time":")");
  out.raw(time);
  out.raw(R"(","timeEpoch":)");
  out.number(epoch_ms);
  out.raw("}");
}

void write_body(ByteWriter& out, const http::Request& request) {
  const std::string_view body = request.body;
  if (body.empty()) {
    out.raw(R"(,"isBase64Encoded":false})");
    return;
  }
  out.raw(R"(,"body":")");
  std::optional<size_t> size;
  if (is_text_content(request.header("content-type"))) size = json_escaped_size(body);
  constexpr size_t kRest = 32;  // what follows the body: one growth for both
  if (size) {
    if (out.reserve(*size + kRest)) out.commit(write_json_escaped(out.end(), body));
  } else if (out.reserve(base64_encoded_size(body.size()) + kRest)) {
    out.commit(base64_encode(out.end(), body));
  }
  out.raw(size ? R"(","isBase64Encoded":false})" : R"(","isBase64Encoded":true})");
}

bool ends_with_ignoring_case(std::string_view text, std::string_view end) {
  return text.size() >= end.size() &&
         http::equals_ignoring_case(text.substr(text.size() - end.size()), end);
}

void two_digits(char* out, int64_t value) {
  out[0] = static_cast<char>('0' + value / 10 % 10);
  out[1] = static_cast<char>('0' + value % 10);
}

}  // namespace

bool is_text_content(std::string_view content_type) {
  const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  if (type.empty() || http::equals_ignoring_case(type.substr(0, 5), "text/")) return true;
  static constexpr std::string_view kText[] = {
      "application/json",    "application/x-www-form-urlencoded",
      "application/xml",     "application/javascript",
      "application/graphql", "application/x-ndjson"};
  for (const std::string_view text : kText) {
    if (http::equals_ignoring_case(type, text)) return true;
  }
  return ends_with_ignoring_case(type, "+json") || ends_with_ignoring_case(type, "+xml");
}

// "12/Mar/2020:19:03:58 +0000". Kept for the second that it tells.
std::string_view HttpEventWriter::time_text(int64_t epoch_seconds) {
  if (epoch_seconds != time_second_) {
    using std::chrono::days;
    const std::chrono::sys_seconds moment{seconds(epoch_seconds)};
    const auto day = std::chrono::floor<days>(moment);
    const std::chrono::year_month_day date(day);
    const int64_t second = (moment - day).count();
    const int year = static_cast<int>(date.year());
    static constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
    std::memcpy(time_.data(), "00/Mon/0000:00:00:00 +0000", time_.size());
    two_digits(&time_[0], static_cast<unsigned>(date.day()));
    std::memcpy(&time_[3], kMonths.data() + 3 * (static_cast<unsigned>(date.month()) - 1), 3);
    two_digits(&time_[7], year / 100);
    two_digits(&time_[9], year % 100);
    two_digits(&time_[12], second / 3600);
    two_digits(&time_[15], second / 60 % 60);
    two_digits(&time_[18], second % 60);
    time_second_ = epoch_seconds;
  }
  return {time_.data(), time_.size()};
}

Result<Buffer> HttpEventWriter::write(const HttpEventSource& source) {
  const http::Request& request = source.request;
  const int64_t epoch_ms = to_ms(clock_.wall().time_since_epoch());
  // Most events with a small body fit the pool's smallest class; a larger body is foreseen, so that
  // it is not moved.
  ByteWriter out(pool_, request.body.size() < 1024
                            ? 2048
                            : request.body.size() + request.body.size() / 3 + 4096);
  out.raw(R"({"version":"2.0","routeKey":"$default","rawPath":")");
  out.escaped(source.raw_path);
  out.raw(R"(","rawQueryString":")");
  out.escaped(request.query);
  out.raw("\"");
  write_cookies(out, request.headers);
  write_headers(out, request, source.request_id);
  if (!request.query.empty() && !write_query(out, request.query, source.request_id)) {
    return Error{Code::invalid_parameter, "the query has more than 256 parameters"};
  }
  write_context(out, source, time_text(epoch_ms / 1000), epoch_ms);
  write_body(out, request);
  if (out.failed()) return Error{Code::buffers_full, {}};
  return out.take();
}

}  // namespace hearth::api
