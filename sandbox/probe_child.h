// The `probe` command of the spawner: tries what this machine allows, each thing in a child that
// ends right away.
#pragma once
#include <cstdint>

namespace hearth::sandbox {

// One packet on the report pipe.
struct ProbeLine {
  char name[32];     // "mode strict", "user namespace"
  char detail[200];  // what was found
  char fix[200];     // what to do if it is wanted and not available; else empty
  uint8_t available;
};

// Writes ProbeLines to `fd` and returns the exit code.
int run_probe(int fd);

}  // namespace hearth::sandbox
