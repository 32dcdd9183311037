#include "http/client.h"

#include <fmt/core.h>
#include <llhttp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include "http/message.h"

namespace hearth::http {
namespace {

using TimePoint = std::chrono::steady_clock::time_point;

constexpr size_t kHeadMax = 256 * 1024;  // of a response
constexpr size_t kReadSize = 64 * 1024;

// Waits until `fd` is ready or the deadline has passed; false: passed.
bool wait_for(int fd, short events, TimePoint deadline) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now())
            .count();
    if (left <= 0) return false;
    pollfd watched{fd, events, 0};
    const int n = ::poll(&watched, 1, static_cast<int>(std::min<int64_t>(left, 1 << 30)));
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return false;
  }
}

// Collects one response. The guard is not needed here: a daemon's answers are not mixed with those
// for anybody else.
class ResponseParser {
 public:
  ResponseParser(size_t body_max, bool is_head) : body_max_(body_max), is_head_(is_head) {
    llhttp_init(&llhttp_, HTTP_RESPONSE, settings());
    llhttp_.data = this;
  }
  ResponseParser(const ResponseParser&) = delete;
  ResponseParser& operator=(const ResponseParser&) = delete;

  bool done() const { return done_; }
  bool keep_alive() const { return keep_alive_; }
  ClientResponse& response() { return response_; }

  Status feed(std::string_view bytes) {
    const llhttp_errno_t error = llhttp_execute(&llhttp_, bytes.data(), bytes.size());
    if (too_long_)
      return Error{Code::io_failed, fmt::format("the response is longer than {} bytes", body_max_)};
    if (error == HPE_OK || (error == HPE_PAUSED && done_)) return ok();
    return Error{Code::http_malformed, fmt::format("the response can't be parsed: {}",
                                                   llhttp_get_error_reason(&llhttp_))};
  }
  // The peer has closed: the end of a response without a length, or a response that is not
  // complete.
  Status feed_end() {
    llhttp_finish(&llhttp_);
    keep_alive_ = false;
    if (done_) return ok();
    return Error{Code::io_failed, "the connection was closed before the response was complete"};
  }

 private:
  static ResponseParser& self(llhttp_t* llhttp) {
    return *static_cast<ResponseParser*>(llhttp->data);
  }

  bool count_head(size_t length) {
    head_bytes_ += length;
    too_long_ = too_long_ || head_bytes_ > kHeadMax;
    return !too_long_;
  }
  static int on_header_field(llhttp_t* llhttp, const char* at, size_t length) {
    ResponseParser& p = self(llhttp);
    if (p.in_body_) return 0;
    if (!p.in_name_) p.response_.headers.emplace_back();
    p.in_name_ = true;
    std::transform(at, at + length, std::back_inserter(p.response_.headers.back().first),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
    return p.count_head(length) ? 0 : -1;
  }
  static int on_header_field_complete(llhttp_t* llhttp) {
    self(llhttp).in_name_ = false;
    return 0;
  }
  static int on_header_value(llhttp_t* llhttp, const char* at, size_t length) {
    ResponseParser& p = self(llhttp);
    if (p.in_body_) return 0;
    p.response_.headers.back().second.append(at, length);
    return p.count_head(length) ? 0 : -1;
  }
  static int on_headers_complete(llhttp_t* llhttp) {
    ResponseParser& p = self(llhttp);
    p.response_.status = llhttp_get_status_code(llhttp);
    p.keep_alive_ = llhttp_should_keep_alive(llhttp) != 0;
    if (p.response_.status >= 200) p.in_body_ = true;
    return p.is_head_ ? 1 : 0;
  }
  static int on_body(llhttp_t* llhttp, const char* at, size_t length) {
    ResponseParser& p = self(llhttp);
    if (p.response_.body.size() + length > p.body_max_) {
      p.too_long_ = true;
      return -1;
    }
    p.response_.body.append(at, length);
    return 0;
  }
  static int on_message_complete(llhttp_t* llhttp) {
    ResponseParser& p = self(llhttp);
    if (p.response_.status < 200) {
      p.response_ = {};  // 100 Continue and its like: the response is still to come
      return 0;
    }
    p.done_ = true;
    return HPE_PAUSED;
  }
  static const llhttp_settings_t* settings() {
    static const llhttp_settings_t table = [] {
      llhttp_settings_t s;
      llhttp_settings_init(&s);
      s.on_header_field = &on_header_field;
      s.on_header_field_complete = &on_header_field_complete;
      s.on_header_value = &on_header_value;
      s.on_headers_complete = &on_headers_complete;
      s.on_body = &on_body;
      s.on_message_complete = &on_message_complete;
      return s;
    }();
    return &table;
  }

  llhttp_t llhttp_;
  ClientResponse response_;
  const size_t body_max_;
  const bool is_head_;
  size_t head_bytes_ = 0;
  bool in_name_ = false;
  bool in_body_ = false;  // what comes as a header now is a trailer
  bool done_ = false;
  bool keep_alive_ = false;
  bool too_long_ = false;
};

Error timed_out(std::string_view url) {
  return Error{Code::io_failed, fmt::format("{} did not answer in time", url)};
}

Error unreachable(std::string_view url, std::string_view why) {
  return Error{
      Code::server_unreachable,
      fmt::format("{}: {}; is the daemon running? Start it with `hearth serve`", url, why)};
}

bool valid_request(const ClientRequest& request) {
  const auto plain = [](std::string_view text) {
    return !text.empty() &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  };
  return plain(request.method) && plain(request.target) &&
         std::all_of(request.headers.begin(), request.headers.end(),
                     [](const auto& header) { return valid_header(header.first, header.second); });
}

}  // namespace

