#include "sandbox/egress/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

namespace hearth::sandbox::egress {
namespace {

constexpr int kSoNetnsCookie = 71;  // SO_NETNS_COOKIE, Linux 5.14
constexpr int kSoBufLock = 72;      // SO_BUF_LOCK, Linux 5.14

constexpr size_t kInfoMax = 16 << 10;  // of an fdinfo file: about 150 registrations

// The file, terminated; what is longer is cut. Returns the length or -1.
ssize_t read_text(int proc, const char* path, char* to, size_t room) {
  UniqueFd fd(openat(proc, path, O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return -1;
  size_t length = 0;
  while (length + 1 < room) {
    const ssize_t n = read(fd.get(), to + length, room - 1 - length);
    if (n <= 0) break;
    length += static_cast<size_t>(n);
  }
  to[length] = '\0';
  return static_cast<ssize_t>(length);
}

int process_of(int proc, int tid) {
  char path[32], text[1024];
  snprintf(path, sizeof path, "%d/status", tid);
  if (read_text(proc, path, text, sizeof text) < 0) return -1;
  const char* line = strstr(text, "\nTgid:");
  return line == nullptr ? -1 : atoi(line + 6);
}

int open_process(int proc, int tid) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, tid, 0));
  if (fd >= 0 || errno == ESRCH) return fd;
  // Not the first thread of its process.
  const int process = process_of(proc, tid);
  return process <= 0 ? -1 : static_cast<int>(syscall(SYS_pidfd_open, process, 0));
}

template <class T>
bool get_option(int socket, int level, int option, T& value) {
  socklen_t size = sizeof value;
  return getsockopt(socket, level, option, &value, &size) == 0;
}

template <class T>
void copy_option(int from, int to, int level, int option) {
  T value{}, standard{};
  if (!get_option(from, level, option, value) || !get_option(to, level, option, standard)) return;
  if (memcmp(&value, &standard, sizeof value) == 0) return;
  (void)setsockopt(to, level, option, &value, sizeof value);
}

// The size that getsockopt tells is twice the one that was set; one that was not set adapts itself.
void copy_buffer(int from, int to, int option, int lock) {
  int locked = 0, bytes = 0;
  if (!get_option(from, SOL_SOCKET, kSoBufLock, locked) || (locked & lock) == 0) return;
  if (!get_option(from, SOL_SOCKET, option, bytes)) return;
  bytes /= 2;
  (void)setsockopt(to, SOL_SOCKET, option, &bytes, sizeof bytes);
}

// A number of our own table can be in use; it is put aside and comes back. The kernel knows a
// registration by file and number, and the worker's number is the one that counts.
void watch_as(int epoll, int number, int socket, epoll_event& event) {
  if (socket == number) {
    (void)epoll_ctl(epoll, EPOLL_CTL_ADD, number, &event);
    return;
  }
  const int kept = fcntl(number, F_DUPFD_CLOEXEC, 0);
  if (dup3(socket, number, O_CLOEXEC) != number) {
    if (kept >= 0) close(kept);
    return;
  }
  (void)epoll_ctl(epoll == number ? kept : epoll, EPOLL_CTL_ADD, number, &event);
  if (kept >= 0) {
    dup3(kept, number, O_CLOEXEC);
    close(kept);
  } else {
    close(number);
  }
}

// Lines of an epoll instance: "tfd: 5 events: 1d data: 5  pos:0 ino:.. sdev:..".
void copy_from(const char* info, int epoll, int fd, int replacement) {
  for (const char* at = strstr(info, "tfd:"); at != nullptr; at = strstr(at + 1, "tfd:")) {
    int number = -1;
    unsigned events = 0;
    unsigned long long data = 0;
    if (sscanf(at, "tfd: %d events: %x data: %llx", &number, &events, &data) != 3) continue;
    if (number != fd) continue;
    epoll_event event{};
    event.events = events;
    event.data.u64 = data;
    watch_as(epoll, fd, replacement, event);
    return;
  }
}

struct Entry {  // as getdents64 writes it
  uint64_t inode;
  int64_t offset;
  uint16_t size;
  uint8_t type;
  char name[1];
};

}  // namespace

uint64_t network_of(int socket) {
  uint64_t cookie = 0;
  return get_option(socket, SOL_SOCKET, kSoNetnsCookie, cookie) ? cookie : 0;
}

