// Where the time of a cold call went, and histograms of it. A pure function of numbers and plain
// counters; engine thread only.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "base/histogram.h"
#include "core/function_spec.h"

namespace hearth {

// How long the steps of a worker's start took, as the link saw it.
struct StartTimes {
  uint32_t sandbox_us = 0;  // the spawner's: the process, or the mount of the code
  uint32_t runtime_us = 0;  // from the process to HELLO; 0 for a parked worker
};

// How a worker came to its function.
enum class StartWay : uint8_t {
  fresh,   // a process was started for it
  parked,  // a generic worker took its code
  zygote   // it was forked from an initialised worker
};
inline constexpr std::array<std::string_view, 3> kStartWayNames = {"fresh", "parked", "zygote"};
inline std::string_view start_way_name(StartWay way) {
  return kStartWayNames[static_cast<size_t>(way)];
}

// What a cold call waited for. The sum is its time from submit() to the worker's socket.
struct ColdPhases {
  uint32_t queue_us = 0;    // for a decision, a slot, another call
  uint32_t sandbox_us = 0;  // for the spawner
  uint32_t runtime_us = 0;  // for the interpreter
  uint32_t init_us = 0;     // for the function's own init
};

// A call may come when its worker's start is under way: it waited for the last steps, so those
// count first, and what is left is the queue.
inline ColdPhases cold_phases(int64_t wait_us, const StartTimes& times, uint32_t init_us) {
  auto left = static_cast<uint32_t>(std::clamp<int64_t>(wait_us, 0, UINT32_MAX));
  const auto take = [&](uint32_t us) {
    const uint32_t taken = std::min(left, us);
    left -= taken;
    return taken;
  };
  ColdPhases out;
  out.init_us = take(init_us);
  out.runtime_us = take(times.runtime_us);
  out.sandbox_us = take(times.sandbox_us);
  out.queue_us = left;
  return out;
}

enum class ColdPhase : uint8_t { queue, sandbox, runtime_init, function_init, handler };
inline constexpr std::array<std::string_view, 5> kColdPhaseNames = {
    "queue", "sandbox", "runtime_init", "function_init", "handler"};

// Of cold calls that were answered: hearth_cold_start_seconds{phase,runtime} and
// hearth_cold_starts_total{runtime,way}.
class ColdStats {
 public:
  void record(Runtime runtime, StartWay way, const ColdPhases& phases, uint32_t handler_us) {
    ++ways_[static_cast<size_t>(runtime)][static_cast<size_t>(way)];
    auto& of = histograms_[static_cast<size_t>(runtime)];
    const std::array<uint32_t, kColdPhaseNames.size()> values = {
        phases.queue_us, phases.sandbox_us, phases.runtime_us, phases.init_us, handler_us};
    for (size_t i = 0; i < values.size(); ++i) of[i].record(values[i]);
  }
  const Histogram& of(Runtime runtime, ColdPhase phase) const {
    return histograms_[static_cast<size_t>(runtime)][static_cast<size_t>(phase)];
  }

  uint64_t count(Runtime runtime, StartWay way) const {
    return ways_[static_cast<size_t>(runtime)][static_cast<size_t>(way)];
  }

 private:
  std::array<std::array<uint64_t, kStartWayNames.size()>, kRuntimeCount> ways_{};
  std::array<std::array<Histogram, kColdPhaseNames.size()>, kRuntimeCount> histograms_;
};

}  // namespace hearth
