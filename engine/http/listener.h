// A listening socket. Internal to this folder.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/timer_wheel.h"
#include "base/unique_fd.h"
#include "loop/poll.h"

namespace hearth::http {

class ServerCore;

// A client's address.
struct Peer {
  char text[46] = {};  // "127.0.0.1", "::1"
  uint16_t port = 0;
};

class Listener {
 public:
  Listener(ServerCore& core, bool functions_only, uint32_t id = 0, uint32_t connections_max = 0)
      : core_(core), functions_only_(functions_only), id_(id), connections_max_(connections_max) {}
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // "host:port": an IPv4 literal, an IPv6 literal in brackets, or localhost. Returns the same with
  // the real port. Errors: invalid_parameter, listen_failed.
  Result<std::string> open(std::string_view address);
  // Takes a socket that listens already.
  Status adopt(UniqueFd fd);

  uint32_t id() const { return id_; }
  bool functions_only() const { return functions_only_; }
  // Connections of an adopted socket.
  bool full() const { return id_ != 0 && connections_ >= connections_max_; }
  void opened() { ++connections_; }
  void closed() { --connections_; }

 private:
  void on_events(int events);
  void resume();

  ServerCore& core_;
  const bool functions_only_;
  const uint32_t id_;
  const uint32_t connections_max_;
  uint32_t connections_ = 0;
  UniqueFd fd_;
  Poll poll_;
  Timer pause_;  // after an accept() that failed for want of descriptors or memory
};

}  // namespace hearth::http