std::string_view ClientResponse::header(std::string_view lower) const {
  for (const auto& [name, value] : headers) {
    if (name == lower) return value;
  }
  return {};
}

Result<Client> Client::open(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  const auto wrong = [&](std::string_view why) {
    return Error{Code::usage,
                 fmt::format("'{}' is not a server's URL: {}; it is written http://127.0.0.1:4327",
                             url, why)};
  };
  if (!equals_ignoring_case(url.substr(0, kScheme.size()), kScheme))
    return wrong("only http:// is spoken");
  std::string_view rest = url.substr(kScheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const bool plain =
      std::all_of(rest.begin(), rest.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!plain || rest.find_first_of("/?#@") != std::string_view::npos)
    return wrong("it has more than a host and a port");

  Client client;
  client.url_ = std::string(kScheme).append(rest);
  client.host_header_ = rest;
  const size_t bracket = rest.starts_with('[') ? rest.find(']') : std::string_view::npos;
  const size_t colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  const std::string_view host = rest.substr(0, colon);
  client.host_ = bracket == std::string_view::npos ? host : host.substr(1, bracket - 1);
  client.port_ = colon == std::string_view::npos ? "80" : rest.substr(colon + 1);
  uint16_t number = 0;
  const auto [end, error] =
      std::from_chars(client.port_.data(), client.port_.data() + client.port_.size(), number);
  if (client.host_.empty()) return wrong("it has no host");
  if (error != std::errc() || end != client.port_.data() + client.port_.size() || number == 0)
    return wrong("its port is not a number");
  return client;
}

Status Client::connect(TimePoint deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(host_.c_str(), port_.c_str(), &hints, &found);
  if (failed != 0) return unreachable(url_, gai_strerror(failed));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, &freeaddrinfo);
  int error = 0;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    fd_.reset(::socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    error = errno;
    if (!fd_.valid()) continue;
    error = ::connect(fd_.get(), a->ai_addr, a->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      if (!wait_for(fd_.get(), POLLOUT, deadline)) {
        error = ETIMEDOUT;
        break;
      }
      socklen_t size = sizeof error;
      getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    }
    if (error != 0) continue;
    const int on = 1;
    setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return ok();
  }
  fd_.reset();
  return unreachable(url_, std::strerror(error));
}

