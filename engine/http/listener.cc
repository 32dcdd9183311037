#include "http/listener.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "http/server_core.h"

namespace hearth::http {
namespace {

constexpr int kBacklog = 4096;
// A turn accepts so many at most: connections that are already there get their share of it.
constexpr int kAcceptsPerTurn = 64;
constexpr milliseconds kAcceptPause{100};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* any() { return reinterpret_cast<sockaddr*>(&storage); }
};

Result<SocketAddress> parse_address(std::string_view text) {
  const Error wrong{Code::invalid_parameter,
                    fmt::format("'{}' is not an address to listen on: it is written "
                                "127.0.0.1:4327, [::1]:4327 or localhost:4327",
                                text)};
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong;
  std::string host(text.substr(0, colon));
  const std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size()) return wrong;

  SocketAddress address;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.size = sizeof *v6;
    if (inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6->sin6_addr) != 1)
      return wrong;
    return address;
  }
  if (host == "localhost") host = "127.0.0.1";
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  v4->sin_family = AF_INET;
  v4->sin_port = htons(port);
  address.size = sizeof *v4;
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) != 1) return wrong;
  return address;
}

Peer describe(const sockaddr_storage& storage) {
  Peer peer;
  if (storage.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&storage);
    inet_ntop(AF_INET6, &v6->sin6_addr, peer.text, sizeof peer.text);
    peer.port = ntohs(v6->sin6_port);
  } else {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
    inet_ntop(AF_INET, &v4->sin_addr, peer.text, sizeof peer.text);
    peer.port = ntohs(v4->sin_port);
  }
  return peer;
}

bool is_loopback(const sockaddr_storage& storage) {
  if (storage.ss_family == AF_INET6)
    return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr);
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
  return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

// What accepted connections inherit. On the loopback interface there is no network to be fair to:
// reno never paces and does the least work a segment, where a system's default may be bbr.
void set_inherited_options(int fd, const sockaddr_storage& address) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (is_loopback(address)) setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
}

bool out_of_resources(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

Result<std::string> Listener::open(std::string_view text) {
  SocketAddress address = HEARTH_TRY(parse_address(text));
  const int family = address.storage.ss_family;
  fd_.reset(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  bool listening =
      fd_.valid() && setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
  if (listening && family == AF_INET6)
    listening = setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0;
  if (listening) set_inherited_options(fd_.get(), address.storage);
  listening = listening && ::bind(fd_.get(), address.any(), address.size) == 0 &&
              ::listen(fd_.get(), kBacklog) == 0 &&
              ::getsockname(fd_.get(), address.any(), &address.size) == 0;
  if (!listening)
    return Error{Code::listen_failed, fmt::format("{}: {}", text, std::strerror(errno))};
  auto watched = poll_.start(core_.loop, fd_.get(), UV_READABLE,
                             Poll::EventFn::to<&Listener::on_events>(this));
  if (!watched) return std::move(watched).error();
  const Peer self = describe(address.storage);
  if (family == AF_INET6) return fmt::format("[{}]:{}", self.text, self.port);
  return fmt::format("{}:{}", self.text, self.port);
}

Status Listener::adopt(UniqueFd fd) {
  fd_ = std::move(fd);
  return poll_.start(core_.loop, fd_.get(), UV_READABLE,
                     Poll::EventFn::to<&Listener::on_events>(this));
}

void Listener::on_events(int) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    SocketAddress from;
    from.size = sizeof from.storage;
    UniqueFd fd(::accept4(fd_.get(), from.any(), &from.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.valid()) {
      // The socket stays readable while a client waits: without a pause the loop would spin.
      if (out_of_resources(errno)) {
        core_.log.warning("http", "no connection can be accepted: {}", std::strerror(errno));
        poll_.set(0);
        core_.loop.timers().arm(pause_, core_.loop.now() + kAcceptPause,
                                Callback<void()>::to<&Listener::resume>(this));
        return;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      continue;  // this client is gone already
    }
    core_.accepted(std::move(fd), describe(from.storage), *this);
  }
}

void Listener::resume() { poll_.set(UV_READABLE); }

}  // namespace hearth::http
