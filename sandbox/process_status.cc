#include "sandbox/process_status.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/unique_fd.h"

namespace hearth::sandbox {
namespace {

// The text behind "\nname:\t", or null. A process's name can't forge a line: the kernel escapes its
// newlines.
const char* field(const char* text, const char* name) {
  const char* at = strstr(text, name);
  return at == nullptr ? nullptr : at + strlen(name);
}

}  // namespace

Failure read_process_status(pid_t pid, ProcessStatus& status) {
  char path[32], text[4096];
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return Failure::at("open the worker's status");
  const ssize_t n = read(fd.get(), text, sizeof text - 1);
  if (n <= 0) return {"read the worker's status", n == 0 ? ESRCH : errno};
  text[n] = '\0';
  const char* const parent = field(text, "\nPPid:\t");
  const char* pids = field(text, "\nNSpid:\t");
  if (parent == nullptr || pids == nullptr) return {"understand the worker's status", EPROTO};
  status.parent = atoi(parent);
  // One number a namespace, from the reader's to the innermost.
  char* end = nullptr;
  while (*pids != '\n' && *pids != '\0') {
    status.inner_pid = static_cast<pid_t>(strtol(pids, &end, 10));
    if (end == pids) return {"understand the worker's pids", EPROTO};
    for (pids = end; *pids == '\t' || *pids == ' ';) ++pids;
  }
  return status.parent > 0 && status.inner_pid > 0
             ? Failure{}
             : Failure{"the worker is not in a namespace below", ESRCH};
}

}  // namespace hearth::sandbox
