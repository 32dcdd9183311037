// Whether the current revision of a function has a zygote, may get one, and for how long
// (design/0011-zygotes.md). Decisions only: WorkerPool starts, forks and stops the process.
#pragma once
#include <cstdint>

#include "base/clock.h"
#include "base/ids.h"
#include "base/limits.h"
#include "core/function_spec.h"
#include "core/pool_key.h"

namespace hearth {

inline constexpr uint32_t kZygoteChildrenMax = 64;  // workers of one zygote at a time
// From the READY that made it worth while to the zygote's start: the waiting calls go first.
inline constexpr milliseconds kZygoteDelay{100};
// From a start to the fork of what takes the spare's place: the call goes first.
inline constexpr milliseconds kSpareDelay{20};
// In the memory budget, of a forked worker that waits: the pages that it shares with none.
inline constexpr uint64_t kSpareCharge = mebibytes(8);
inline constexpr milliseconds kZygoteRetry{1'000};  // while there is no memory or slot for it

class ZygotePlan {
 public:
  enum class Phase : uint8_t {
    none,      // there is none now
    starting,  // its process is on its way
    ready,     // it can be forked
    refused    // the revision's code can't be forked: never again
  };
  enum class End : uint8_t {
    idle,    // not used for zygotes.idle
    memory,  // it made way for workers
    failed   // it died, broke the protocol, or a fork of it went wrong
  };

  // A worker of the revision has become ready the ordinary way, and its init took `init`: is it
  // time for a zygote?
  bool wants(const FunctionSpec& spec, nanoseconds init, MonotonicTime now,
             const Limits& limits) const;
  Phase phase() const { return phase_; }
  WorkerId worker() const { return worker_; }  // while starting or ready

  void started(WorkerId worker);
  void ready(MonotonicTime now);
  void refused();
  void used(MonotonicTime now) { used_at_ = now; }
  void ended(End end, MonotonicTime now);
  // When it may be stopped for being idle.
  MonotonicTime idle_at(const Limits& limits) const { return used_at_ + limits.zygote_idle; }

  // A worker was needed, and was there as a spare or had to be forked.
  void took(bool spare, MonotonicTime now);
  // How many children are to be forked ahead: one, or as many as the busiest second took.
  uint32_t spares(const Limits& limits) const;
  // Lets demand fade. False: nothing of it is remembered.
  bool look_at_demand(MonotonicTime now);

 private:
  Phase phase_ = Phase::none;
  WorkerId worker_;
  MonotonicTime used_at_{};
  MonotonicTime retry_at_{};  // not before that
  uint32_t failures_ = 0;     // in a row
  PoolDemand demand_;
  MonotonicTime demand_at_{};  // its second began
  bool demanded_ = false;      // in this second
};

}  // namespace hearth