// One request and its response on a connection that stands.
class Client::Exchange {
 public:
  Exchange(const Client& client, const ClientRequest& request, TimePoint deadline,
           size_t response_max)
      : client_(client),
        body_(request.body),
        deadline_(deadline),
        parser_(response_max, request.method == "HEAD") {
    head_ = fmt::format("{} {} HTTP/1.1\r\n", request.method, request.target);
    const bool names_host =
        std::any_of(request.headers.begin(), request.headers.end(),
                    [](const auto& header) { return equals_ignoring_case(header.first, "host"); });
    if (!names_host) head_.append("Host: ").append(client.host_header_).append("\r\n");
    for (const auto& [name, value] : request.headers)
      head_.append(name).append(": ").append(value).append("\r\n");
    const bool has_length = !body_.empty() || (request.method != "GET" && request.method != "HEAD");
    if (has_length) head_.append(fmt::format("Content-Length: {}\r\n", body_.size()));
    head_.append("\r\n");
  }

  // Sends and receives at the same time: a server may answer, and stop reading, before it has the
  // whole body.
  Status run() {
    std::string buffer(kReadSize, '\0');
    while (!parser_.done()) {
      const bool sending = !send_failed_ && sent_ < head_.size() + body_.size();
      if (!wait_for(client_.fd_.get(), static_cast<short>(POLLIN | (sending ? POLLOUT : 0)),
                    deadline_))
        return timed_out(client_.url_);
      if (sending) send_some();
      const ssize_t n = ::recv(client_.fd_.get(), buffer.data(), buffer.size(), 0);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (n < 0 && !received_) stale_ = true;
      if (n < 0)
        return Error{Code::io_failed, fmt::format("the connection to {} broke: {}", client_.url_,
                                                  std::strerror(errno))};
      if (n == 0) {
        stale_ = !received_;
        return parser_.feed_end();
      }
      received_ = true;
      HEARTH_TRY(parser_.feed({buffer.data(), static_cast<size_t>(n)}));
    }
    return ok();
  }

  ClientResponse& response() { return parser_.response(); }
  bool reusable() const { return parser_.keep_alive() && sent_ == head_.size() + body_.size(); }
  // The server closed without a byte of a response: what a kept connection does that had been idle
  // for too long.
  bool stale() const { return stale_; }

 private:
  void send_some() {
    std::string_view parts[] = {head_, body_};
    iovec vectors[2];
    size_t skip = sent_;
    for (size_t i = 0; i < 2; ++i) {
      const size_t left_out = std::min(skip, parts[i].size());
      skip -= left_out;
      vectors[i] = {const_cast<char*>(parts[i].data() + left_out), parts[i].size() - left_out};
    }
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = 2;
    const ssize_t n = ::sendmsg(client_.fd_.get(), &message, MSG_NOSIGNAL);
    if (n > 0) sent_ += static_cast<size_t>(n);
    // The reason may have come as a response; recv() tells.
    if (n < 0 && errno != EAGAIN && errno != EINTR) send_failed_ = true;
  }

  const Client& client_;
  const std::string& body_;
  const TimePoint deadline_;
  std::string head_;
  ResponseParser parser_;
  size_t sent_ = 0;
  bool send_failed_ = false;
  bool received_ = false;
  bool stale_ = false;
};

Result<ClientResponse> Client::call(const ClientRequest& request, std::chrono::milliseconds timeout,
                                    size_t response_max) {
  if (!valid_request(request))
    return Error{Code::usage, "the request has a method, target or header that can't be sent"};
  const TimePoint deadline = std::chrono::steady_clock::now() + timeout;
  while (true) {
    const bool reused = fd_.valid();
    if (!reused) HEARTH_TRY(connect(deadline));
    Exchange exchange(*this, request, deadline, response_max);
    const Status status = exchange.run();
    if (!status || !exchange.reusable()) fd_.reset();
    if (status) return std::move(exchange.response());
    if (!(reused && exchange.stale())) return status.error();
  }
}

}  // namespace hearth::http
