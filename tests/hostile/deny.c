/* deny NUMBER [ARGUMENT_INDEX VALUE] -- PROGRAM ARGS..: runs a program for which one system call
 * always fails with EPERM, in it and in all that it starts. So every step of making a sandbox can
 * be made to fail. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char** argv) {
  int at = 1;
  uint32_t number, index = 0, value = 0;
  if (argc < 4) return 2;
  number = (uint32_t)strtoul(argv[at++], NULL, 0);
  const int filtered = strcmp(argv[at], "--") != 0;
  if (filtered && argc > 5) {
    index = (uint32_t)strtoul(argv[at++], NULL, 0);
    value = (uint32_t)strtoul(argv[at++], NULL, 0);
  }
  ++at;
  const uint32_t low = (uint32_t)(offsetof(struct seccomp_data, args) + 8 * index);
  struct sock_filter with[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  if (!filtered) with[2] = with[4]; /* whatever its arguments are */
  const struct sock_fprog program = {sizeof with / sizeof *with, with};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0) {
    perror("seccomp");
    return 2;
  }
  execv(argv[at], argv + at);
  perror(argv[at]);
  return 2;
}
