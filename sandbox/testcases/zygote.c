/* A zygote for tests, honest or not. It reads commands, one line each, on descriptor 3; those that
 * begin with "fork" come with four descriptors: channel, stdout, stderr, report socket (see
 * runtimes/protocol.md). Its children run the same loop on their own channel. Static, so that it
 * needs nothing of the root that it runs in. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kChannel = 3, kLineMax = 256, kFds = 4, kReportSize = 72, kReportFd = 3 };

static int g_init; /* the parent of a worker */

static void say(const char* text) {
  char line[kLineMax];
  const int length = snprintf(line, sizeof line, "%s\n", text);
  if (write(kChannel, line, (size_t)length) != length) _exit(9);
}

/* One line, byte by byte; returns how many descriptors came with it, -1 at the end. */
static int read_line(char* line, int* fds) {
  int count = 0;
  for (size_t at = 0; at + 1 < kLineMax;) {
    char control[CMSG_SPACE(sizeof(int) * kFds)];
    struct iovec data = {line + at, 1};
    struct msghdr message = {0};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (recvmsg(kChannel, &message, 0) != 1) return -1;
    const struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
    if (rights != NULL) {
      count = (int)((rights->cmsg_len - CMSG_LEN(0)) / sizeof(int));
      memcpy(fds, CMSG_DATA(rights), sizeof(int) * (size_t)count);
    }
    if (line[at] == '\n') {
      line[at] = '\0';
      return count;
    }
    ++at;
  }
  return -1;
}

/* The report of a child; `size` bytes of it, with `extra` as a descriptor if that is not negative.
 */
static void report(int fd, unsigned kind, size_t size, int extra) {
  unsigned char bytes[kReportSize] = {0};
  memcpy(bytes, &kind, sizeof kind);
  struct iovec data = {bytes, size};
  char control[CMSG_SPACE(sizeof(int))];
  struct msghdr message = {0};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (extra >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    struct cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(rights), &extra, sizeof extra);
  }
  if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0) _exit(8);
}

static void wait_for_word(int fd) {
  char word;
  if (recv(fd, &word, 1, 0) != 1) _exit(7);
}

/* A process whose parent is init: the caller goes on as that process, its parent returns 0. */
static int fork_twice(void) {
  const pid_t between = fork();
  if (between > 0) {
    waitpid(between, NULL, 0);
    return 0;
  }
  if (fork() > 0) _exit(0);
  while (getppid() != g_init) usleep(100);
  return 1;
}

static void take_ends(const int* fds) {
  if (dup2(fds[0], kChannel) < 0 || dup2(fds[1], 1) < 0 || dup2(fds[2], 2) < 0) _exit(6);
  for (int i = 0; i < kReportFd; ++i) close(fds[i]);
}

/* The good child; returns in it only. */
static int become_worker(const int* fds, int extra) {
  if (!fork_twice()) return 0;
  take_ends(fds);
  report(fds[kReportFd], 2, kReportSize, extra);
  wait_for_word(fds[kReportFd]);
  close(fds[kReportFd]);
  char text[64];
  snprintf(text, sizeof text, "CHILD %d", (int)getpid());
  say(text);
  return 1;
}

/* Returns 1 in a child that has become a worker. */
static int do_fork(const char* how, const int* fds) {
  const int report_fd = fds[kReportFd];
  if (strcmp(how, "good") == 0) return become_worker(fds, -1);
  if (strcmp(how, "with a descriptor") == 0) return become_worker(fds, 0);
  if (strcmp(how, "itself") == 0) report(report_fd, 2, kReportSize, -1);
  if (strcmp(how, "short") == 0 && fork_twice()) report(report_fd, 2, 8, -1), pause();
  if (strcmp(how, "other kind") == 0 && fork_twice()) report(report_fd, 1, kReportSize, 0), pause();
  if (strcmp(how, "failed") == 0 && fork_twice()) report(report_fd, 3, kReportSize, -1), pause();
  if (strcmp(how, "silent") == 0 && fork_twice()) pause();
  if (strcmp(how, "own child") == 0 && fork() == 0) report(report_fd, 2, kReportSize, -1), pause();
  if (strcmp(how, "two") == 0) {
    for (int i = 0; i < 2; ++i) {
      if (!fork_twice()) continue;
      report(report_fd, 2, kReportSize, -1);
      wait_for_word(report_fd);
      take_ends(fds);
      say("CHILD");
      return 1;
    }
  }
  return 0;
}

static void make_orphans(int count) {
  for (int i = 0; i < count; ++i) {
    const pid_t between = fork();
    if (between < 0) _exit(5);
    if (between > 0) {
      waitpid(between, NULL, 0);
      continue;
    }
    if (fork() <= 0) _exit(0);
    _exit(0);
  }
}

int main(void) {
  g_init = getppid();
  signal(SIGPIPE, SIG_IGN);
  say("HELLO");
  char line[kLineMax];
  int fds[kFds];
  for (int count; (count = read_line(line, fds)) >= 0;) {
    int child = 0;
    if (strncmp(line, "fork ", 5) == 0 && count == kFds) child = do_fork(line + 5, fds);
    if (!child && count == kFds)
      for (int i = 0; i < kFds; ++i) close(fds[i]);
    if (strncmp(line, "exit ", 5) == 0) exit(atoi(line + 5));
    if (strncmp(line, "signal ", 7) == 0) kill(getpid(), atoi(line + 7));
    if (strncmp(line, "orphans ", 8) == 0) make_orphans(atoi(line + 8));
    if (strcmp(line, "leave a process") == 0 && fork_twice()) pause();
    if (strncmp(line, "fork ", 5) != 0) say("DONE");
  }
  return 0;
}
