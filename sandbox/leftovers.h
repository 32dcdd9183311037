// What a sandbox holds beyond its init and its worker, as one look after a call collects it.
// No heap: it lives on the spawner's stack.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "sandbox/spawner_protocol.h"

namespace hearth::sandbox {

inline constexpr uint32_t kLeftoversMax = 4096;  // processes told apart in one look
inline constexpr int kLeftoverRounds = 32;       // looks that may find new processes
inline constexpr int kLeftoverWaitMs = 20;       // for all of it: to stand still, and to be gone

struct Leftovers {
  bool kill = false;
  pid_t spared[3] = {};  // init, worker, agent
  uint32_t count = 0;
  uint32_t fresh = 0;    // of them in this round
  uint32_t present = 0;  // seen in this round, new or dying
  bool full = false;
  pid_t seen[kLeftoversMax];
  char names[kDetailMax] = {};

  bool spares(pid_t pid) const { return pid == spared[0] || pid == spared[1] || pid == spared[2]; }
  // False: it was there before.
  bool note(pid_t pid);
};

// A process's name, in characters that harm no log.
void append_process_name(pid_t pid, char (&names)[kDetailMax]);

}  // namespace hearth::sandbox
