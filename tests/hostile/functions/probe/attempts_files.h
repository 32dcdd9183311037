/* Attempts against files, descriptors and shared objects. */
#pragma once
#include <dirent.h>
#include <mqueue.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "attempt.h"

static int try_read(const char* path) {
  char byte;
  const int fd = open(path, O_RDONLY | O_NONBLOCK);
  return fd < 0 ? errno : outcome(read(fd, &byte, 1));
}
static int try_stat(const char* path) {
  struct stat status;
  return outcome(stat(path, &status));
}
/* Whether a folder has names in it. */
static int try_list(const char* path) {
  DIR* folder = opendir(path);
  int count = 0;
  if (folder == NULL) return errno;
  for (const struct dirent* entry; (entry = readdir(folder)) != NULL;)
    count += entry->d_name[0] != '.';
  closedir(folder);
  return say(count == 0 ? "empty" : "names");
}
static int try_create(const char* path) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (fd < 0) return errno;
  unlink(path);
  return 0;
}
static int try_open_rw(const char* path) { return outcome(open(path, O_RDWR | O_NONBLOCK)); }
static int try_open_w(const char* path) { return outcome(open(path, O_WRONLY | O_NONBLOCK)); }
/* "PATH TEXT" */
static int try_put(const char* text) {
  char path[256];
  int used = 0;
  if (sscanf(text, "%255s %n", path, &used) != 1) return EINVAL;
  const int fd = open(path, O_WRONLY);
  const size_t length = strlen(text + used);
  return fd < 0 ? errno : outcome(write(fd, text + used, length));
}
static int try_mknod(const char* path) {
  const int error = outcome(mknod(path, S_IFBLK | 0600, makedev(254, 0)));
  unlink(path);
  return error;
}
static int try_symlink_read(const char* target) {
  char byte, path[64];
  snprintf(path, sizeof path, "/tmp/hearth-hostile-link-%d", (int)getpid());
  if (symlink(target, path) != 0) return errno;
  const int fd = open(path, O_RDONLY);
  const int error = fd < 0 ? errno : outcome(read(fd, &byte, 1));
  unlink(path);
  return error;
}
static int try_hardlink(const char* target) {
  char path[64];
  snprintf(path, sizeof path, "/tmp/hearth-hostile-hard-%d", (int)getpid());
  const int error = outcome(link(target, path));
  unlink(path);
  return error;
}
/* "PATH MIB": writes so much, removes it again. */
static int try_fill(const char* text) {
  static char block[1 << 20];
  char path[256];
  int mib = 0, error = 0;
  sscanf(text, "%255s %d", path, &mib);
  const int fd = open(path, O_WRONLY | O_CREAT, 0600);
  if (fd < 0) return errno;
  signal(SIGXFSZ, SIG_IGN);
  for (int i = 0; i < mib && error == 0; ++i) {
    const ssize_t n = write(fd, block, sizeof block);
    if (n < 0) error = errno;
  }
  close(fd);
  unlink(path);
  return error;
}
static int try_inodes(const char* text) {
  char folder[128], path[192];
  int most = 0, made = 0, error = 0;
  sscanf(text, "%127s %d", folder, &most);
  for (; made < most; ++made) {
    snprintf(path, sizeof path, "%s/hearth-hostile-%d", folder, made);
    const int fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (fd < 0) {
      error = errno;
      break;
    }
    close(fd);
  }
  for (int i = 0; i < made; ++i) {
    snprintf(path, sizeof path, "%s/hearth-hostile-%d", folder, i);
    unlink(path);
  }
  return error;
}
static int try_sparse(const char* text) {
  char path[256];
  long long bytes = 0;
  sscanf(text, "%255s %lld", path, &bytes);
  const int fd = open(path, O_RDWR | O_CREAT, 0600);
  if (fd < 0) return errno;
  signal(SIGXFSZ, SIG_IGN);
  const int error = outcome(ftruncate(fd, bytes));
  unlink(path);
  return error;
}
/* The descriptors that are open, as text. */
static int try_fds(const char* unused) {
  (void)unused;
  char text[kTextMax] = "";
  for (int fd = 0; fd < 1024; ++fd) {
    const size_t length = strlen(text);
    if (fcntl(fd, F_GETFD) >= 0 && length < sizeof text - 8)
      snprintf(text + length, sizeof text - length, "%s%d", length == 0 ? "" : ",", fd);
  }
  return say(text);
}
/* "FILE WORD": whether the word stands in the file. */
static int try_contains(const char* text) {
  char path[256], word[256];
  static char content[1 << 18];
  if (sscanf(text, "%255s %255s", path, word) != 2) return EINVAL;
  const int fd = open(path, O_RDONLY);
  if (fd < 0) return errno;
  size_t length = 0;
  for (ssize_t n; length < sizeof content - 1 &&
                  (n = read(fd, content + length, sizeof content - 1 - length)) > 0;)
    length += (size_t)n;
  close(fd);
  return say(memmem(content, length, word, strlen(word)) != NULL ? "seen" : "absent");
}
static int try_shm_make(const char* name) {
  const int fd = shm_open(name, O_RDWR | O_CREAT, 0666);
  return fd < 0 ? errno : outcome(write(fd, "x", 1));
}
static int try_shm_look(const char* name) { return outcome(shm_open(name, O_RDONLY, 0)); }
static int try_shm_remove(const char* name) { return outcome(shm_unlink(name)); }
static int try_sysv_make(const char* key) {
  return outcome(shmget((key_t)strtol(key, NULL, 0), 4096, IPC_CREAT | 0666));
}
static int try_sysv_look(const char* key) {
  return outcome(shmget((key_t)strtol(key, NULL, 0), 0, 0));
}
static int try_sysv_remove(const char* key) {
  return outcome(shmctl(shmget((key_t)strtol(key, NULL, 0), 0, 0), IPC_RMID, NULL));
}
static int try_mq(const char* name) {
  const mqd_t queue = mq_open(name, O_RDWR | O_CREAT, 0666, NULL);
  if (queue < 0) return errno;
  mq_unlink(name);
  return 0;
}
/* Opens descriptors of a kind until one is refused; "KIND MOST". */
static int one_more(const char* kind) {
  int pair[2];
  if (strcmp(kind, "file") == 0) return open("/dev/null", O_RDONLY);
  if (strcmp(kind, "pipe") == 0) return pipe(pair);
  if (strcmp(kind, "epoll") == 0) return epoll_create1(0);
  if (strcmp(kind, "inotify") == 0) return inotify_init1(0);
  timer_t timer;
  return timer_create(CLOCK_MONOTONIC, NULL, &timer);
}
static int try_exhaust(const char* text) {
  char kind[32];
  int most = 0;
  sscanf(text, "%31s %d", kind, &most);
  for (int i = 0; i < most; ++i)
    if (one_more(kind) < 0) return errno;
  return 0;
}
/* Files that only a descriptor holds, in memory: does the limit on memory see them? */
static int try_memfd(const char* mib) {
  static char block[1 << 20];
  const int fd = memfd_create("hearth-hostile", 0);
  if (fd < 0) return errno;
  signal(SIGXFSZ, SIG_IGN);
  for (int i = 0; i < atoi(mib); ++i)
    if (write(fd, block, sizeof block) < 0) return errno;
  return 0;
}
static int try_inotify(const char* path) {
  return outcome(inotify_add_watch(inotify_init1(0), path, IN_ALL_EVENTS));
}
