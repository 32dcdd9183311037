/* A worker for tests: says HELLO on descriptor 3, then runs the attempts that it is told to, one
 * line each, and answers with a line. "NAME ARGUMENT" -> "NAME=RESULT": 0 = the attempt went well,
 * E<number> = it failed with that errno, S<number> = a signal ended it. Each attempt runs in a
 * child of its own, so that one may kill. Static, so that it needs nothing of the root that it runs
 * in. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kChannel = 3, kLineMax = 1024 };

static int result(long value) { return value < 0 ? errno : 0; }

static int try_read(const char* path) {
  char byte;
  const int fd = open(path, O_RDONLY);
  return fd < 0 ? errno : result(read(fd, &byte, 1));
}
static int try_write(const char* path) {
  const int fd = open(path, O_WRONLY | O_CREAT, 0644);
  return fd < 0 ? errno : result(write(fd, "x", 1));
}
static int try_stat(const char* path) {
  struct stat status;
  return result(stat(path, &status));
}
static int try_exec(const char* path) {
  execl(path, path, (char*)NULL);
  return errno;
}
/* Pid 0 stands for the parent: the worker itself. */
static pid_t pid_of(const char* text) { return atoi(text) == 0 ? getppid() : atoi(text); }
static int try_ptrace(const char* pid) { return result(ptrace(PTRACE_SEIZE, pid_of(pid), 0, 0)); }
static int try_readv(const char* pid) {
  char byte;
  struct iovec here = {&byte, 1}, there = {&byte, 1};
  return result(process_vm_readv(pid_of(pid), &here, 1, &there, 1, 0));
}
static int try_mount(const char* unused) {
  (void)unused;
  return result(mount("x", "/tmp", "tmpfs", 0, NULL));
}
static int try_unshare(const char* flags) { return result(unshare((int)strtoul(flags, NULL, 16))); }
static int try_clone(const char* flags) {
  const long pid = syscall(SYS_clone, strtoul(flags, NULL, 16) | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) _exit(0);
  return result(pid);
}
static int try_clone3(const char* flags) {
  struct clone_args args = {.flags = strtoul(flags, NULL, 16), .exit_signal = SIGCHLD};
  const long pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) _exit(0);
  return result(pid);
}
static int try_chroot(const char* path) { return result(chroot(path)); }
static int try_setuid(const char* uid) { return result(setuid((uid_t)atoi(uid))); }
static int try_socket(const char* text) {
  int family = 0, type = 0, protocol = 0;
  sscanf(text, "%d %d %d", &family, &type, &protocol);
  return result(socket(family, type, protocol));
}
static int connect_to(const char* text, int flags) {
  char host[64] = "";
  int port = 0;
  sscanf(text, "%63s %d", host, &port);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  inet_pton(AF_INET, host, &address.sin_addr);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) return errno;
  if (flags != 0)
    return result(sendto(fd, "x", 1, flags, (struct sockaddr*)&address, sizeof address));
  return result(connect(fd, (struct sockaddr*)&address, sizeof address));
}
static int try_connect(const char* text) { return connect_to(text, 0); }
static int try_fastopen(const char* text) { return connect_to(text, MSG_FASTOPEN); }
static int try_abstract(const char* name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const size_t length = strlen(name);
  memcpy(address.sun_path + 1, name, length);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  return fd < 0 ? errno
                : result(connect(fd, (struct sockaddr*)&address,
                                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)));
}
static int try_kill(const char* text) {
  int pid = 0, number = 0;
  sscanf(text, "%d %d", &pid, &number);
  return result(kill(pid, number));
}
static int try_keyctl(const char* unused) {
  (void)unused;
  return result(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -3, 1));
}
static int try_io_uring(const char* unused) {
  (void)unused;
  struct io_uring_params params = {0};
  return result(syscall(SYS_io_uring_setup, 1, &params));
}
static int try_syscall(const char* number) {
  return result(syscall(strtol(number, NULL, 0), 0, 0, 0, 0, 0, 0));
}
static int try_prlimit(const char* pid) {
  const struct rlimit limit = {1, 1};
  return result(prlimit(atoi(pid), RLIMIT_CORE, &limit, NULL));
}
static int try_raise(const char* unused) {
  (void)unused;
  const struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
  return result(setrlimit(RLIMIT_DATA, &limit));
}
static int try_nice(const char* unused) {
  (void)unused;
  return result(setpriority(PRIO_PROCESS, 0, -10));
}
static int try_tiocsti(const char* bits) {
  return result(syscall(SYS_ioctl, 0, strtoul(bits, NULL, 16) | TIOCSTI, "x"));
}
static int try_prctl(const char* option) { return result(prctl(atoi(option), 1, 0, 0, 0)); }
static int try_personality(const char* value) {
  return result(personality(strtoul(value, NULL, 16)));
}
static int try_memory(const char* mib) {
  const size_t bytes = strtoul(mib, NULL, 10) << 20;
  char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? errno : 0;
}
/* Fails with EEXIST when a group's path is more than "/". */
static int try_cgroup_path(const char* unused) {
  (void)unused;
  FILE* file = fopen("/proc/self/cgroup", "r");
  char line[512];
  if (file == NULL) return errno;
  while (fgets(line, sizeof line, file) != NULL)
    if (strstr(line, "slot-") != NULL || strstr(line, "hearth") != NULL) return EEXIST;
  return 0;
}
/* Uses it, in this process. */
static int eat(const char* mib) {
  const size_t bytes = strtoul(mib, NULL, 10) << 20;
  char* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return errno;
  for (size_t at = 0; at < bytes; at += 4096) ((volatile char*)memory)[at] = 1;
  return 0;
}
/* Runs for so many milliseconds; the result is the share of a CPU that it got, in percent. */
static int try_spin(const char* ms) {
  const long wanted = atol(ms);
  struct timespec begin, now, used;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  long passed;
  do {
    clock_gettime(CLOCK_MONOTONIC, &now);
    passed = (now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000;
  } while (passed < wanted);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return (int)((used.tv_sec * 1000 + used.tv_nsec / 1000000) * 100 / passed);
}
static int try_fill(const char* path) {
  static char block[1 << 16];
  const int fd = open(path, O_WRONLY | O_CREAT, 0600);
  if (fd < 0) return errno;
  for (int i = 0; i < 1 << 20; ++i)
    if (write(fd, block, sizeof block) < 0) return errno;
  return 0;
}
/* Fails with EEXIST when a process other than those of the sandbox can be seen. */
static int try_processes(const char* most) {
  DIR* dir = opendir("/proc");
  if (dir == NULL) return errno;
  int count = 0;
  for (const struct dirent* entry; (entry = readdir(dir)) != NULL;)
    if (atoi(entry->d_name) > 0) ++count;
  return count > atoi(most) ? EEXIST : 0;
}
/* Fails with EBADF when anything but 0..3 is open. */
static int try_descriptors(const char* unused) {
  (void)unused;
  for (int fd = 4; fd < 1024; ++fd)
    if (fcntl(fd, F_GETFD) >= 0) return EBADF;
  return 0;
}
/* Fails with EPERM when any capability, or no filter, or no no_new_privs is there. */
static int try_status(const char* unused) {
  (void)unused;
  FILE* file = fopen("/proc/self/status", "r");
  if (file == NULL) return errno;
  char line[256];
  int good = 0;
  while (fgets(line, sizeof line, file) != NULL) {
    good += strcmp(line, "CapPrm:\t0000000000000000\n") == 0;
    good += strcmp(line, "CapEff:\t0000000000000000\n") == 0;
    good += strcmp(line, "CapBnd:\t0000000000000000\n") == 0;
    good += strcmp(line, "CapAmb:\t0000000000000000\n") == 0;
    good += strcmp(line, "NoNewPrivs:\t1\n") == 0;
    good += strcmp(line, "Seccomp:\t2\n") == 0;
  }
  return good == 6 ? 0 : EPERM;
}
static int try_uid(const char* expected) {
  return (long)getuid() == atol(expected) && getgid() == getuid() ? 0 : EPERM;
}
static int try_fork_bomb(const char* most) {
  for (int i = 0; i < atoi(most); ++i) {
    const pid_t pid = fork();
    if (pid < 0) return errno;
    if (pid == 0) pause();
  }
  return 0;
}
/* Leaves a process that is its own session and has no parent here. Returns when it is there. */
static int try_daemon(const char* unused) {
  (void)unused;
  int ready[2];
  char byte;
  if (pipe(ready) != 0) return errno;
  if (fork() != 0) {
    close(ready[1]);
    return read(ready[0], &byte, 1) == 1 ? 0 : EPIPE;
  }
  setsid();
  if (fork() != 0) _exit(0);
  signal(SIGTERM, SIG_IGN);
  signal(SIGHUP, SIG_IGN);
  if (write(ready[1], "x", 1) != 1) _exit(1);
  for (int fd = 0; fd < 64; ++fd) close(fd);
  while (1) pause();
}
static int try_time(const char* unused) {
  (void)unused;
  const struct timespec time = {1, 0};
  return result(clock_settime(CLOCK_REALTIME, &time));
}
static int try_i386(const char* unused) {
  (void)unused;
#if defined(__x86_64__)
  long value;
  __asm__ volatile("int $0x80" : "=a"(value) : "a"(20L /* getpid */) : "memory");
  return value < 0 ? (int)-value : 0;
#else
  return ENOSYS;
#endif
}
static int try_mknod(const char* path) {
  return result(mknod(path, S_IFBLK | 0600, makedev(254, 0)));
}
static int try_write_fd(const char* path) {
  const int fd = open(path, O_RDWR);
  return result(fd);
}

static const struct {
  const char* name;
  int (*run)(const char* argument);
} kAttempts[] = {
    {"read", try_read},
    {"write", try_write},
    {"stat", try_stat},
    {"exec", try_exec},
    {"ptrace", try_ptrace},
    {"vm_readv", try_readv},
    {"mount", try_mount},
    {"unshare", try_unshare},
    {"clone", try_clone},
    {"clone3", try_clone3},
    {"chroot", try_chroot},
    {"setuid", try_setuid},
    {"socket", try_socket},
    {"connect", try_connect},
    {"fastopen", try_fastopen},
    {"abstract", try_abstract},
    {"kill", try_kill},
    {"keyctl", try_keyctl},
    {"io_uring", try_io_uring},
    {"syscall", try_syscall},
    {"prlimit", try_prlimit},
    {"raise", try_raise},
    {"nice", try_nice},
    {"tiocsti", try_tiocsti},
    {"prctl", try_prctl},
    {"personality", try_personality},
    {"memory", try_memory},
    {"fill", try_fill},
    {"processes", try_processes},
    {"descriptors", try_descriptors},
    {"status", try_status},
    {"uid", try_uid},
    {"fork_bomb", try_fork_bomb},
    {"daemon", try_daemon},
    {"clock_settime", try_time},
    {"i386", try_i386},
    {"mknod", try_mknod},
    {"open_rw", try_write_fd},
    {"eat", eat},
    {"spin", try_spin},
    {"cgroup_path", try_cgroup_path},
};

static void answer(const char* name, char kind, int value) {
  char line[128];
  const int length = value == 0 && kind == 'E'
                         ? snprintf(line, sizeof line, "%s=0\n", name)
                         : snprintf(line, sizeof line, "%s=%c%d\n", name, kind, value);
  if (write(kChannel, line, (size_t)length) != length) _exit(3);
}

static void attempt(const char* name, const char* argument) {
  for (size_t i = 0; i < sizeof kAttempts / sizeof *kAttempts; ++i) {
    if (strcmp(kAttempts[i].name, name) != 0) continue;
    const pid_t pid = fork();
    if (pid < 0) return answer(name, 'E', errno);
    if (pid == 0) _exit(kAttempts[i].run(argument));
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    return WIFSIGNALED(status) ? answer(name, 'S', WTERMSIG(status))
                               : answer(name, 'E', WEXITSTATUS(status));
  }
  answer(name, 'U', 0);
}

int main(void) {
  static const char kHello[] = "HELLO\n";
  if (write(kChannel, kHello, sizeof kHello - 1) < 0) return 2;
  FILE* channel = fdopen(kChannel, "r");
  char line[kLineMax];
  while (channel != NULL && fgets(line, sizeof line, channel) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    char* space = strchr(line, ' ');
    if (space != NULL) *space = '\0';
    const char* argument = space == NULL ? "" : space + 1;
    if (strcmp(line, "exit") == 0) exit(atoi(argument));
    if (strcmp(line, "signal") == 0) raise(atoi(argument));
    if (strcmp(line, "eat_here") == 0)
      answer(line, 'E', eat(argument));
    else
      attempt(line, argument);
  }
  return 0;
}
