// What the engine and the spawner say to each other. One SEQPACKET socket, one message a packet,
// plain structs, same machine and same build. The spawner trusts nothing that comes after
// SpawnerConfig: a request names slots, indexes into tables that were fixed at start, content
// hashes and numbers below fixed ceilings; never a path, an argument vector, a uid or mount flags.
#pragma once
#include <cstddef>
#include <cstdint>

namespace hearth::sandbox {

inline constexpr uint32_t kSpawnerMagic = 0x48535031;  // "HSP1"
inline constexpr size_t kSlotsMax = 4096;
inline constexpr size_t kRuntimesMax = 16;
inline constexpr size_t kPathMax = 512;
inline constexpr size_t kArgsMax = 16;
inline constexpr size_t kSha256Hex = 64;
inline constexpr size_t kEntryMax =
    255;  // bytes of an entry (a native function's executable inside its code folder)
inline constexpr size_t kDetailMax = 200;
inline constexpr uint32_t kFamilyMembersMax = 64;  // workers of one zygote at a time

enum class Mode : uint8_t { kOff = 0, kDegraded = 1, kUser = 2, kStrict = 3 };

// What a sandbox can reach. kNone: its own loopback. kEgress: what its agent's rules name. kHost:
// what the engine can, but for the engine's own listeners; only if
// SpawnerConfig::allow_host_network permits.
enum class Network : uint8_t { kNone = 0, kEgress = 1, kHost = 2 };

enum class MessageType : uint32_t {
  // engine -> spawner
  kConfig = 1,  // the first message, once
  kSpawn = 2,
  kAssign = 3,
  kKill = 4,
  kFreeze = 5,
  kThaw = 6,
  kFork = 7,
  kKillLeftovers = 8,
  kCountLeftovers = 9,
  kTerminate = 10,
  // spawner -> engine
  kReady = 101,      // answer to kConfig: the modes and layers in force, or why not
  kSpawned = 102,    // answer to kSpawn; on success carries kSpawnFds descriptors
  kAssigned = 103,   // answer to kAssign
  kExited = 104,     // the sandbox is gone: every process in it, its mounts and its cgroups
  kForkEnds = 105,   // first answer to kFork; carries kForkFds descriptors
  kLeftovers = 106,  // answer to kKillLeftovers and kCountLeftovers
};

// The life of a slot: kSpawn -> kSpawned. With an error the slot is free again and nothing more
// comes (ECANCELED: a kKill came before the worker was ready). Without one, exactly one kExited of
// the same generation follows, after which the slot is free. kKill and kAssign of another
// generation: kKill is ignored, kAssign is answered with ESTALE; a second kAssign with EALREADY.
// kFreeze stops every process of the sandbox where it stands, kThaw lets it go on; neither has an
// answer, and both are ignored for another generation and where there is no freezer. kAssign thaws,
// and a kill takes effect on a frozen sandbox too.
// kKillLeftovers kills every process of the sandbox but its init and its worker, kCountLeftovers
// counts them; both freeze the sandbox first and leave it so until kThaw, where there is a freezer.
// Each is answered with one kLeftovers, unless its slot is free or of another generation: then its
// kExited is on its way. EAGAIN in it: they forked faster than they could be killed, and the
// sandbox is killed. ENOTSUP: a worker of a zygote, and no freezer tells whose process is whose.
// kTerminate sends SIGTERM to the worker of a runtime with `api`, and to no other process; it has
// no answer, and is ignored for another generation and for other runtimes. Closing the control
// socket or the lifeline ends the spawner and all sandboxes.
//
// A slot that was spawned with `family` holds a zygote, and kFork makes further workers in its
// sandbox: kFork -> kForkEnds -> kSpawned without descriptors, or kSpawned with an error at once or
// later. From there on the slot of a forked worker lives like any other; its kExited means that its
// process is gone, and that of the sandbox's last worker that all of the sandbox is. ESTALE: there
// is no such zygote (any more); EAGAIN: it has kFamilyMembersMax workers. Without
// cgroups a kKill takes the whole sandbox (ExitedMessage::with_family): nothing there tells whose
// process is whose.

// Descriptors that ride on a successful kSpawned, in this order.
// The receiver's ends: the stream socket of runtimes/protocol.md and two pipes to read;
// non-blocking.
// kFdEgress not with Network::kNone: the socket of egress/protocol.h, to the sandbox's agent.
// kFdApi of a runtime with `api`: a TCP socket that listens at kApiPort of the sandbox's loopback.
enum SpawnFd : int {
  kFdChannel = 0,
  kFdStdout = 1,
  kFdStderr = 2,
  kPlainFds = 3,
  kFdEgress = kPlainFds,
  kFdApi,
  kSpawnFds
};
inline constexpr uint16_t kApiPort = 9001;

// Descriptors that ride on kForkEnds: kPlainFds of SpawnFd, and then the far ends, which the engine
// passes to the zygote in this order (FORK in runtimes/protocol.md).
enum ForkFd : int { kFdFarChannel = kPlainFds, kFdFarStdout, kFdFarStderr, kFdFarReport, kForkFds };

struct Header {
  uint32_t magic;
  MessageType type;
};

struct RuntimeEntry {
  char name[32];        // "python3": names the seccomp policy, and the shim's folder below
                        // SpawnerConfig::shim_dir
  char path[kPathMax];  // absolute path of the interpreter; empty = the function's own executable
                        // (kSpawn carries its entry) outside of /usr, the folder above its bin
                        // folder is mounted too; never below /tmp
  // Arguments behind argv[0]. In one, "{memory_mb}" is replaced by the worker's memory in MiB,
  // "{heap_mb}" by 3/4 and "{young_mb}" by 1/32 of it (4 to 16). In the modes degraded and off,
  // "/var/runtime/" at the start of one becomes shim_dir.
  uint8_t args_count;
  // 1 = CPython with our shim: its workers may be copies of a generic zygote (generic_zygote.h). Of
  // one runtime at most.
  uint8_t zygote;
  // How many of them, from the first, a worker with an environment of its own is started without:
  // those which keep the interpreter from heeding its environment.
  uint8_t environment_skips;
  // 1 = its workers speak HTTP with who holds kFdApi (the Lambda Runtime API): the channel brings
  // the environment, which is a must, and is closed before the exec. Their sandboxes need a network
  // namespace of their own.
  uint8_t api;
  char args[kArgsMax][128];
};

struct SpawnerConfig {
  Header header;
  Mode mode;                   // to be in force; if it can't be met, kReady carries an error
  uint8_t allow_host_network;  // 0 or 1
  uint8_t reserved[2];
  uint32_t uid_base;  // strict, and degraded as root: slot n runs as uid and gid
  // uid_base + n; user mode as root: all run as uid_base outside of their user namespaces

