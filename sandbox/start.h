// Starts the embedded spawner from any process, however large and however many threads it has:
// clone(CLONE_VM | CLONE_VFORK) and exec of a sealed memfd, nothing else. Changes nothing of the
// host process: no signal handler, no mask, no uid, no dumpable flag. The kernel sends the host a
// SIGCHLD when the spawner ends, as for any child; a host that ignores it loses nothing but the
// status.
#pragma once
#include <chrono>
#include <cstddef>
#include <span>

#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/spawner_protocol.h"

namespace hearth::sandbox {

struct SpawnerProcess {
  UniqueFd control;   // the SEQPACKET socket of spawner_protocol.h; blocking, CLOEXEC
  UniqueFd lifeline;  // keep it open: closing it ends the spawner and all sandboxes
  UniqueFd pidfd;     // readable when the spawner has ended; whoever owns this reaps it with
                      // waitid(P_PIDFD)
  int pid = -1;
};

// Starts the spawner and sends it `config` (whose header is filled in here); does not wait for
// kReady. Errors: io_failed. Blocks the calling thread until the exec, about 1 ms; the host's
// memory is not copied.
Result<SpawnerProcess> start_spawner(const SpawnerConfig& config);

// Waits for kReady. A spawner that can't meet the configuration is an error here:
// sandbox_unavailable with what failed and the fix; spawner_lost when it ended without a word or
// said nothing in time. Blocks.
Result<ReadyMessage> wait_ready(const SpawnerProcess& spawner, std::chrono::milliseconds timeout);

// Copies `text` into a field of the protocol's structs. False: it doesn't fit.
template <size_t N>
bool set_text(char (&field)[N], std::string_view text) {
  if (text.size() >= N) return false;
  text.copy(field, text.size());
  for (size_t i = text.size(); i < N; ++i) field[i] = '\0';
  return true;
}

// A program of ours, embedded in the library.
struct Image {
  const char* name;  // also its argv[0]
  std::span<const std::byte> bytes;
};
struct ImageProcess {
  int pid;
  UniqueFd pidfd;
};
inline constexpr size_t kImageFdsMax = 6;

// Runs `image` with `argument` (null = none), an empty environment, /dev/null as descriptors 0 and
// 1, stderr kept, and `fds` as 3 and following; at most kImageFdsMax, all of them open. Errors:
// io_failed.
Result<ImageProcess> run_image(const Image& image, const char* argument, std::span<const int> fds);

// The same for the spawner; fd3 and fd4: -1 = none. For probe.cc and tests.
Result<ImageProcess> run_image(const char* argument, int fd3, int fd4);

}  // namespace hearth::sandbox
