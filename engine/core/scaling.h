// How many workers a queue justifies: a pure function of numbers. See design/0001-invoke-path.md.
#pragma once
#include <cstdint>

#include "base/clock.h"

namespace hearth {

struct ScaleInput {
  uint32_t queued = 0;
  uint32_t starting = 0;  // workers on their way
  uint32_t spares = 0;    // forked ahead, and waiting: each is a worker at once
  uint32_t ready = 0;
  uint32_t workers_max = 0;
  uint32_t per_worker = 1;
  bool mean_known = false;
  double mean_us = 0;
  microseconds oldest_running{0};  // how long the oldest executing call has run; 0 = none
};

inline constexpr microseconds kScaleTarget{20'000};  // a queue is to be worked off within that
inline constexpr microseconds kSpareTarget{2'000};   // the same, as far as spares go
inline constexpr milliseconds kScaleInterval{5};     // how often a queue is looked at
inline constexpr milliseconds kSpareInterval{1};     // the same while a spare waits
inline constexpr uint32_t kFirstWave = 4;            // workers before the first reply, at most
inline constexpr uint32_t kFirstWaveCallsPerWorker =
    64;  // as many as one worker may hold if they turn out to be short

// How many more workers to start now.
uint32_t workers_to_start(const ScaleInput& input);

}  // namespace hearth
