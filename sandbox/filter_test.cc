// The compiled filters, run in user space: every line of every policy, the argument filters, and
// the attempts to go around them.
#include "sandbox/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <array>
#include <random>

#include "sandbox/bpf_interpreter.h"
#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArch = AUDIT_ARCH_X86_64;
#else
constexpr uint32_t kArch = AUDIT_ARCH_AARCH64;
#endif
constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t kKill = SECCOMP_RET_KILL_PROCESS;
constexpr uint32_t error(int number) { return SECCOMP_RET_ERRNO | static_cast<uint32_t>(number); }

Policy load(const char* name, bool degraded = false) {
  Policy policy;
  std::string problem;
  REQUIRE(parse_policy(policy_text(name), policy_text, policy, problem));
  if (degraded) REQUIRE(parse_policy(policy_text("degraded"), policy_text, policy, problem));
  return policy;
}

uint32_t expected(const Action& action) {
  if (action.kind == Action::Kind::kAllow) return kAllow;
  return action.kind == Action::Kind::kKill ? kKill : error(action.error);
}

// What the rules say, without the compiler.
uint32_t by_hand(const Policy& policy, const seccomp_data& data) {
  const SyscallRules* call = policy.find(static_cast<uint32_t>(data.nr));
  if (call == nullptr) return expected(policy.default_action);
  for (const Rule& rule : call->rules) {
    bool all = true;
    for (const Condition& condition : rule.conditions) {
      const uint32_t value = static_cast<uint32_t>(data.args[condition.arg]) & condition.mask;
      bool found = false;
      for (const uint32_t wanted : condition.values) found = found || wanted == value;
      all = all && found != condition.negated;
    }
    if (all) return expected(rule.action);
  }
  return expected(policy.default_action);
}

class Filter {
 public:
  explicit Filter(const char* name, bool degraded = false)
      : code_(compile_filter(load(name, degraded))) {}
  uint32_t operator()(long number, std::array<uint64_t, 6> args = {}, uint32_t arch = kArch) const {
    seccomp_data data{};
    data.nr = static_cast<int>(number);
    data.arch = arch;
    for (size_t i = 0; i < args.size(); ++i) data.args[i] = args[i];
    return run_filter(code_, data).value_or(0xdeadbeef);
  }
  const std::vector<sock_filter>& code() const { return code_; }

 private:
  std::vector<sock_filter> code_;
};

}  // namespace

TEST_CASE("every line of every policy does what it says") {
  const char* name = GENERATE("python3", "nodejs", "native", "custom", "init");
  const bool degraded = GENERATE(false, true);
  if (degraded && std::string_view(name) == "init") return;
  CAPTURE(name, degraded);
  const Policy policy = load(name, degraded);
  const std::vector<sock_filter> code = compile_filter(policy);
  REQUIRE(!code.empty());
  REQUIRE(code.size() <= BPF_MAXINSNS);
  std::mt19937_64 random(4711);
  size_t wrong = 0;
  const auto compare = [&](const seccomp_data& data) {
    wrong += run_filter(code, data) != by_hand(policy, data);
  };
  for (int number = 0; number < 1024; ++number) {
    seccomp_data data{};
    data.nr = number;
    data.arch = kArch;
    compare(data);
    for (auto& arg : data.args) arg = random();
    compare(data);
  }
  // Each value that a rule names, and its neighbours, with and without high bits.
  for (const SyscallRules& call : policy.calls)
    for (const Rule& rule : call.rules)
      for (int round = 0; round < 200 && !rule.conditions.empty(); ++round) {
        seccomp_data data{};
        data.nr = static_cast<int>(call.number);
        data.arch = kArch;
        for (const Condition& condition : rule.conditions) {
          uint64_t value = condition.values[random() % condition.values.size()];
          if (round % 4 == 1) ++value;
          if (round % 4 == 2) value |= random() << 32;
          if (round % 4 == 3) value |= 0x40;
          data.args[condition.arg] = value;
        }
        compare(data);
      }
  CHECK(wrong == 0);
}

