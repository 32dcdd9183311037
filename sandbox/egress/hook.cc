#include "sandbox/egress/hook.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>

namespace hearth::sandbox::egress {
namespace {

constexpr uint16_t kDnsPort = 53;
constexpr int kScratchFd = 64;
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
constexpr unsigned kWaitKillable = 1u << 5;
#else
constexpr unsigned kWaitKillable = SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
#endif
constexpr unsigned kMfdExec = 0x10;

// Only system calls: the caller's memory is shared copy-on-write, nothing else.
[[noreturn]] void exec_agent(const AgentStart& start, const char* parent, const char* uid,
                             const char* network) {
  const int wanted[kAgentFds] = {start.listener, start.stub,           start.engine,
                                 start.mounts,   start.user_namespace, start.filter};
  int parked[kAgentFds];
  for (int i = 0; i < kAgentFds; ++i)
    parked[i] = wanted[i] < 0 ? -1 : fcntl(wanted[i], F_DUPFD_CLOEXEC, kScratchFd);
  const int image = fcntl(start.image, F_DUPFD_CLOEXEC, kScratchFd);
  for (int i = 0; i < kAgentFds; ++i) {
    const int number = kNotifyFd + i;
    if (parked[i] < 0)
      close(number);
    else if (dup2(parked[i], number) != number)
      _exit(126);
  }
  // The image is needed until the exec; all others are marked only.
  syscall(SYS_close_range, static_cast<unsigned>(kNotifyFd + kAgentFds), ~0u,
          4u /* CLOSE_RANGE_CLOEXEC */);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const char* argv[] = {"hearth-egress", parent, uid, network, nullptr};
  const char* envp[] = {nullptr};
  syscall(SYS_execveat, image, "", argv, envp, 0x1000 /* AT_EMPTY_PATH */);
  _exit(127);
}

}  // namespace

Failure open_stub_socket(UniqueFd& socket_fd) {
  socket_fd.reset(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_fd.valid()) return Failure::at("make the name server's socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(kDnsPort);
  if (bind(socket_fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return Failure::at("bind the name server's socket");
  return {};
}

Failure load_filter_with_listener(const sock_fprog& filter, UniqueFd& listener) {
  // Killable: a signal must not abort a connect that the agent is about to finish (Linux 5.19).
  for (const unsigned flags : {kWaitKillable, 0u}) {
    listener.reset(static_cast<int>(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                            SECCOMP_FILTER_FLAG_NEW_LISTENER | flags, &filter)));
    if (listener.valid()) return {};
    if (errno != EINVAL) break;
  }
  return Failure::at("load the seccomp filter with a listener");
}

Failure make_sealed(const char* name, std::span<const std::byte> bytes, UniqueFd& fd) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  fd.reset(memfd_create(name, kFlags | kMfdExec));
  if (!fd.valid() && errno == EINVAL) fd.reset(memfd_create(name, kFlags));
  if (!fd.valid()) return Failure::at("memfd_create for the agent");
  while (!bytes.empty()) {
    const ssize_t n = write(fd.get(), bytes.data(), bytes.size());
    if (n < 0) return Failure::at("write the agent");
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
    return Failure::at("seal the agent");
  return {};
}

pid_t start_agent(const AgentStart& start) {
  char parent[16], uid[16];
  snprintf(parent, sizeof parent, "%d", static_cast<int>(getpid()));
  snprintf(uid, sizeof uid, "%u", start.uid);
  const pid_t pid = fork();
  if (pid == 0) exec_agent(start, parent, uid, start.stub < 0 ? "host" : "egress");
  return pid;
}

}  // namespace hearth::sandbox::egress
