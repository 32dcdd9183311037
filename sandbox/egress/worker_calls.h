// What the worker's side of the tests calls. It runs under the filter, after a fork: results are
// numbers, and nothing of the test framework is used.
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "base/unique_fd.h"
#include "sandbox/egress/dns.h"

namespace hearth::sandbox::egress::worker {

struct Place {
  sockaddr_storage address{};
  socklen_t size = 0;
  int family = 0;
};

inline Place place(const char* text, uint16_t port) {
  Place out;
  auto* four = reinterpret_cast<sockaddr_in*>(&out.address);
  auto* six = reinterpret_cast<sockaddr_in6*>(&out.address);
  if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    out.size = sizeof *four;
  } else if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    out.size = sizeof *six;
  }
  out.family = out.address.ss_family;
  return out;
}

inline int connect_fd(int fd, const char* text, uint16_t port) {
  const Place to = place(text, port);
  return connect(fd, reinterpret_cast<const sockaddr*>(&to.address), to.size) == 0 ? 0 : errno;
}

// 0: connected, and the server's greeting came. Else the errno of connect, or 1000 if no greeting.
inline int reach(const char* text, uint16_t port) {
  UniqueFd fd(socket(place(text, port).family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (const int error = connect_fd(fd.get(), text, port)) return error;
  char greeting[32] = {};
  return read(fd.get(), greeting, sizeof greeting - 1) > 0 && strncmp(greeting, "port ", 5) == 0
             ? 0
             : 1000;
}

struct Looked {
  int rcode = -1;  // -1: no answer within 5 s
  size_t count = 0;
  uint32_t ttl = 0;
  std::string first;
};

inline Looked look_up(const char* name, uint16_t type = dns::kTypeA) {
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (connect_fd(fd.get(), "127.0.0.1", 53) != 0) return {};
  uint8_t packet[dns::kUdpMax];
  const size_t size = dns::build_question(7, name, type, packet);
  if (send(fd.get(), packet, size, 0) != static_cast<ssize_t>(size)) return {};
  pollfd ready{fd.get(), POLLIN, 0};
  if (poll(&ready, 1, 5'000) != 1) return {};
  const ssize_t n = recv(fd.get(), packet, sizeof packet, 0);
  dns::Found found;
  if (n < 0 || !dns::parse_answer({packet, static_cast<size_t>(n)}, 7, name, type, found))
    return {-2, 0, 0, {}};
  Looked out{static_cast<int>(found.rcode), found.count, found.ttl, {}};
  char text[64] = "";
  if (found.count > 0)
    inet_ntop(type == dns::kTypeA ? AF_INET : AF_INET6,
              found.addresses[0].bytes + (type == dns::kTypeA ? 12 : 0), text, sizeof text);
  out.first = text;
  return out;
}

}  // namespace hearth::sandbox::egress::worker
