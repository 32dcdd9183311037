// A connection to a port inside a worker's network. A process joins that network only for this: a
// short-lived one of this program, so that nothing of `hearth dev` itself ever is in there.
#pragma once
#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hearth::dev {

// The hidden command that does it: `hearth __worker-socket PID PORT`, on descriptor 3.
inline constexpr const char* kWorkerSocketCommand = "__worker-socket";

struct WorkerSocket {
  UniqueFd answer;  // becomes readable; then take_worker_socket()
  int pid = -1;     // of the helper
};

// Starts the helper. Errors: io_failed.
Result<WorkerSocket> ask_for_worker_socket(int worker, uint16_t port);
// The connected socket, non-blocking; invalid: there is nothing at that port (yet). Waits for the
// helper's end, which is near.
UniqueFd take_worker_socket(WorkerSocket& asked);

// What the helper does. Returns the exit code.
int give_worker_socket(int worker, uint16_t port);

}  // namespace hearth::dev
