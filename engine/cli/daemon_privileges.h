// What only the daemon does to its own process: give up root for `user:`, and make itself
// unreadable. The library never calls this. Call drop_privileges() after the spawner has started
// (it keeps root, to build sandboxes) and before the first connection is taken. Linux changes ids
// of the whole process by way of all its threads (glibc does so), so the store's thread may run
// already.
#pragma once
#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.h"

namespace hearth::cli {

// Whom the daemon becomes when neither `user:` nor a user named `hearth` exists. Far above what
// useradd, adduser, systemd's dynamic users and the usual ranges of subuid(5) hand out (60,000 to
// about 0x6FFE0000), below 2^31 for old file systems, and below 0x70000000, where the workers' own
// uids begin. So nobody else owns a file or a process by this number.
inline constexpr uid_t kReservedUid = 0x6FFF0001;

struct DaemonUser {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;  // "hearth", or "uid 1879048193"
};

// Who this process is to become. Nothing when it isn't root: it stays who it is. `configured` is
// `user:` of hearth.yaml: a name or a number; empty = user `hearth`, else kReservedUid. Errors:
// config_invalid: no such user, or it is root.
Result<std::optional<DaemonUser>> daemon_user(const std::string& configured);

// Gives the state folder and all below it to `user`; follows no link. Errors: state_unusable.
Status give_folder(const std::string& folder, const DaemonUser& user);

// Becomes `user` for good: no supplementary groups, real, effective and saved ids, no capabilities
// left. Then seal_process(). Errors: internal, when the kernel refuses or root could be had back;
// the caller must not go on.
Status drop_privileges(const DaemonUser& user);

// PR_SET_DUMPABLE 0: no core dump, and nobody of the same uid may trace us or read /proc/self/mem;
// no_new_privs: nothing that we exec gains anything. Errors: internal.
Status seal_process();

}  // namespace hearth::cli
