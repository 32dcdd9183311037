#include "sandbox/egress/agent.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/unique_fd.h"
#include "sandbox/confine.h"
#include "sandbox/egress/broker.h"
#include "sandbox/egress/stub.h"

namespace hearth::sandbox::egress {
namespace {

constexpr uint64_t kDataBytes = 16 << 20;
constexpr int kEventsMax = 32;

// Of the worker's user namespace it keeps the one right that a Yama of the host may ask for; it
// reaches the processes of this one sandbox.
Failure keep_ptrace_only() {
  for (int capability = 0; capability < 64; ++capability)
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) break;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  data[0].permitted = data[0].effective = 1u << CAP_SYS_PTRACE;
  if (syscall(SYS_capset, &header, data) != 0) return Failure::at("drop the capabilities");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Failure::at("set no_new_privs");
  return {};
}

Failure load_own_filter() {
  static sock_filter code[BPF_MAXINSNS];
  const ssize_t size = pread(kFilterFd, code, sizeof code, 0);
  if (size <= 0 || static_cast<size_t>(size) % sizeof *code != 0)
    return {"read the agent's filter", EINVAL};
  close(kFilterFd);
  const sock_fprog program{static_cast<unsigned short>(static_cast<size_t>(size) / sizeof *code),
                           code};
  return load_filter(program);
}

Failure set_own_limits() {
  const rlimit data{kDataBytes, kDataBytes}, none{0, 0}, core{1, 1};
  if (setrlimit(RLIMIT_DATA, &data) != 0 || setrlimit(RLIMIT_FSIZE, &none) != 0 ||
      setrlimit(RLIMIT_CORE, &core) != 0)
    return Failure::at("limit the agent");
  return {};
}

class Agent {
 public:
  Agent(const AgentPlan& plan, int epoll, int proc)
      : host_network_(plan.host_network),
        poller_(epoll),
        reporter_(kEngineFd),
        broker_(kNotifyFd, proc, plan.host_network, poller_, rules_, reporter_),
        stub_(kStubFd, poller_, rules_, reporter_) {}

  int serve() {
    if (!broker_.usable() || !poller_.add(kNotifyFd, Source::kNotify, 0, EPOLLIN) ||
        (!host_network_ && !poller_.add(kStubFd, Source::kStub, 0, EPOLLIN)) ||
        !poller_.add(kEngineFd, Source::kEngine, 0, EPOLLIN))
      return 1;
    int timeout = -1;
    while (!done_) {
      epoll_event events[kEventsMax];
      const int count = epoll_wait(poller_.fd(), events, kEventsMax, timeout);
      if (count < 0 && errno != EINTR) return 1;
      const int64_t now = clock_ms();
      for (int i = 0; i < count && !done_; ++i) on_event(events[i], now);
      timeout = nearest(nearest(broker_.check_deadlines(now), stub_.check_deadlines(now)),
                        reporter_.flush(now));
    }
    reporter_.flush(INT64_MAX / 2);
    return code_;
  }

 private:
  static int nearest(int a, int b) { return a < 0 ? b : b < 0 || a < b ? a : b; }

  void end(int code) {
    done_ = true;
    code_ = code;
  }

  void on_event(const epoll_event& event, int64_t now) {
    // The rules were sent before the worker could ask anything; the order in which descriptors
    // become ready is not theirs.
    if (!rules_.configured()) on_engine();
    if (done_) return;
    const uint32_t index = static_cast<uint32_t>(event.data.u64);
    switch (static_cast<Source>(event.data.u64 >> 32)) {
      case Source::kNotify:
        if ((event.events & EPOLLIN) != 0) return broker_.on_readable(now);
        return end(0);  // nobody is left under the filter
      case Source::kEngine:
        return on_engine();
      case Source::kStub:
        return stub_.on_readable(now);
      case Source::kQuestion:
        return stub_.on_upstream(index, event.events, now);
      case Source::kPending:
        return broker_.on_pending(index, now);
    }
  }

  // The rules, once. Anything else ends the agent, and with it every way out.
  void on_engine() {
    static std::byte message[sizeof(Config) + 1];
    const ssize_t n = recv(kEngineFd, message, sizeof message, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return end(0);
    if (rules_.configure({message, static_cast<size_t>(n)}) != nullptr) end(2);
  }

  const bool host_network_;
  Poller poller_;
  Rules rules_;
  Reporter reporter_;
  Broker broker_;
  Stub stub_;
  bool done_ = false;
  int code_ = 0;
};

}  // namespace

Failure give_up(const AgentPlan& plan, int& proc) {
  if (Failure f = die_with_parent(SIGKILL)) return f;
  if (getppid() != plan.parent) return {"find the parent", ESRCH};
  umask(022);
  UniqueFd procfs(open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  // Above the numbers of agent.h, of which some may be free.
  proc = fcntl(procfs.get(), F_DUPFD_CLOEXEC, kNotifyFd + kAgentFds);
  if (proc < 0) return Failure::at("open /proc");
  if (setns(kMountNamespaceFd, CLONE_NEWNS) != 0) return Failure::at("enter the sandbox's mounts");
  close(kMountNamespaceFd);
  if (Failure f = set_own_limits()) return f;
  if (plan.uid == 0) {
    if (setns(kUserNamespaceFd, CLONE_NEWUSER) != 0)
      return Failure::at("enter the worker's user namespace");
    if (Failure f = keep_ptrace_only()) return f;
  } else if (Failure f = drop_privileges(plan.uid)) {
    return f;
  }
  close(kUserNamespaceFd);
  // Changed credentials undo both.
  if (Failure f = die_with_parent(SIGKILL)) return f;
  if (getppid() != plan.parent) return {"find the parent", ESRCH};
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Failure::at("become non-dumpable");
  return load_own_filter();
}

int serve(const AgentPlan& plan, int proc) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return 1;
  // Static: the table of questions alone has 500 KiB, untouched until it is used.
  static Agent agent(plan, epoll, proc);
  return agent.serve();
}

}  // namespace hearth::sandbox::egress
