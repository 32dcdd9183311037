// Answers the worker's connect, bind and listen. Never lets a call go on: what is harmless the
// broker does itself on the worker's socket, and what leaves the sandbox on a socket of its own,
// which then takes the place of the worker's (engine/design/0007-network.md). Doesn't block.
// Where the sandbox has the host's network, all is done on the worker's socket, but the engine's
// listeners and abstract local sockets are refused.
#pragma once
#include <linux/seccomp.h>

#include "sandbox/egress/poller.h"
#include "sandbox/egress/remote.h"
#include "sandbox/egress/reporter.h"
#include "sandbox/egress/rules.h"

namespace hearth::sandbox::egress {

class Broker {
 public:
  // `notify`: the listener of the worker's filter; `proc`: a folder of procfs. They stay the
  // caller's.
  Broker(int notify, int proc, bool host_network, const Poller& poller, const Rules& rules,
         Reporter& reporter);

  // False: this kernel can't tell network namespaces apart, or has other notification sizes.
  bool usable() const { return own_network_ != 0; }

  void on_readable(int64_t now_ms);
  void on_pending(uint32_t index, int64_t now_ms);
  // Ends what waited too long. Returns the milliseconds to the next such end, or -1.
  int check_deadlines(int64_t now_ms);

 private:
  // A blocking connect of the worker; its thread waits in the kernel.
  struct Pending {
    bool used = false;
    bool replaces = false;  // the worker's socket by `socket`; else `socket` is the worker's
    uint64_t id = 0;
    int tid = 0, fd = 0;
    int64_t deadline_ms = 0;
    Target target;
    UniqueFd socket;
  };

  void answer(uint64_t id, int error) const;
  bool alive(uint64_t id) const;
  void on_connect(const seccomp_notif& call, int64_t now_ms);
  void connect_on_host(const seccomp_notif& call, Target& target, const sockaddr_storage& to,
                       socklen_t size, int64_t now_ms);
  void on_bind(const seccomp_notif& call);
  void on_listen(const seccomp_notif& call);
  int read_address(const seccomp_notif& call, sockaddr_storage& to, socklen_t& size) const;
  void connect_inside(const seccomp_notif& call, Target& target, const sockaddr_storage& to,
                      socklen_t size, int64_t now_ms);
  void connect_outside(const seccomp_notif& call, Target& target, const Endpoint& to,
                       int64_t now_ms);
  int with_folder(int tid, int domain, const sockaddr_storage& to, socklen_t size,
                  int (*call)(int, const sockaddr*, socklen_t), int socket) const;
  bool wait_for(const seccomp_notif& call, Target& target, UniqueFd socket, bool replaces,
                int64_t now_ms);
  int hand_over(uint64_t id, int tid, int fd, const Target& target, int socket) const;
  void finish(Pending& pending, int error);
  bool take_token(int64_t now_ms);

  int notify_, proc_;
  bool host_network_;
  const Poller& poller_;
  const Rules& rules_;
  Reporter& reporter_;
  uint64_t own_network_ = 0;
  int64_t tokens_ = 0;  // thousandths of a connect
  int64_t filled_ms_ = 0;
  Pending pending_[kPendingMax];
};

}  // namespace hearth::sandbox::egress