TEST_CASE("other architectures and x32 are killed and unknown numbers are not there") {
  const Filter filter("python3");
  CHECK(filter(SYS_read, {}, AUDIT_ARCH_I386) == kKill);
  CHECK(filter(SYS_read, {}, 0) == kKill);
  CHECK(filter(-1) == error(ENOSYS));
  CHECK(filter(0x3fffffff) == error(ENOSYS));
  CHECK(filter(9999) == error(ENOSYS));
#if defined(__x86_64__)
  CHECK(filter(0x40000000 | SYS_read) == kKill);
  CHECK(filter(0x40000000 | 512) == kKill);
#endif
}

TEST_CASE("clone makes threads and children but no namespaces") {
  const Filter filter("native");
  CHECK(filter(SYS_clone, {SIGCHLD}) == kAllow);
  CHECK(filter(SYS_clone, {0x3d0f00}) == kAllow);
  for (const uint64_t flag : {CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC,
                              CLONE_NEWUTS, CLONE_NEWCGROUP}) {
    CHECK(filter(SYS_clone, {flag | SIGCHLD}) == error(EPERM));
    CHECK(filter(SYS_clone, {flag | SIGCHLD | 1ull << 40}) == error(EPERM));
  }
  CHECK(filter(SYS_clone3) == error(ENOSYS));
  CHECK(filter(SYS_unshare, {CLONE_NEWUSER}) == error(EPERM));
  CHECK(filter(SYS_setns) == error(EPERM));
}

TEST_CASE("sockets are those of ordinary programs") {
  const Filter filter("nodejs");
  const auto socket = [&](uint64_t family, uint64_t type, uint64_t protocol) {
    return filter(SYS_socket, {family, type, protocol});
  };
  CHECK(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) == kAllow);
  CHECK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP) == kAllow);
  CHECK(socket(AF_INET6, SOCK_DGRAM, 0) == kAllow);
  CHECK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE) == kAllow);
  CHECK(socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER) == error(EPROTONOSUPPORT));
  CHECK(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) == error(EPERM));
  CHECK(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP) == error(EPROTONOSUPPORT));
  CHECK(socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP) == error(EPROTONOSUPPORT));
  CHECK(socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP | 1ull << 32) == error(EPROTONOSUPPORT));
  CHECK(socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP) == error(EPROTONOSUPPORT));
  for (const int family : {AF_VSOCK, AF_PACKET, AF_ALG, AF_XDP, AF_BLUETOOTH, AF_KEY, AF_TIPC}) {
    CHECK(socket(static_cast<uint64_t>(family), SOCK_STREAM, 0) == error(EAFNOSUPPORT));
    CHECK(socket(static_cast<uint64_t>(family) | 1ull << 32, SOCK_STREAM, 0) ==
          error(EAFNOSUPPORT));
  }
  CHECK(filter(SYS_socketpair, {AF_UNIX, SOCK_STREAM}) == kAllow);
  CHECK(filter(SYS_socketpair, {AF_TIPC, SOCK_STREAM}) == error(EAFNOSUPPORT));
}

TEST_CASE("fast open and socket programs are refused") {
  const Filter filter("python3");
  CHECK(filter(SYS_sendto, {3, 0, 0, MSG_NOSIGNAL}) == kAllow);
  CHECK(filter(SYS_sendto, {3, 0, 0, MSG_FASTOPEN | MSG_NOSIGNAL}) == error(EOPNOTSUPP));
  CHECK(filter(SYS_sendto, {3, 0, 0, MSG_FASTOPEN | 1ull << 40}) == error(EOPNOTSUPP));
  CHECK(filter(SYS_sendmsg, {3, 0, MSG_FASTOPEN}) == error(EOPNOTSUPP));
  CHECK(filter(SYS_sendmsg, {3, 0, 0}) == kAllow);
  CHECK(filter(SYS_sendmmsg, {3, 0, 2, MSG_FASTOPEN}) == error(EOPNOTSUPP));
  CHECK(filter(SYS_setsockopt, {3, SOL_SOCKET, SO_REUSEADDR}) == kAllow);
  for (const uint64_t option :
       {SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF})
    CHECK(filter(SYS_setsockopt, {3, SOL_SOCKET, option}) == error(EPERM));
  CHECK(filter(SYS_setsockopt, {3, IPPROTO_TCP, TCP_ULP}) == error(ENOPROTOOPT));
  CHECK(filter(SYS_setsockopt, {3, IPPROTO_TCP, TCP_REPAIR}) == error(ENOPROTOOPT));
  CHECK(filter(SYS_setsockopt, {3, IPPROTO_TCP, TCP_NODELAY}) == kAllow);
}

