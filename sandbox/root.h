// The file system that workers see. The spawner leaves the host's tree for good and keeps in a
// mount namespace of its own: /template, the read-only template of every sandbox's root; /code, the
// code store; /host, what a sandbox with the host's network has of the host's /etc (copies of the
// spawner's start); and /proc, which workers never see. A sandbox copies that
// namespace, adds what is its own to /template, pivots into it and drops the rest. Functions here
// don't allocate and may run between clone and exec.
#pragma once
#include "sandbox/spawner_protocol.h"
#include "sandbox/sys.h"

namespace hearth::sandbox {

inline constexpr const char* kTaskDir = "/var/task";
inline constexpr const char* kRuntimeDir = "/var/runtime";
inline constexpr const char* kLostOwnMounts = "return to the own mount namespace";
inline constexpr unsigned kWorkerUidInUserNs = 1000;

// Moves the caller into a new mount namespace (user mode: in an outer user namespace of its own,
// and root becomes uid_base first) and builds the tree described above. Needs CAP_SYS_ADMIN in the
// caller's user namespace. An interpreter outside of /usr is mounted with the folder above its bin
// folder. After this, the paths of the host are gone.
Failure build_template(const SpawnerConfig& config);

// Size of /dev/shm beside a /tmp of that size.
constexpr uint64_t shm_bytes(uint64_t tmp_bytes) {
  constexpr uint64_t kMost = 64u << 20, kLeast = 1u << 20;
  const uint64_t part = tmp_bytes / 4;
  return part < kLeast ? kLeast : part > kMost ? kMost : part;
}

struct SandboxMounts {
  uint64_t tmp_bytes;
  const char* code;  // 64 hex digits of a folder in the code store, or null: none yet
  bool host_network = false;
};
// In a sandbox's first process, which has pid and mount namespaces of its own: mounts /tmp,
// /dev/shm, /proc and the code, and pivots.
Failure enter_sandbox_root(const SandboxMounts& mounts);

// In the spawner: puts the code folder at /var/task of a running sandbox. `own_ns` and `sandbox_ns`
// are mount namespaces. The spawner is left in the wrong namespace only when the failure's step is
// kLostOwnMounts: then it must end.
Failure mount_code_late(int own_ns, int sandbox_ns, const char* code);

}  // namespace hearth::sandbox
