#include "http/response.h"

#include <charconv>
#include <cstring>
#include <ctime>

namespace hearth::http {
namespace {

struct StatusText {
  uint16_t status;
  std::string_view reason;
};

constexpr StatusText kReasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {418, "I'm a teapot"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {511, "Network Authentication Required"},
};

// Status line, Date, framing and Connection lines, at their longest.
constexpr size_t kFixedBytes = 256;
constexpr size_t kPerHeader = 4;  // ": " and CRLF

class Appender {
 public:
  explicit Appender(char* out) : begin_(out), at_(out) {}
  Appender& operator<<(std::string_view text) {
    if (!text.empty()) std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
    return *this;
  }
  Appender& operator<<(uint64_t number) {
    at_ = std::to_chars(at_, at_ + 20, number).ptr;
    return *this;
  }
  size_t size() const { return static_cast<size_t>(at_ - begin_); }

 private:
  char* begin_;
  char* at_;
};

}  // namespace

std::string_view reason_phrase(uint16_t status) {
  if (status == 200) return "OK";
  for (const StatusText& known : kReasons) {
    if (known.status == status) return known.reason;
  }
  return {};
}

size_t head_size_bound(const ResponseHead& head) {
  size_t bytes = kFixedBytes + head.content_type.size();
  for (const HeaderView& header : head.headers)
    bytes += header.name.size() + header.value.size() + kPerHeader;
  return bytes;
}

size_t write_head(char* out, const ResponseHead& head, const ResponseFraming& framing) {
  Appender to(out);
  const uint16_t status = final_status(head.status);
  to << "HTTP/1.1 " << uint64_t{status} << " " << reason_phrase(status)
     << "\r\nDate: " << framing.date << "\r\n";
  if (!head.content_type.empty()) to << "Content-Type: " << head.content_type << "\r\n";
  if (framing.length == BodyLength::counted) to << "Content-Length: " << framing.bytes << "\r\n";
  if (framing.length == BodyLength::chunked) to << "Transfer-Encoding: chunked\r\n";
  if (framing.connection == ConnectionHeader::close) to << "Connection: close\r\n";
  if (framing.connection == ConnectionHeader::keep_alive) to << "Connection: keep-alive\r\n";
  for (const HeaderView& header : head.headers) to << header.name << ": " << header.value << "\r\n";
  to << "\r\n";
  return to.size();
}

size_t write_chunk_line(char* out, size_t size) {
  char* end = std::to_chars(out, out + 16, size, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  return static_cast<size_t>(end - out);
}

std::string_view DateCache::at(MonotonicTime now, const Clock& clock) {
  if (now >= valid_until_) {
    constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const auto wall = clock.wall().time_since_epoch();
    const auto whole = std::chrono::floor<seconds>(wall);
    const time_t t = whole.count();
    tm utc{};
    gmtime_r(&t, &utc);
    // Names by hand: strftime would take them from the locale.
    char text[64];
    std::strftime(text, sizeof text, "xxx, %d xxx %Y %H:%M:%S GMT", &utc);
    std::memcpy(text, kDays[utc.tm_wday], 3);
    std::memcpy(text + 8, kMonths[utc.tm_mon], 3);
    std::memcpy(text_, text, sizeof text_ - 1);
    valid_until_ = now + (whole + seconds(1) - wall);
  }
  return {text_, sizeof text_ - 1};
}

}  // namespace hearth::http