int open_target(int proc, int tid, int fd, uint64_t own_network, Target& target) {
  target.pidfd.reset(open_process(proc, tid));
  if (!target.pidfd.valid()) return EACCES;
  target.socket.reset(static_cast<int>(syscall(SYS_pidfd_getfd, target.pidfd.get(), fd, 0)));
  if (!target.socket.valid()) return errno == EBADF ? EBADF : EACCES;
  const int socket = target.socket.get();
  if (!get_option(socket, SOL_SOCKET, SO_DOMAIN, target.domain) ||
      !get_option(socket, SOL_SOCKET, SO_TYPE, target.type))
    return ENOTSOCK;
  const uint64_t network = network_of(socket);
  if (network == 0) return EACCES;
  target.host = network == own_network;
  const int flags = fcntl(socket, F_GETFL);
  target.nonblocking = flags >= 0 && (flags & O_NONBLOCK) != 0;
  tcp_info info{};
  const bool inet = target.domain == AF_INET || target.domain == AF_INET6;
  if (inet && target.type == SOCK_STREAM && get_option(socket, IPPROTO_TCP, TCP_INFO, info))
    target.tcp_state = info.tcpi_state;
  char path[48], text[256];
  snprintf(path, sizeof path, "%d/fdinfo/%d", tid, fd);
  if (read_text(proc, path, text, sizeof text) > 0)
    if (const char* line = strstr(text, "flags:"))
      target.close_on_exec = (strtoul(line + 6, nullptr, 8) & O_CLOEXEC) != 0;
  return 0;
}

int read_memory(int tid, uint64_t from, void* to, size_t size) {
  const iovec local{to, size};
  const iovec remote{reinterpret_cast<void*>(from), size};
  const ssize_t n = process_vm_readv(tid, &local, 1, &remote, 1, 0);
  if (n == static_cast<ssize_t>(size)) return 0;
  return n < 0 && errno == EPERM ? EACCES : EFAULT;
}

void copy_options(int from, int to) {
  for (const int option : {SO_KEEPALIVE, SO_REUSEADDR, SO_OOBINLINE, SO_PRIORITY, SO_RCVLOWAT})
    copy_option<int>(from, to, SOL_SOCKET, option);
  copy_option<linger>(from, to, SOL_SOCKET, SO_LINGER);
  copy_option<timeval>(from, to, SOL_SOCKET, SO_RCVTIMEO);
  copy_option<timeval>(from, to, SOL_SOCKET, SO_SNDTIMEO);
  copy_buffer(from, to, SO_SNDBUF, 1);
  copy_buffer(from, to, SO_RCVBUF, 2);
  for (const int option : {TCP_NODELAY, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT,
                           TCP_SYNCNT, TCP_NOTSENT_LOWAT, TCP_CORK, TCP_MAXSEG, TCP_QUICKACK})
    copy_option<int>(from, to, IPPROTO_TCP, option);
  copy_option<int>(from, to, IPPROTO_IP, IP_TOS);
  copy_option<int>(from, to, IPPROTO_IP, IP_TTL);
  copy_option<int>(from, to, IPPROTO_IPV6, IPV6_V6ONLY);
  copy_option<int>(from, to, IPPROTO_IPV6, IPV6_TCLASS);
  copy_option<int>(from, to, IPPROTO_IPV6, IPV6_UNICAST_HOPS);
}

void copy_registrations(int proc, int tid, const Target& target, int fd, int replacement) {
  static char info[kInfoMax];
  char path[48], link[32];
  snprintf(path, sizeof path, "%d/fd", tid);
  UniqueFd folder(openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return;
  alignas(Entry) char entries[4096];
  int seen = 0;
  while (seen < kDescriptorsMax) {
    const long n = syscall(SYS_getdents64, folder.get(), entries, sizeof entries);
    if (n <= 0) return;
    for (long at = 0; at < n; ++seen) {
      const Entry* entry = reinterpret_cast<const Entry*>(entries + at);
      at += entry->size;
      const ssize_t length = readlinkat(folder.get(), entry->name, link, sizeof link - 1);
      link[length < 0 ? 0 : length] = '\0';
      if (strcmp(link, "anon_inode:[eventpoll]") != 0) continue;
      snprintf(path, sizeof path, "%d/fdinfo/%.10s", tid, entry->name);
      if (read_text(proc, path, info, sizeof info) <= 0) continue;
      UniqueFd epoll(
          static_cast<int>(syscall(SYS_pidfd_getfd, target.pidfd.get(), atoi(entry->name), 0)));
      if (epoll.valid()) copy_from(info, epoll.get(), fd, replacement);
    }
  }
}

UniqueFd open_working_folder(int proc, int tid) {
  char path[32];
  snprintf(path, sizeof path, "%d/cwd", tid);
  return UniqueFd(openat(proc, path, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace hearth::sandbox::egress
