#include "sandbox/egress/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

namespace hearth::sandbox::egress {
namespace {

// Of a notification and its answer: later kernels may append.
constexpr size_t kNotificationMax = 256;

bool is_tcp(const Target& target) {
  return (target.domain == AF_INET || target.domain == AF_INET6) && target.type == SOCK_STREAM;
}

// An address can be bound to only if it is the host's own. Where net.ipv*.ip_nonlocal_bind is set
// every address seems to be: then only addresses that an entry names in full are allowed.
bool is_own_address(const Endpoint& endpoint) {
  const int family = is_v4(endpoint.address) ? AF_INET : AF_INET6;
  UniqueFd probe(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage address;
  const socklen_t size = to_sockaddr({endpoint.address, 0, endpoint.scope}, family, address);
  return probe.valid() && bind(probe.get(), reinterpret_cast<sockaddr*>(&address), size) == 0;
}

// Also without any name: the kernel then chooses an abstract one.
bool is_abstract(const sockaddr_storage& to, socklen_t size) {
  const char* path = reinterpret_cast<const char*>(&to) + sizeof(sa_family_t);
  return to.ss_family == AF_UNIX && (size <= sizeof(sa_family_t) || path[0] == '\0');
}

int error_of(int socket) {
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

// What connect() says of a socket that the broker connected before; 0: it may start anew.
int state_of(const Target& target) {
  switch (target.tcp_state) {
    case TCP_SYN_SENT:
    case TCP_SYN_RECV:
      return EALREADY;
    case TCP_CLOSE:
      return error_of(target.socket.get());
    default:
      return EISCONN;
  }
}

}  // namespace

Broker::Broker(int notify, int proc, bool host_network, const Poller& poller, const Rules& rules,
               Reporter& reporter)
    : notify_(notify),
      proc_(proc),
      host_network_(host_network),
      poller_(poller),
      rules_(rules),
      reporter_(reporter) {
  seccomp_notif_sizes sizes{};
  if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) return;
  if (sizes.seccomp_notif > kNotificationMax || sizes.seccomp_notif_resp > kNotificationMax) return;
  UniqueFd probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (probe.valid()) own_network_ = network_of(probe.get());
}

void Broker::answer(uint64_t id, int error) const {
  alignas(seccomp_notif_resp) char buffer[kNotificationMax] = {};
  auto* response = reinterpret_cast<seccomp_notif_resp*>(buffer);
  response->id = id;
  response->error = -error;
  // Fails when the worker has died meanwhile.
  (void)ioctl(notify_, SECCOMP_IOCTL_NOTIF_SEND, response);
}

bool Broker::alive(uint64_t id) const {
  return ioctl(notify_, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

void Broker::on_readable(int64_t now_ms) {
  alignas(seccomp_notif) char buffer[kNotificationMax] = {};
  auto* call = reinterpret_cast<seccomp_notif*>(buffer);
  if (ioctl(notify_, SECCOMP_IOCTL_NOTIF_RECV, call) != 0) return;
  switch (call->data.nr) {
    case SYS_connect:
      return on_connect(*call, now_ms);
    case SYS_bind:
      return on_bind(*call);
    case SYS_listen:
      return on_listen(*call);
  }
  answer(call->id, EPERM);
}

// What was opened and read belongs to the caller only if it still waits afterwards: else its number
// may be another's by now.
int Broker::read_address(const seccomp_notif& call, sockaddr_storage& to, socklen_t& size) const {
  const int length = static_cast<int>(call.data.args[2]);
  if (length < 0 || static_cast<size_t>(length) > sizeof to) return EINVAL;
  to = {};
  size = static_cast<socklen_t>(length);
  if (length == 0) return EINVAL;
  const int error = read_memory(static_cast<int>(call.pid), call.data.args[1], &to, size);
  return alive(call.id) ? error : ESRCH;
}

void Broker::on_connect(const seccomp_notif& call, int64_t now_ms) {
  sockaddr_storage to;
  socklen_t size = 0;
  Target target;
  int error = open_target(proc_, static_cast<int>(call.pid), static_cast<int>(call.data.args[0]),
                          own_network_, target);
  if (error == 0) error = read_address(call, to, size);
  if (error != 0) {
    if (error == EACCES) reporter_.count(Outcome::kBroken);
    return answer(call.id, error);
  }
  if (host_network_) return connect_on_host(call, target, to, size, now_ms);
  Endpoint endpoint{};
  const bool outside = is_tcp(target) && (target.host || target.tcp_state == TCP_CLOSE) &&
                       from_sockaddr(&to, size, endpoint) && to.ss_family == target.domain;
  if (outside) {
    const Outcome outcome = rules_.decide(endpoint, is_own_address(endpoint), now_ms);
    if (outcome == Outcome::kConnected) return connect_outside(call, target, endpoint, now_ms);
    if (!is_loopback(endpoint.address)) {
      reporter_.refused(outcome, endpoint.address, endpoint.port, now_ms);
      return answer(call.id, EACCES);
    }
  }
  if (target.host) return answer(call.id, is_tcp(target) ? EOPNOTSUPP : EISCONN);
  connect_inside(call, target, to, size, now_ms);
}

void Broker::connect_on_host(const seccomp_notif& call, Target& target, const sockaddr_storage& to,
                             socklen_t size, int64_t now_ms) {
  Endpoint endpoint{};
  // Landlock's scope for abstract names would be asked of the agent, which has none.
  const bool abstract = target.domain == AF_UNIX && is_abstract(to, size);
  if (abstract || !rules_.configured()) return answer(call.id, EACCES);
  if (is_tcp(target) && to.ss_family != AF_UNSPEC) {
    if (!from_sockaddr(&to, size, endpoint) || to.ss_family != target.domain)
      return answer(call.id, EAFNOSUPPORT);
    if (rules_.protects(endpoint.port) && is_own_address(endpoint)) {
      reporter_.refused(Outcome::kDeniedEngine, endpoint.address, endpoint.port, now_ms);
      return answer(call.id, EACCES);
    }
  }
  connect_inside(call, target, to, size, now_ms);
}

bool Broker::take_token(int64_t now_ms) {
  const int64_t most = int64_t{rules_.config().burst} * 1000;
  tokens_ += (now_ms - filled_ms_) * int64_t{rules_.config().rate};
  filled_ms_ = now_ms;
  if (tokens_ > most) tokens_ = most;
  if (tokens_ < 1000) return false;
  tokens_ -= 1000;
  return true;
}

void Broker::connect_outside(const seccomp_notif& call, Target& target, const Endpoint& to,
                             int64_t now_ms) {
  if (target.host)
    if (const int state = state_of(target)) return answer(call.id, state);
  if (!take_token(now_ms)) {
    reporter_.refused(Outcome::kDeniedLimit, to.address, to.port, now_ms);
    return answer(call.id, EAGAIN);
  }
  UniqueFd fresh(socket(target.domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fresh.valid()) return answer(call.id, ENOBUFS);
  copy_options(target.socket.get(), fresh.get());
  sockaddr_storage address;
  const socklen_t size = to_sockaddr(to, target.domain, address);
  int error = connect(fresh.get(), reinterpret_cast<sockaddr*>(&address), size) == 0 ? 0 : errno;
  if (error != 0 && error != EINPROGRESS) {
    reporter_.count(Outcome::kFailed);
    return answer(call.id, error);
  }
  if (error == EINPROGRESS && !target.nonblocking) {
    if (wait_for(call, target, std::move(fresh), true, now_ms)) return;
    reporter_.refused(Outcome::kDeniedLimit, to.address, to.port, now_ms);
    return answer(call.id, EAGAIN);
  }
  const int fd = static_cast<int>(call.data.args[0]);
  if (hand_over(call.id, static_cast<int>(call.pid), fd, target, fresh.get()) != 0) error = ENOBUFS;
  reporter_.count(error == ENOBUFS ? Outcome::kBroken : Outcome::kConnected);
  // The old socket must be gone from the worker's epoll instances before the worker goes on: it
  // would say that it hung up.
  target.socket.reset();
  answer(call.id, error);
}

int Broker::hand_over(uint64_t id, int tid, int fd, const Target& target, int socket) const {
  if (!target.nonblocking && fcntl(socket, F_SETFL, 0) != 0) return errno;
  copy_registrations(proc_, tid, target, fd, socket);
  seccomp_notif_addfd replacement{};
  replacement.id = id;
  replacement.flags = SECCOMP_ADDFD_FLAG_SETFD;
  replacement.srcfd = static_cast<uint32_t>(socket);
  replacement.newfd = static_cast<uint32_t>(fd);
  replacement.newfd_flags = target.close_on_exec ? O_CLOEXEC : 0;
  return ioctl(notify_, SECCOMP_IOCTL_NOTIF_ADDFD, &replacement) >= 0 ? 0 : errno;
}

// A relative path of AF_UNIX means the worker's folder; the root is the same.
int Broker::with_folder(int tid, int domain, const sockaddr_storage& to, socklen_t size,
                        int (*call)(int, const sockaddr*, socklen_t), int socket) const {
  const char* path = reinterpret_cast<const char*>(&to) + sizeof(sa_family_t);
  const bool relative =
      domain == AF_UNIX && size > sizeof(sa_family_t) && path[0] != '/' && path[0] != '\0';
  if (relative) {
    const UniqueFd folder = open_working_folder(proc_, tid);
    if (!folder.valid() || fchdir(folder.get()) != 0) return EACCES;
  }
  const int error = call(socket, reinterpret_cast<const sockaddr*>(&to), size) == 0 ? 0 : errno;
  if (relative && chdir("/") != 0) return EACCES;
  return error;
}

// On the worker's own socket: what it reaches lies in the sandbox. The flags are shared with the
// worker, so a blocking socket gets the shortest possible timeout for the call.
void Broker::connect_inside(const seccomp_notif& call, Target& target, const sockaddr_storage& to,
                            socklen_t size, int64_t now_ms) {
  const int socket = target.socket.get();
  timeval before{};
  socklen_t before_size = sizeof before;
  if (!target.nonblocking) {
    const timeval shortest{0, 1};
    getsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &before, &before_size);
    if (setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &shortest, sizeof shortest) != 0)
      return answer(call.id, EACCES);
  }
  const int error =
      with_folder(static_cast<int>(call.pid), target.domain, to, size, ::connect, socket);
  if (!target.nonblocking) setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &before, sizeof before);
  if (error == EINPROGRESS && !target.nonblocking) {
    UniqueFd shared(fcntl(socket, F_DUPFD_CLOEXEC, 0));
    if (wait_for(call, target, std::move(shared), false, now_ms)) return;
    return answer(call.id, EAGAIN);
  }
  answer(call.id, error);
}

void Broker::on_bind(const seccomp_notif& call) {
  sockaddr_storage to;
  socklen_t size = 0;
  Target target;
  const int tid = static_cast<int>(call.pid);
  int error = open_target(proc_, tid, static_cast<int>(call.data.args[0]), own_network_, target);
  if (error == 0) error = read_address(call, to, size);
  // One that the broker made is bound already, or was once.
  if (error == 0 && target.host) error = EINVAL;
  if (error == 0) error = with_folder(tid, target.domain, to, size, ::bind, target.socket.get());
  answer(call.id, error);
}

void Broker::on_listen(const seccomp_notif& call) {
  Target target;
  int error = open_target(proc_, static_cast<int>(call.pid), static_cast<int>(call.data.args[0]),
                          own_network_, target);
  if (error == 0 && !alive(call.id)) error = ESRCH;
  if (error == 0 && target.host) error = EINVAL;
  if (error == 0 && listen(target.socket.get(), static_cast<int>(call.data.args[1])) != 0)
    error = errno;
  answer(call.id, error);
}

bool Broker::wait_for(const seccomp_notif& call, Target& target, UniqueFd socket, bool replaces,
                      int64_t now_ms) {
  const uint32_t most = rules_.configured() ? rules_.config().pending_max : kPendingMax;
  const uint32_t timeout =
      rules_.configured() ? rules_.config().connect_timeout_ms : kConnectTimeoutMs;
  for (uint32_t i = 0; i < most; ++i) {
    Pending& pending = pending_[i];
    if (pending.used) continue;
    if (!poller_.add(socket.get(), Source::kPending, i, EPOLLOUT)) return false;
    pending.used = true;
    pending.replaces = replaces;
    pending.id = call.id;
    pending.tid = static_cast<int>(call.pid);
    pending.fd = static_cast<int>(call.data.args[0]);
    pending.deadline_ms = now_ms + timeout;
    pending.target = std::move(target);
    pending.socket = std::move(socket);
    return true;
  }
  return false;
}

void Broker::finish(Pending& pending, int error) {
  poller_.remove(pending.socket.get());
  if (pending.replaces && error == 0 && alive(pending.id))
    error = hand_over(pending.id, pending.tid, pending.fd, pending.target, pending.socket.get());
  if (pending.replaces)
    reporter_.count(error == 0           ? Outcome::kConnected
                    : error == ETIMEDOUT ? Outcome::kTimedOut
                                         : Outcome::kFailed);
  pending.target.socket.reset();
  answer(pending.id, error);
  pending = Pending{};
}

void Broker::on_pending(uint32_t index, int64_t) {
  if (index >= kPendingMax || !pending_[index].used) return;
  finish(pending_[index], error_of(pending_[index].socket.get()));
}

int Broker::check_deadlines(int64_t now_ms) {
  int64_t nearest = -1;
  for (Pending& pending : pending_) {
    if (!pending.used) continue;
    if (pending.deadline_ms <= now_ms) {
      finish(pending, ETIMEDOUT);
      continue;
    }
    const int64_t left = pending.deadline_ms - now_ms;
    if (nearest < 0 || left < nearest) nearest = left;
  }
  return static_cast<int>(nearest);
}

}  // namespace hearth::sandbox::egress
