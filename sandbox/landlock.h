// Landlock: a lock on files that holds whatever the mounts show, and that keeps a worker's signals
// and abstract sockets inside. The second lock in the modes with namespaces, the main one in mode
// degraded. Functions here change the calling process only, don't allocate and may run between
// clone and exec.
#pragma once
#include "sandbox/spawner_protocol.h"
#include "sandbox/sys.h"

namespace hearth::sandbox {

inline constexpr int kLandlockScopesAbi = 6;  // from here on signals and abstract sockets too

// The kernel's version of Landlock; 0 = none, and errno says why (ENOSYS: not built in; EOPNOTSUPP:
// not switched on at boot).
int landlock_abi();

struct LandlockPlan {
  const SpawnerConfig* config;
  const RuntimeEntry* runtime;  // null: a trial
  const char* code;             // 64 hex digits, or null: not yet known
  int abi;
};
// Needs no_new_privs. With namespaces the rules name what every sandbox has; the code's is on /var,
// because a rule on a folder does not hold for what is mounted over it later. In mode degraded they
// name the host's files that a runtime needs, the code (of all functions as long as it is not
// known), the shims and /tmp.
Failure restrict_files(const LandlockPlan& plan);

}  // namespace hearth::sandbox
