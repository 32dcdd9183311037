#include "store/unpack_confine.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "sandbox/confine.h"
#include "sandbox/filter.h"
#include "sandbox/policy.h"

extern "C" const char hearth_blob_policy_unpack_begin[], hearth_blob_policy_unpack_end[];

namespace hearth {
namespace {

using sandbox::Failure;

constexpr rlim_t kFilesOpen = kLifelineFd + 8;
constexpr rlim_t kStackBytes = 1u << 20;
constexpr rlim_t kImageBytes = 64u << 20;  // address space beside the data: the program, its stack

Failure lower(int resource, rlim_t value, const char* step) {
  rlimit now{};
  const auto which = static_cast<__rlimit_resource>(resource);
  if (::getrlimit(which, &now) != 0) return Failure::at(step);
  value = std::min(value, now.rlim_max);
  const rlimit limit{value, value};
  return ::setrlimit(which, &limit) == 0 ? Failure{} : Failure::at(step);
}

Failure set_limits(const UnpackOrder& order) {
  struct Limit {
    int resource;
    rlim_t value;
    const char* step;
  };
  const Limit limits[] = {
      {RLIMIT_CORE, 1, "limit core files"},  // 0 would not hold off a core_pattern that is a pipe
      {RLIMIT_DATA, order.memory_max, "limit memory"},
      {RLIMIT_AS, order.memory_max + kImageBytes, "limit address space"},
      {RLIMIT_FSIZE, order.limits.bytes_max, "limit file size"},
      {RLIMIT_CPU, order.seconds_max, "limit CPU time"},
      {RLIMIT_NOFILE, kFilesOpen, "limit descriptors"},
      {RLIMIT_NPROC, 0, "limit processes"},
      {RLIMIT_MEMLOCK, 0, "limit locked memory"},
      {RLIMIT_MSGQUEUE, 0, "limit message queues"},
      {RLIMIT_STACK, kStackBytes, "limit the stack"},
  };
  for (const Limit& limit : limits) {
    if (Failure f = lower(limit.resource, limit.value, limit.step)) return f;
  }
  return {};
}

// The folder becomes the root: an absolute name means nothing any more. Without privileges the
// right to do so comes from a user namespace, in which no id is mapped.
Failure enter_folder() {
  if (::fchdir(kFolderFd) != 0) return Failure::at("enter the folder");
  if (::chroot(".") == 0) return {};
  if (errno != EPERM) return Failure::at("chroot");
  if (::unshare(CLONE_NEWUSER) != 0) return Failure::at("make a user namespace");
  return ::chroot(".") == 0 ? Failure{} : Failure::at("chroot");
}

// All rights on files that the kernel's Landlock knows of are taken, and given back for making
// files and folders below the folder.
Failure restrict_files() {
  // The first versions of the interface knew 13 rights; each bit that came later is in one of
  // these.
  constexpr uint64_t kRights[] = {0, 0x1FFF, 0x3FFF, 0x7FFF, 0x7FFF, 0xFFFF};
  constexpr uint64_t kGiven = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                              LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR;
  const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1U /* version */);
  if (version < 1) return Failure::at("ask for Landlock");
  const uint64_t handled = kRights[std::min<long>(version, 5)];
  const int rules =
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0U));
  if (rules < 0) return Failure::at("make a Landlock ruleset");
  landlock_path_beneath_attr below{};
  below.allowed_access = kGiven;
  below.parent_fd = kFolderFd;
  Failure failure;
  if (::syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &below, 0U) != 0) {
    failure = Failure::at("add a Landlock rule");
  } else if (::syscall(SYS_landlock_restrict_self, rules, 0U) != 0) {
    failure = Failure::at("take on the Landlock rules");
  }
  ::close(rules);
  return failure;
}

Failure close_others() {
  // What the caller kept of the host's: its standard error.
  if (::dup2(STDIN_FILENO, STDERR_FILENO) != STDERR_FILENO) return Failure::at("close stderr");
  if (sandbox::sys::close_range_from(kLifelineFd + 1, ~0U) != 0)
    return Failure::at("close what is not needed");
  return {};
}

std::string_view no_include(std::string_view) { return {}; }

Failure load_policy() {
  sandbox::Policy policy;
  std::string error;
  const std::string_view text(
      hearth_blob_policy_unpack_begin,
      static_cast<size_t>(hearth_blob_policy_unpack_end - hearth_blob_policy_unpack_begin));
  errno = EINVAL;
  if (!sandbox::parse_policy(text, no_include, policy, error))
    return Failure::at("read the seccomp policy");
  std::vector<sock_filter> code = sandbox::compile_filter(policy);
  if (code.empty()) return Failure::at("compile the seccomp policy");
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  return sandbox::load_filter(program);
}

void note(Confinement& state, uint32_t layer, Failure failure) {
  if (!failure) {
    state.layers |= layer;
  } else if (state.missing.empty()) {
    state.missing = std::string(failure.step) + ": " + std::strerror(failure.error);
  }
}

}  // namespace

Confinement confine_unpacker(const UnpackOrder& order) {
  Confinement state;
  note(state, 0, close_others());
  note(state, kUnpackChroot, enter_folder());
  // Sets no_new_privs too, which Landlock and seccomp ask for.
  Failure dropped = sandbox::drop_privileges(0);
  note(state, kUnpackNoCapabilities, dropped);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) state.layers |= kUnpackNoNewPrivs;
  note(state, kUnpackLandlock, restrict_files());
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  note(state, kUnpackLimits, set_limits(order));
  note(state, kUnpackSeccomp, load_policy());
  return state;
}

}  // namespace hearth
