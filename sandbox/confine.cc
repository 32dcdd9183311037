#include "sandbox/confine.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/unique_fd.h"
#include "sandbox/root.h"

namespace hearth::sandbox {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kStackBytes = 8 * kMiB;
constexpr uint64_t kLockedBytes = 64 << 10;
constexpr uint64_t kDataPerGroupByte = 8;

// Never above the hard limit that the process came with: that would need a capability.
Failure lower(int resource, rlim_t soft, rlim_t hard, const char* step) {
  rlimit now;
  if (getrlimit(static_cast<__rlimit_resource>(resource), &now) != 0) return Failure::at(step);
  if (hard > now.rlim_max) hard = now.rlim_max;
  const rlimit limit{soft < hard ? soft : hard, hard};
  if (setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return Failure::at(step);
  return {};
}

Failure write_map(const char* path, unsigned outside) {
  char text[32];
  const int length = snprintf(text, sizeof text, "%u %u 1\n", kWorkerUidInUserNs, outside);
  UniqueFd fd(open(path, O_WRONLY | O_CLOEXEC));
  if (!fd.valid() || write(fd.get(), text, static_cast<size_t>(length)) != length)
    return Failure::at(path);
  return {};
}

bool has_setpcap() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  return (data[0].effective >> CAP_SETPCAP & 1) != 0;
}

}  // namespace

uint64_t memory_headroom(const char* runtime) {
  if (strcmp(runtime, "nodejs") == 0) return 128 * kMiB;
  if (strcmp(runtime, "python3") == 0) return 32 * kMiB;
  return 16 * kMiB;
}

MemoryLimits memory_limits(const char* runtime, uint64_t memory_bytes, uint64_t tmp_bytes,
                           bool has_group) {
  const uint64_t own = memory_bytes + memory_headroom(runtime);
  const uint64_t files = tmp_bytes + shm_bytes(tmp_bytes);
  const uint64_t group = own + (files > memory_bytes / 2 ? files - memory_bytes / 2 : 0);
  return {has_group ? kDataPerGroupByte * group : own, group};
}

Failure set_limits(const ProcessLimits& limits) {
  // CORE 1, not 0: a core_pattern that is a pipe ignores 0, and 1 stops both kinds.
  if (Failure f = lower(RLIMIT_CORE, 1, 1, "limit core files")) return f;
  if (Failure f = lower(RLIMIT_DATA, limits.data_bytes, limits.data_bytes, "limit memory"))
    return f;
  if (Failure f = lower(RLIMIT_FSIZE, limits.file_bytes, limits.file_bytes, "limit file size"))
    return f;
  if (Failure f = lower(RLIMIT_NOFILE, limits.nofile, limits.nofile, "limit descriptors")) return f;
  if (Failure f = lower(RLIMIT_MEMLOCK, kLockedBytes, kLockedBytes, "limit locked memory"))
    return f;
  if (Failure f = lower(RLIMIT_MSGQUEUE, 0, 0, "limit message queues")) return f;
  if (Failure f = lower(RLIMIT_STACK, kStackBytes, kStackBytes, "limit the stack")) return f;
  if (Failure f = lower(RLIMIT_NICE, 0, 0, "limit the nice value")) return f;
  if (Failure f = lower(RLIMIT_RTPRIO, 0, 0, "limit real-time priority")) return f;
  if (limits.nproc == 0) return {};
  return lower(RLIMIT_NPROC, limits.nproc, limits.nproc, "limit processes");
}

Failure set_function_limits(pid_t pid, uint64_t data_bytes, uint64_t file_bytes, uint32_t uid) {
  const rlimit data{data_bytes, data_bytes}, file{file_bytes, file_bytes};
  const uid_t own_uid = getuid();
  const gid_t own_gid = getgid();
  const bool switch_ids = uid != 0 && uid != own_uid;
  // Only the real ids move: the effective ones, and with them all capabilities, stay. A worker
  // could signal a process of its real uid, but the spawner is not in its pid namespace.
  if (switch_ids && (sys::set_gids(uid, ~0u, ~0u) != 0 || sys::set_uids(uid, ~0u, ~0u) != 0))
    return Failure::at("take the worker's uid");
  Failure failure;
  if (prlimit(pid, RLIMIT_DATA, &data, nullptr) != 0) failure = Failure::at("limit memory");
  if (prlimit(pid, RLIMIT_FSIZE, &file, nullptr) != 0) failure = Failure::at("limit file size");
  if (switch_ids &&
      (sys::set_uids(own_uid, ~0u, ~0u) != 0 || sys::set_gids(own_gid, ~0u, ~0u) != 0))
    return Failure::at("take the own uid back");
  return failure;
}

Failure drop_privileges(uint32_t uid) {
  for (int capability = 0; capability < 64; ++capability) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;  // the kernel's last one is behind us
    const Failure failure = Failure::at("drop the bounding set");
    // Without CAP_SETPCAP there is no way to drop it; no_new_privs makes the bounding set void.
    if (failure.error == EPERM && !has_setpcap()) break;
    return failure;
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    return Failure::at("clear the ambient set");
  if (uid != 0) {
    if (syscall(SYS_setgroups, 0, nullptr) != 0) return Failure::at("drop the groups");
    if (sys::set_gids(uid, uid, uid) != 0) return Failure::at("take the gid");
    if (sys::set_uids(uid, uid, uid) != 0) return Failure::at("take the uid");
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capset, &header, data) != 0) return Failure::at("drop the capabilities");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Failure::at("set no_new_privs");
  return {};
}

Failure enter_own_user_namespace() {
  const unsigned uid = geteuid();
  const unsigned gid = getegid();
  // The files of a non-dumpable process belong to the host's root. exec decides anew, so this lasts
  // until then only.
  if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0) return Failure::at("become dumpable");
  if (unshare(CLONE_NEWUSER) != 0) return Failure::at("unshare the worker's user namespace");
  if (Failure f = write_map("/proc/self/uid_map", uid)) return f;
  return write_map("/proc/self/gid_map", gid);
}

Failure load_filter(const sock_fprog& filter) {
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0)
    return Failure::at("load the seccomp filter");
  return {};
}

Failure die_with_parent(int signal) {
  if (prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) != 0)
    return Failure::at("set the parent-death signal");
  return {};
}

}  // namespace hearth::sandbox
