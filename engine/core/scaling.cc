#include "core/scaling.h"

#include <algorithm>
#include <cmath>

namespace hearth {
namespace {

// To work the queue off within `target`.
uint32_t workers_for(const ScaleInput& in, microseconds target) {
  const uint32_t live = in.starting + in.ready;
  if (in.queued == 0 || live >= in.workers_max) return 0;
  const uint32_t room = in.workers_max - live;
  if (live == 0) return 1;
  const auto running_us = static_cast<double>(in.oldest_running.count());
  if (!in.mean_known && running_us <= 0) {
    // Nothing has run yet: init may be the slow part, and one worker may turn out to be enough.
    const uint32_t wave =
        std::min(kFirstWave, (in.queued + kFirstWaveCallsPerWorker - 1) / kFirstWaveCallsPerWorker);
    return wave > live ? std::min(wave - live, room) : 0;
  }
  // One slow call, or a pause of the machine, says little against a known mean: it counts once it
  // is longer than the target.
  const bool running_counts = !in.mean_known || in.oldest_running > target;
  const double each_us =
      std::max(in.mean_known ? in.mean_us : 0.0, running_counts ? running_us : 0.0) / in.per_worker;
  const double wanted =
      std::ceil(static_cast<double>(in.queued) * each_us / static_cast<double>(target.count()));
  if (wanted <= live) return 0;
  const auto missing = static_cast<uint32_t>(std::min<double>(wanted - live, in.queued));
  // At most doubling at a time: a wrong guess stays small, and six looks (30 ms) still make 64
  // workers.
  return std::min({missing, room, live});
}

}  // namespace

uint32_t workers_to_start(const ScaleInput& in) {
  const uint32_t wanted = workers_for(in, kScaleTarget);
  if (in.spares == 0) return wanted;
  // What starts in less than a millisecond need not be waited for until it is surely worth it.
  return std::max(wanted, std::min(workers_for(in, kSpareTarget), in.spares));
}

}  // namespace hearth
