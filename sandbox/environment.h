// The environment with which a worker's program is started, when its function has one of its own:
// it comes over the worker's channel, to the worker's process itself, which is confined by then.
// Doesn't allocate; runs between clone and exec.
#pragma once
#include "sandbox/sys.h"

namespace hearth::sandbox {

// Of an ENVIRONMENT frame (runtimes/protocol.md): a function's variables and Lambda's, with room.
inline constexpr size_t kEnvironmentBytesMax = 16 << 10;
inline constexpr size_t kEnvironmentEntriesMax = 4096;

// Reads exactly one ENVIRONMENT frame from `channel`; blocks. `envp` is its entries, and those of
// `base` (ends in null) whose names it has not. All of it lives as long as the process. Errors:
// EPIPE (the engine is gone), EPROTO, E2BIG.
Failure read_environment(int channel, const char* const* base, const char* const*& envp);

}  // namespace hearth::sandbox
