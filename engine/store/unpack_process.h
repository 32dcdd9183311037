// One run of the unpacker, a confined process of our own (unpacker_main.cc): hostile zip in, plain
// files out. Whatever becomes of that process is an error of this run and of nothing else. Works in
// any host: no signal handler, no SIGCHLD needed; a host that reaps every child does no harm. Any
// thread, one at a time; the calls block.
#pragma once
#include <atomic>
#include <cstdint>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/start.h"
#include "store/digest.h"
#include "store/unpack_message.h"

namespace hearth {

struct UnpackOptions {
  UnpackLimits limits{};
  milliseconds time_max{60'000};  // limits.code_unpack_time: a whole run; of CPU time too
  uint64_t memory_max = 0;        // 0: what the limits need, unpack_memory()
  // A process that can't confine itself refuses with sandbox_unavailable. no: it does what it can;
  // for sandbox.mode degraded and off.
  bool confined = true;
};

// Counters of all runs. Any thread.
struct UnpackStats {
  std::atomic<uint64_t> runs = 0;
  std::atomic<uint64_t> refused = 0;  // archive_invalid
  std::atomic<uint64_t> failed = 0;   // the unpacker crashed, hung, or ran out of something
  std::atomic<uint32_t> layers = 0;   // UnpackLayer bits of the last run
};

class UnpackProcess {
 public:
  // `archive`: readable by pread, opened read-only. `folder`: empty. Both may be closed afterwards.
  // `stop`: a descriptor that becomes readable when the run is to be given up (then shutting_down),
  // or -1; stays open. Returns when the process has confined itself. Errors: io_failed,
  // sandbox_unavailable, unpack_failed, shutting_down.
  static Result<UnpackProcess> start(int archive, int folder, const UnpackOptions& options,
                                     int stop = -1);
  UnpackProcess(UnpackProcess&&) noexcept;
  UnpackProcess& operator=(UnpackProcess&&) = delete;
  ~UnpackProcess();  // kills what still runs

  // Waits for the archive's SHA-256, taken before the archive was interpreted.
  Result<Sha256Digest> hash();
  // Lets it unpack, waits for its end, and looks at what lies in `folder`. On an error that folder
  // is to be removed. Errors: archive_invalid as unpack_zip() says, disk_full, io_failed,
  // unpack_failed, shutting_down.
  Result<Unpacked> unpack(int folder);

  // UnpackLayer bits, and why the first other one is not in force.
  uint32_t layers() const { return layers_; }
  const std::string& missing() const { return missing_; }
  int pid() const { return pid_; }

 private:
  UnpackProcess() = default;
  Result<UnpackMessage> wait_for(UnpackStep step);
  Status wait_readable();
  Error lost();
  Error ended(int how, int status) const;

  UnpackOptions options_;
  UniqueFd report_, lifeline_, pidfd_;
  int pid_ = -1;
  int stop_ = -1;
  std::chrono::steady_clock::time_point end_{};
  uint32_t layers_ = 0;
  std::string missing_;
};

}  // namespace hearth
