/* Attempts against processes, privileges and the kernel's calls. */
#pragma once
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "attempt.h"

/* "NUMBER ARGUMENTS": a system call by its number. '@' stands for a page of zeros. */
static int try_sys(const char* text) {
  static char zeros[4096] __attribute__((aligned(4096)));
  long value[7] = {0};
  for (int i = 0; i < 7 && *text != '\0'; ++i) {
    while (*text == ' ') ++text;
    if (*text == '@') {
      value[i] = (long)zeros;
      ++text;
      continue;
    }
    char* end;
    value[i] = *text == '-' ? strtol(text, &end, 0) : (long)strtoul(text, &end, 0);
    text = end;
  }
  return outcome(syscall(value[0], value[1], value[2], value[3], value[4], value[5], value[6]));
}

/* "parent" = the worker itself. */
static pid_t pid_of(const char* text) {
  return strncmp(text, "parent", 6) == 0 ? getppid() : atoi(text);
}
static int try_ptrace(const char* pid) { return outcome(ptrace(PTRACE_SEIZE, pid_of(pid), 0, 0)); }
static int try_vm_readv(const char* pid) {
  char byte, *address = &byte;
  struct iovec here = {&byte, 1}, there = {address, 1};
  return outcome(process_vm_readv(pid_of(pid), &here, 1, &there, 1, 0));
}
static int try_kill(const char* text) {
  int number = 0;
  const char* space = strchr(text, ' ');
  if (space != NULL) number = atoi(space);
  return outcome(kill(pid_of(text), number));
}
/* A process of one's own can be killed: the counterpart of attempts that a layer stops. */
static int try_kill_child(const char* unused) {
  (void)unused;
  const pid_t pid = fork();
  if (pid == 0) pause();
  int status = 0;
  if (kill(pid, SIGKILL) != 0 || waitpid(pid, &status, 0) != pid) return errno;
  return WIFSIGNALED(status) ? 0 : ECHILD;
}
static int try_prlimit(const char* pid) {
  struct rlimit old;
  return outcome(prlimit(atoi(pid), RLIMIT_NOFILE, NULL, &old));
}
static int try_affinity(const char* pid) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return errno;
  return outcome(sched_setaffinity(atoi(pid), sizeof set, &set));
}
static int try_unshare(const char* flags) {
  return outcome(syscall(SYS_unshare, strtoul(flags, NULL, 0)));
}
static int try_clone(const char* flags) {
  const long pid = syscall(SYS_clone, strtoul(flags, NULL, 0) | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) _exit(0);
  return outcome(pid);
}
static int try_clone3(const char* flags) {
  struct clone_args args = {.flags = strtoul(flags, NULL, 0), .exit_signal = SIGCHLD};
  const long pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) _exit(0);
  return outcome(pid);
}
/* getpid through the 32-bit entry: a filter for one ABI only would let it pass. */
static int try_int80(const char* unused) {
  (void)unused;
#if defined(__x86_64__)
  long value;
  __asm__ volatile("int $0x80" : "=a"(value) : "a"(20L) : "memory");
  return value < 0 ? (int)-value : 0;
#else
  return ENOSYS;
#endif
}
/* A terminal of one's own where there is one, else descriptor 0. */
static int terminal(void) {
  const int fd = posix_openpt(O_RDWR | O_NOCTTY);
  if (fd < 0 || grantpt(fd) != 0 || unlockpt(fd) != 0) return 0;
  const int other = open(ptsname(fd), O_RDWR);
  return other < 0 ? 0 : other;
}
static int try_tty(const char* request) {
  static int discipline = 0;
  const int fd = terminal();
  if (fd != 0) {  // must be the controlling terminal for TIOCSTI
    setsid();
    ioctl(fd, TIOCSCTTY, 0);
  }
  return outcome(syscall(SYS_ioctl, fd, strtoul(request, NULL, 0), &discipline));
}
static int try_set_mm(const char* unused) {
  (void)unused;
  unsigned size = 0;
  return outcome(prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0));
}
/* Copies this program into /tmp with the setuid bit and runs it as another user where it can. */
static int try_setuid_file(const char* unused) {
  (void)unused;
  char path[64], buffer[65536];
  snprintf(path, sizeof path, "/tmp/hearth-hostile-suid-%d", (int)getpid());
  const int from = open("/proc/self/exe", O_RDONLY), to = open(path, O_WRONLY | O_CREAT, 0700);
  if (from < 0 || to < 0) return errno;
  for (ssize_t n; (n = read(from, buffer, sizeof buffer)) > 0;)
    if (write(to, buffer, (size_t)n) != n) return errno;
  if (fchmod(to, 04755) != 0) return errno;
  close(to);
  const pid_t pid = fork();
  if (pid == 0) {
    if (getuid() == 0 && setresuid(65534, 65534, 65534) != 0) _exit(2);
    execl(path, path, "--euid", (char*)NULL);
    _exit(3);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  unlink(path);
  return say(WEXITSTATUS(status) == 1 ? "gained" : WEXITSTATUS(status) == 0 ? "same" : "no exec");
}
static int try_nice(const char* value) {
  return outcome(setpriority(PRIO_PROCESS, 0, atoi(value)));
}
static int try_realtime(const char* unused) {
  (void)unused;
  const struct sched_param priority = {.sched_priority = 1};
  return outcome(syscall(SYS_sched_setscheduler, 0, SCHED_RR, &priority));
}
static int try_raise(const char* resource) {
  const struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
  return outcome(setrlimit((__rlimit_resource_t)atoi(resource), &limit));
}
static int try_forks(const char* most) {
  int made = 0, error = 0;
  static pid_t pids[5000];
  for (; made < atoi(most) && made < 5000; ++made) {
    pids[made] = fork();
    if (pids[made] == 0) pause();
    if (pids[made] < 0) break;
  }
  error = made < atoi(most) ? errno : 0;
  for (int i = 0; i < made; ++i) kill(pids[i], SIGKILL);
  for (int i = 0; i < made; ++i) waitpid(pids[i], NULL, 0);
  return error;
}
static void* wait_for_ever(void* unused) {
  (void)unused;
  while (1) pause();
  return NULL;
}
static int try_threads(const char* most) {
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  for (int i = 0; i < atoi(most); ++i) {
    pthread_t thread;
    const int error = pthread_create(&thread, &small, wait_for_ever, NULL);
    if (error != 0) return error;
  }
  return 0;
}
/* Whether every thread has a filter, no_new_privs and no capability. */
static int try_status(const char* unused) {
  (void)unused;
  char line[256];
  int good = 0, bounded = 0;
  FILE* file = fopen("/proc/self/status", "r");
  if (file == NULL) return errno;
  while (fgets(line, sizeof line, file) != NULL) {
    good += strcmp(line, "CapPrm:\t0000000000000000\n") == 0;
    good += strcmp(line, "CapEff:\t0000000000000000\n") == 0;
    bounded += strcmp(line, "CapBnd:\t0000000000000000\n") == 0;
    good += strcmp(line, "CapAmb:\t0000000000000000\n") == 0;
    good += strcmp(line, "NoNewPrivs:\t1\n") == 0;
    good += strcmp(line, "Seccomp:\t2\n") == 0;
  }
  fclose(file);
  return say(good != 5 ? "free" : bounded ? "confined" : "bounding set kept");
}
static int try_memory(const char* mib) {
  const size_t bytes = strtoul(mib, NULL, 10) << 20;
  char* memory =
      (char*)mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return errno;
  for (size_t at = 0; at < bytes; at += 4096) memory[at] = 1;
  munmap(memory, bytes);
  return 0;
}
static int try_mlock(const char* mib) {
  const size_t bytes = strtoul(mib, NULL, 10) << 20;
  char* memory =
      (char*)mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? errno : outcome(mlock(memory, bytes));
}