  uint32_t slots_max;   // <= kSlotsMax
  uint32_t engine_uid;  // 0 = unchanged. Not used for workers; the uid that the engine will drop to
  uint64_t memory_max;  // ceiling of a worker's memory in bytes
  uint64_t tmp_bytes;   // size of a sandbox's /tmp that asks for none
  uint64_t tmp_max;     // ceiling of what one may ask for
  uint32_t nofile;      // RLIMIT_NOFILE of a worker
  uint32_t nproc;       // processes and threads of a sandbox, its init included
  uint32_t zygote_forks;    // a generic zygote is replaced after so many workers; 0 = none
  char code_dir[kPathMax];  // the code store: code_dir/<sha256>/ is a function's folder, mounted
                            // read-only at /var/task
  char shim_dir[kPathMax];  // mounted read-only at /var/runtime
  uint32_t runtimes_count;
  RuntimeEntry runtimes[kRuntimesMax];
};

// Layers, in the order in which `hearth doctor` shows them.
enum class Layer : uint8_t {
  kUserNs,
  kPidNs,
  kMountNs,
  kNetNs,
  kIpcNs,
  kUtsNs,
  kCgroupNs,
  kReadOnlyRoot,
  kPrivateTmp,
  kSlotUid,
  kNoCapabilities,
  kNoNewPrivs,
  kSeccomp,
  kRlimits,
  kCodeReadOnly,
  kLandlock,
  kCgroupMemory,
  kCgroupCpu,
  kCgroupPids,
  kCgroupIo,
  kFreezer,
  kNotDumpable,  // spawner and init can't be looked into by processes of their uid; the daemon
                 // makes itself so, an embedding host is left as it is
  kLayersCount
};
struct LayerState {
  uint8_t on;
  char reason[95];  // why it is off, or what of it is missing; else empty
};

struct ReadyMessage {
  Header header;
  int32_t error;            // 0, or the errno of what failed
  char detail[kDetailMax];  // what failed, and the fix
  Mode mode;
  LayerState layers[static_cast<size_t>(Layer::kLayersCount)];
  LayerState egress;  // whether Network::kEgress works here, and kHost if it is permitted
  LayerState zygote;  // whether the flagged runtime has a generic zygote here
};

struct SpawnRequest {
  Header header;
  uint32_t slot, generation;
  uint32_t runtime;     // index into SpawnerConfig::runtimes
  uint32_t cpu_millis;  // thousandths of one CPU; 0 = no quota
  uint8_t network;      // enum Network
  uint8_t reserved[7];
  uint64_t memory_bytes;  // 0 = the ceiling (see sandbox/README.md)
  uint64_t tmp_bytes;     // size of /tmp; 0 = SpawnerConfig::tmp_bytes
  char code[kSha256Hex];  // all zero = none yet (kAssign brings it)
  char entry[kEntryMax +
             1];   // for a runtime without path: the executable, relative to the code folder
  uint8_t family;  // 1 = a zygote: its init stays for the workers that will be forked from it
  uint8_t own_environment;  // 1 = the worker's process, confined, reads an ENVIRONMENT frame from
                            // the channel before its exec (environment.h): kSpawned comes before.
                            // Needs code; no zygote.
};

struct ForkRequest {
  Header header;
  uint32_t slot, generation;
  uint32_t zygote_slot, zygote_generation;
  uint64_t memory_bytes;  // 0 = the ceiling; of the worker's cgroup, where there is one
  uint32_t cpu_millis;
};

struct AssignRequest {
  Header header;
  uint32_t slot, generation;
  uint32_t cpu_millis;
  uint32_t reserved;
  uint64_t memory_bytes;
  char code[kSha256Hex];
};

struct SlotRequest {  // kKill, kFreeze, kThaw, kKillLeftovers, kCountLeftovers, kTerminate
  Header header;
  uint32_t slot, generation;
};
using KillRequest = SlotRequest;

struct Answer {  // kSpawned, kAssigned and kLeftovers
  Header header;
  uint32_t slot, generation;
  int32_t error;            // 0, or an errno
  char detail[kDetailMax];  // the step that failed, in words. On success, when the worker has its
                            // code: where the worker sees it (INIT's "root"): "/var/task", or in
                            // the modes degraded and off the folder's real path. kLeftovers: the
                            // names of processes that were there, as many as fit, plain ASCII
  int32_t pid;              // kSpawned: the worker's pid as the spawner sees it (for /proc figures)
  uint8_t warm;             // kSpawned: 1 = a copy of the generic zygote, 0 = started by an exec
  uint8_t fds;              // kSpawned: bit n is set if SpawnFd n rides along
  uint32_t leftovers;       // kLeftovers: processes that were killed, or counted
};

struct ExitedMessage {
  Header header;
  uint32_t slot, generation;
  int32_t wait_status;        // of the worker process, as waitpid gives it
  uint8_t killed_by_request;  // 1 = a kKill came before
  uint8_t oom;  // 1 = the kernel killed the worker because memory ran out; without cgroups always
                // 0: the runtime sees a failed allocation
  uint8_t oom_child;    // 1 = it killed another process of the sandbox for that
  uint8_t pids_hit;     // 1 = the limit of processes refused a fork
  uint8_t with_family;  // 1 = it had to go because another worker of its zygote was killed
};

}  // namespace hearth::sandbox
