// recv() and send() of sockets that never block, for the warm path. libc's are cancellation points:
// in a process with threads each call switches cancellation on and off around the system call.
// Nothing here cancels threads. EINTR is retried; errors are as errno says.
#pragma once
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace hearth {

// Returns bytes, 0 at the end of the stream, or -1.
inline ssize_t receive_now(int fd, char* to, size_t size) {
  ssize_t n = 0;
  do {
    n = ::syscall(SYS_recvfrom, fd, to, size, MSG_DONTWAIT, nullptr, nullptr);
  } while (n < 0 && errno == EINTR);
  return n;
}

// Returns bytes, or -1. Never raises SIGPIPE: the host process may not ignore it, and that is not
// ours to change.
inline ssize_t send_now(int fd, const char* data, size_t size) {
  ssize_t n = 0;
  do {
    n = ::syscall(SYS_sendto, fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT, nullptr, 0);
  } while (n < 0 && errno == EINTR);
  return n;
}

}  // namespace hearth
