// Starts one sandbox: its first process (init), and under it the worker. Init waits for the worker,
// reaps what is left to it, hands the worker's status over and exits; it dies with the spawner.
// Everything after the clone reports its failures by `report` and ends. The spawner's own code, and
// that of the generic zygote (generic_zygote.h): both make the same sandbox.
#pragma once
#include <linux/filter.h>

#include "sandbox/spawner_protocol.h"
#include "sandbox/sys.h"

namespace hearth::sandbox {

// What the sandbox says to the spawner over its report socket while it is set up. End of file after
// kWorker: the worker's exec went well.
struct Report {
  enum class Kind : uint32_t {
    kMounts = 1,  // one descriptor rides along: the sandbox's mount namespace
    kWorker = 2,  // sent by the worker; the credentials that ride along have its pid
    kFailed = 3,
    // Network::kEgress only; one descriptor rides along each.
    kStub = 4,           // from init: the name server's socket
    kUserNamespace = 5,  // from the worker in user mode
    kListener = 6,       // from the worker, the last before its exec: of its filter
    kInit = 7,           // from an init that the generic zygote has cloned, first of all
    kApi = 8,            // from init, of a runtime with `api`: its listening socket
  };
  Kind kind;
  int32_t error;
  char step[64];
};

inline bool has_namespaces(Mode mode) { return mode == Mode::kStrict || mode == Mode::kUser; }

// What every worker finds as its environment, with a null pointer at the end.
extern const char* const kWorkerEnvironment[];

// Pointers are borrowed for the call. The descriptors stay the caller's.
struct Launch {
  const SpawnerConfig* config;
  const RuntimeEntry* runtime;  // null: a trial; the worker ends where it would exec
  const sock_fprog* filter;     // of the worker; null in mode off
  const sock_fprog* init_filter;
  uint32_t uid;           // of the sandbox; 0 = the caller's
  uint64_t memory_bytes;  // for the interpreter's arguments
  uint64_t data_bytes;    // RLIMIT_DATA
  uint32_t nproc;         // RLIMIT_NPROC; 0 = none
  uint64_t tmp_bytes;
  const char* code;       // 64 hex digits, or null
  const char* entry;      // for a runtime without path
  int channel, out, err;  // the worker's ends
  int report;             // a SEQPACKET socket
  int status;             // a non-blocking pipe: init writes the worker's wait status, an int
  int lifeline;           // a pipe that ends when the spawner ends
  int landlock;           // the kernel's ABI, 0 = do without
  Network network;        // but for kNone, `filter` is loaded with a listener
  int cgroup;             // of version 2, to be born in; or -1
  // The worker is a zygote. Init reaps what it forks, tells of each process by a ProcessEnd on
  // `status`, and does not go with the worker.
  bool family = false;
  // The worker closes `report` under its filter and reads its environment from `channel`; what goes
  // wrong from there on stands on `err`.
  bool own_environment = false;
  // In the generic zygote: the spawner's mount namespace. Init becomes the child of the caller's
  // parent and says kInit, and the worker executes nothing: it returns from launch().
  int own_mounts = -1;
};

// The end of a process that init has reaped, with its pid in the sandbox's namespace.
struct ProcessEnd {
  int32_t pid;
  int32_t wait_status;
};

// Returns the pid of init, or -1 with errno. Init waits until one byte comes over the other end of
// `report`: by then it has to be in its cgroups. With `own_mounts` it returns 0 in the worker,
// which is confined for good and has descriptors 0 to 3 and no other.
pid_t launch(const Launch& launch);

}  // namespace hearth::sandbox
