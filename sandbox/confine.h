// What a process gives up before it runs foreign code. All functions change the calling process
// only, don't allocate, and may run between clone and exec.
#pragma once
#include <linux/filter.h>

#include "sandbox/spawner_protocol.h"
#include "sandbox/sys.h"

namespace hearth::sandbox {

// Memory that a runtime needs above what the function may use: its own data segments, thread stacks
// and JIT space. Measured: CPython 3.11 starts with 32 MiB of RLIMIT_DATA, Node 20 with 64 MiB; V8
// reserves more while it grows its heap.
uint64_t memory_headroom(const char* runtime);

struct MemoryLimits {
  uint64_t data_bytes;   // RLIMIT_DATA of each process
  uint64_t group_bytes;  // of the whole sandbox, if it has a memory cgroup
};
// For a function that may use `memory_bytes`. The group counts /tmp and /dev/shm too: what they may
// take beyond half of the function's memory comes on top. With a group, RLIMIT_DATA is so far
// above that it is the group that decides, and running out of memory is reported as that.
MemoryLimits memory_limits(const char* runtime, uint64_t memory_bytes, uint64_t tmp_bytes,
                           bool has_group);

// RLIMIT_FSIZE, for memory files, and where /tmp is the host's. The sizes of the sandbox's own /tmp
// and /dev/shm are reached first, and with a memory group the group's limit is.
constexpr uint64_t file_limit(uint64_t data_bytes, uint64_t tmp_bytes) {
  return data_bytes > tmp_bytes ? data_bytes : tmp_bytes;
}

struct ProcessLimits {
  uint64_t data_bytes;
  uint64_t file_bytes;  // file_limit()
  uint32_t nofile;
  uint32_t
      nproc;  // 0 = leave it: in degraded mode it would count the host's processes of the same uid
};
Failure set_limits(const ProcessLimits& limits);

// The limits of another process on memory and files, lowered to those of its function. It must have
// the caller's real uid and gid, or `uid` names its uid (= gid) and the caller may set its own real
// ids to it for a moment; CAP_SYS_RESOURCE is not needed.
Failure set_function_limits(pid_t pid, uint64_t data_bytes, uint64_t file_bytes, uint32_t uid);

// Drops every capability, the bounding set included, and takes `uid` as uid and gid with no
// supplementary groups. uid 0 = keep the ids.
Failure drop_privileges(uint32_t uid);

// A user namespace of the caller's own, in which its present uid and gid are kWorkerUidInUserNs.
Failure enter_own_user_namespace();

// The last step before exec.
Failure load_filter(const sock_fprog& filter);

// The process dies with its parent. Credentials that change later undo this.
Failure die_with_parent(int signal);

}  // namespace hearth::sandbox
