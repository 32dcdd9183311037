// What /proc says of a process that is not a child of the caller. No heap.
#pragma once
#include <sys/types.h>

#include "sandbox/sys.h"

namespace hearth::sandbox {

struct ProcessStatus {
  pid_t parent = 0;
  pid_t inner_pid = 0;  // in the innermost pid namespace that it is in
};
// Fails when the process is gone.
Failure read_process_status(pid_t pid, ProcessStatus& status);

}  // namespace hearth::sandbox
