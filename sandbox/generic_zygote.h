// The generic zygote: one interpreter with our shim, whose load path is exercised, and nothing
// else. It is a part of the spawner that happens to be a process of its own: it has the rights that
// making a sandbox takes, makes sandboxes by launch() from fixed-size messages of the spawner, and
// the workers in them go on as its copies instead of by an exec. See engine/design/0012.
#pragma once
#include <linux/filter.h>

#include "base/unique_fd.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/sys.h"

namespace hearth::sandbox {

// Descriptors of the zygote from its exec on; 0 and 1 are /dev/null, 2 is the spawner's.
enum ZygoteFd : int {
  kZygoteControl = 3,  // SEQPACKET, to the spawner: how the shim knows what it is
  kZygotePlan,         // a sealed ZygotePlan
  kZygoteOwnMounts,    // the spawner's mount namespace
  kZygoteLifeline,     // Launch::lifeline
  kZygoteFdsEnd
};

// What stays the same for all sandboxes of a zygote. Behind it come the filters: of workers, of
// workers with Network::kEgress, and of init.
struct ZygotePlan {
  uint32_t magic;
  uint32_t runtime;
  int32_t landlock;
  uint32_t filters[3];  // instructions
  SpawnerConfig config;
};

// Spawner -> zygote: one sandbox. Its descriptors ride along in the order of StartFd.
struct ZygoteStart {
  uint32_t magic;
  uint32_t uid;
  uint64_t memory_bytes, data_bytes, tmp_bytes;
  uint32_t nproc;
  Network network;
  uint8_t has_code;
  uint8_t has_group;  // the last descriptor is there
  char code[kSha256Hex + 1];
};
enum StartFd : int {
  kStartChannel,
  kStartOut,
  kStartErr,
  kStartReport,
  kStartStatus,
  kStartGroup,
  kStartFds
};

// Zygote -> spawner, once: its load path is exercised.
struct ZygoteReady {
  uint32_t magic;
};

inline constexpr uint32_t kZygoteMagic = 0x485a5931;  // "HZY1"

// In the spawner, in modes with namespaces, when the template is built: makes the mount namespace
// of its zygotes. There the template is the root, the shims are those of the spawner's own image,
// and the folders of third-party packages are empty. The spawner is left in the wrong namespace
// only when the failure's step is kLostOwnMounts.
Failure make_zygote_mounts(int own_mounts, UniqueFd& mounts);

// Whether the interpreter is only the machine's administrator's to change: /usr and root's, in mode
// strict. Call it before build_template().
Failure check_interpreter(const SpawnerConfig& config, const RuntimeEntry& runtime);

struct ZygoteImage {
  const SpawnerConfig* config;
  uint32_t runtime;
  int landlock;
  const sock_fprog *filter, *egress_filter, *init_filter;
};
Failure make_zygote_plan(const ZygoteImage& image, UniqueFd& plan);

struct ZygoteProcess {
  Mode mode;
  const RuntimeEntry* runtime;
  const sock_fprog* filter;  // the zygote's own
  int control, plan, mounts, own_mounts, lifeline;
};
// Returns the pid, or -1 with errno. It ends with the spawner, and when its control socket does.
pid_t start_zygote(const ZygoteProcess& process);

}  // namespace hearth::sandbox
