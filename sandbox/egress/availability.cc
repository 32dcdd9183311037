#include "sandbox/egress/availability.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/socket.h>

#include "sandbox/egress/hook.h"

extern "C" const std::byte hearth_blob_egress_agent_begin[], hearth_blob_egress_agent_end[];

namespace hearth::sandbox::egress {
namespace {

constexpr int kSoNetnsCookie = 71;  // SO_NETNS_COOKIE

bool has_notifications() {
  const uint32_t action = SECCOMP_RET_USER_NOTIF;
  return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

bool has_network_cookies() {
  UniqueFd probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  return probe.valid() &&
         getsockopt(probe.get(), SOL_SOCKET, kSoNetnsCookie, &cookie, &size) == 0 && cookie != 0;
}

// Yama lets a process reach into its descendants only; the agent is a sibling.
bool yama_restricts() {
  UniqueFd fd(open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC));
  char scope = '0';
  return fd.valid() && read(fd.get(), &scope, 1) == 1 && scope != '0';
}

}  // namespace

void Tools::prepare(Mode mode, const sock_fprog* agent_filter) {
  if (mode != Mode::kStrict && mode != Mode::kUser) {
    reason_ = "this mode has no network namespaces: functions see the host's network";
  } else if (!has_notifications() || !has_network_cookies()) {
    reason_ = "needs seccomp notifications and SO_NETNS_COOKIE: Linux 5.14 or later";
  } else if (mode == Mode::kStrict && yama_restricts()) {
    reason_ = "strict mode needs sysctl kernel.yama.ptrace_scope=0; mode user does not";
  } else {
    const std::span code(agent_filter->filter, agent_filter->len);
    const Failure failed = make_sealed(
        "hearth-egress", {hearth_blob_egress_agent_begin, hearth_blob_egress_agent_end}, image_);
    reason_ = failed ? failed.step : "";
    if (const Failure f = make_sealed("hearth-egress-filter", std::as_bytes(code), filter_))
      reason_ = f.step;
  }
}

}  // namespace hearth::sandbox::egress
