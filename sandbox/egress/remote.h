// Reaching into the worker: its memory, its sockets, its epoll instances. All of it is checked by
// the kernel as ptrace would be. No heap.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/unique_fd.h"

namespace hearth::sandbox::egress {

// A socket of the worker, shared with it.
struct Target {
  UniqueFd pidfd;  // of the process
  UniqueFd socket;
  int domain = 0, type = 0;
  bool host = false;  // made in the agent's network namespace, not in the sandbox's
  bool nonblocking = false;
  bool close_on_exec = false;
  int tcp_state = 0;  // as in TCP_INFO; 0 = not TCP
};

// A cookie of the network namespace in which `socket` was made; 0 = the kernel does not say (before
// 5.14).
uint64_t network_of(int socket);

// Opens descriptor `fd` of thread `tid`. `proc` is a folder of procfs; `own_network` the agent's
// cookie. Returns 0 or the errno for the worker.
int open_target(int proc, int tid, int fd, uint64_t own_network, Target& target);

// Copies `size` bytes at `from` of the worker. 0 or an errno.
int read_memory(int tid, uint64_t from, void* to, size_t size);

// Sets on `to` what was set on `from`, both TCP sockets of one family. What can't be set is left.
void copy_options(int from, int to);

// For each of the worker's epoll instances that watch descriptor `fd`: watches `replacement` under
// the same number, with the same events and data. Looks at kDescriptorsMax descriptors at most.
void copy_registrations(int proc, int tid, const Target& target, int fd, int replacement);
inline constexpr int kDescriptorsMax = 4096;

// The folder in which the thread works, or an invalid descriptor.
UniqueFd open_working_folder(int proc, int tid);

}  // namespace hearth::sandbox::egress
