// The system calls that glibc has no name for, and what the spawner's own code uses to say that a
// step failed. Everything here is safe in a child between clone and exec: no heap, no locks, no
// stdio.
#pragma once
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

namespace hearth::sandbox {

// Which step failed, and errno. `step` is a string literal. Default: nothing failed.
struct [[nodiscard]] Failure {
  const char* step = nullptr;
  int error = 0;

  explicit operator bool() const { return step != nullptr; }
  static Failure at(const char* step) { return {step, errno}; }
};

namespace sys {

// `cgroup`: a group's folder to be born in, or -1. With CLONE_PARENT the exit signal is the
// caller's own, which the kernel wants to see as none.
inline pid_t clone3(uint64_t flags, int cgroup = -1) {
  clone_args args{};
  args.flags = flags;
  if (cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(cgroup);
  }
  args.exit_signal = (flags & CLONE_PARENT) != 0 ? 0 : SIGCHLD;
  return static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
}

inline int pivot_root(const char* new_root, const char* put_old) {
  return static_cast<int>(syscall(SYS_pivot_root, new_root, put_old));
}

inline int close_range_from(unsigned first, unsigned last) {
  return static_cast<int>(syscall(SYS_close_range, first, last, 0));
}

// setresuid and setresgid of glibc broadcast to threads; these change the calling thread, which is
// the only one.
inline int set_uids(uid_t real, uid_t effective, uid_t saved) {
  return static_cast<int>(syscall(SYS_setresuid, real, effective, saved));
}
inline int set_gids(gid_t real, gid_t effective, gid_t saved) {
  return static_cast<int>(syscall(SYS_setresgid, real, effective, saved));
}

}  // namespace sys

// Copies `text` into a fixed array, cut where it doesn't fit, always terminated.
template <size_t N>
void copy_text(char (&to)[N], const char* text) {
  size_t length = 0;
  for (; length + 1 < N && text[length] != '\0'; ++length) to[length] = text[length];
  memset(to + length, 0, N - length);
}

}  // namespace hearth::sandbox
