#include "dev/confined_parser.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace hearth::dev {
namespace {

constexpr uid_t kNobody = 65534;
constexpr rlim_t kCpuSeconds = 2;
constexpr rlim_t kFilesMax = 64;
constexpr int kNotStarted = 127;

// All that changes a file system, of Landlock's first version.
constexpr uint64_t kWrites = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
                             LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                             LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                             LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
                             LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;

void limit(int what, rlim_t value) {
  const rlimit both{value, value};
  ::setrlimit(static_cast<__rlimit_resource_t>(what), &both);
}

// Kernels without Landlock have the uid and RLIMIT_FSIZE against writes.
void forbid_writes() {
  landlock_ruleset_attr rules{};
  rules.handled_access_fs = kWrites;
  const long set =
      ::syscall(SYS_landlock_create_ruleset, &rules, sizeof rules.handled_access_fs, 0);
  if (set >= 0) ::syscall(SYS_landlock_restrict_self, set, 0);
}

// False: it would keep its privileges.
bool give_up_privileges() {
  if (::geteuid() != 0) {
    ::unshare(CLONE_NEWUSER | CLONE_NEWNET);  // where this user may
    return true;
  }
  if (::unshare(CLONE_NEWNET | CLONE_NEWIPC) != 0 && ::unshare(CLONE_NEWIPC) != 0) return false;
  return ::setgroups(0, nullptr) == 0 && ::setresgid(kNobody, kNobody, kNobody) == 0 &&
         ::setresuid(kNobody, kNobody, kNobody) == 0;
}

// In the child: system calls only.
void become_parser(const char* program, const char* const* arguments, int in, int err) {
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (::dup2(in, 0) != 0 || ::dup2(null, 1) != 1 || ::dup2(err, 2) != 2) return;
  ::syscall(SYS_close_range, 3U, ~0U, 4U /* CLOSE_RANGE_CLOEXEC */);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  limit(RLIMIT_CPU, kCpuSeconds);
  limit(RLIMIT_FSIZE, 0);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NOFILE, kFilesMax);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !give_up_privileges()) return;
  forbid_writes();
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const char* environment[] = {nullptr};
  if (::chdir("/") == 0)
    ::execve(program, const_cast<char* const*>(arguments), const_cast<char* const*>(environment));
}

}  // namespace

pid_t start_parser(const char* program, const char* const* arguments, int in, int err) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  become_parser(program, arguments, in, err);
  ::_exit(kNotStarted);
}

}  // namespace hearth::dev
