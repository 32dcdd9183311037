// Any bytes as the ENVIRONMENT frame that a worker's process reads before its exec.
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox/environment.h"

using namespace hearth::sandbox;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const char* const base[] = {"PATH=/bin", "HOME=/tmp", nullptr};
  if (size > 2 * kEnvironmentBytesMax) return 0;  // a socket takes that much without a reader
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) abort();
  if (size > 0 && write(ends[0], data, size) != static_cast<ssize_t>(size)) abort();
  shutdown(ends[0], SHUT_WR);
  const char* const* envp = nullptr;
  const Failure refused = read_environment(ends[1], base, envp);
  close(ends[0]);
  close(ends[1]);
  if (refused) return 0;
  // What an exec takes: every entry has a name and a value, the base's names are there, and no more
  // than allowed.
  size_t count = 0;
  bool path = false, home = false;
  for (; envp[count] != nullptr; ++count) {
    const char* equals = strchr(envp[count], '=');
    if (equals == nullptr || equals == envp[count]) abort();
    path |= strncmp(envp[count], "PATH=", 5) == 0;
    home |= strncmp(envp[count], "HOME=", 5) == 0;
  }
  if (count > kEnvironmentEntriesMax || !path || !home) abort();
  return 0;
}