TEST_CASE("ioctl prctl and personality pass by list only") {
  const Filter filter("python3");
  CHECK(filter(SYS_ioctl, {0, TCGETS}) == kAllow);
  CHECK(filter(SYS_ioctl, {0, FIONBIO}) == kAllow);
  CHECK(filter(SYS_ioctl, {0, TIOCSTI}) == error(ENOTTY));
  CHECK(filter(SYS_ioctl, {0, TIOCSTI | 1ull << 32}) == error(ENOTTY));
  CHECK(filter(SYS_ioctl, {0, TIOCLINUX}) == error(ENOTTY));
  CHECK(filter(SYS_ioctl, {0, TIOCSETD}) == error(ENOTTY));
  CHECK(filter(SYS_prctl, {PR_SET_NAME}) == kAllow);
  CHECK(filter(SYS_prctl, {PR_SET_MM}) == error(EINVAL));
  CHECK(filter(SYS_prctl, {PR_CAP_AMBIENT}) == error(EINVAL));
  CHECK(filter(SYS_prctl, {PR_SET_SECCOMP}) == error(EINVAL));
  CHECK(filter(SYS_personality, {0xffffffff}) == kAllow);
  CHECK(filter(SYS_personality, {0x0040000}) == error(EPERM));
  CHECK(filter(SYS_personality, {0x0400000}) == error(EPERM));
}

TEST_CASE("runtimes differ in what they may ask for") {
  const Filter python("python3"), node("nodejs"), native("native"), init("init");
  CHECK(python(SYS_mq_open) == kAllow);
  CHECK(node(SYS_mq_open) == error(ENOSYS));
  CHECK(python(SYS_pkey_alloc) == error(ENOSYS));
  CHECK(node(SYS_pkey_alloc) == kAllow);
  CHECK(native(SYS_pkey_alloc) == kAllow);
  CHECK(init(SYS_wait4) == kAllow);
  CHECK(init(SYS_openat) == kKill);
  CHECK(init(SYS_execve) == kKill);
}

TEST_CASE("degraded mode guards the processes of the host") {
  const Filter filter("python3", true), plain("python3");
  CHECK(filter(SYS_prlimit64, {0}) == kAllow);
  CHECK(filter(SYS_prlimit64, {1234}) == error(EPERM));
  CHECK(filter(SYS_prlimit64, {1ull << 32 | 1234}) == error(EPERM));
  CHECK(plain(SYS_prlimit64, {1234}) == kAllow);
  CHECK(filter(SYS_shmget) == error(ENOSYS));
  CHECK(plain(SYS_shmget) == kAllow);
}

TEST_CASE("a policy without a default makes no filter") {
  CHECK(compile_filter(Policy{}).empty());
  Policy policy;
  policy.has_default = true;
  policy.default_action = {Action::Kind::kKill, 0};
  const std::vector<sock_filter> code = compile_filter(policy);
  seccomp_data data{};
  data.arch = kArch;
  CHECK(run_filter(code, data) == kKill);
}

TEST_CASE("a call passes few instructions") {
  // The price of a call is the length of its path. A binary search over the ranges keeps it short.
  const Filter filter("python3");
  CHECK(filter.code().size() < 800);
}

}  // namespace hearth::sandbox
