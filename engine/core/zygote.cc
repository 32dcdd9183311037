#include "core/zygote.h"

#include <algorithm>

#include "core/start_environment.h"

namespace hearth {
namespace {

constexpr milliseconds kAfterFailure{1'000};  // doubles with each
constexpr milliseconds kAfterFailureMost{3'600'000};
constexpr milliseconds kAfterEviction{60'000};
constexpr milliseconds kDemandInterval{1'000};

}  // namespace

bool ZygotePlan::wants(const FunctionSpec& spec, nanoseconds init, MonotonicTime now,
                       const Limits& limits) const {
  return phase_ == Phase::none && spec.runtime == Runtime::python3 &&
         spec.zygote == Zygote::automatic && spec.network == Network::none &&
         !starts_with_environment(spec) && init >= limits.zygote_min_init && now >= retry_at_;
}

void ZygotePlan::started(WorkerId worker) {
  phase_ = Phase::starting;
  worker_ = worker;
}

void ZygotePlan::ready(MonotonicTime now) {
  phase_ = Phase::ready;
  used_at_ = now;
}

void ZygotePlan::refused() {
  phase_ = Phase::refused;
  worker_ = {};
}

uint32_t ZygotePlan::spares(const Limits& limits) const {
  return phase_ == Phase::ready ? std::min(std::max(demand_.wanted(), 1u), limits.zygote_spares)
                                : 0;
}

void ZygotePlan::took(bool spare, MonotonicTime now) {
  if (!demanded_) demand_at_ = now;
  demanded_ = true;
  demand_.took(spare);
}

bool ZygotePlan::look_at_demand(MonotonicTime now) {
  if (now - demand_at_ < kDemandInterval) return demanded_ || demand_.wanted() != 0;
  demanded_ = false;
  demand_at_ = now;
  return demand_.tick();
}

void ZygotePlan::ended(End end, MonotonicTime now) {
  phase_ = Phase::none;
  worker_ = {};
  if (end != End::failed) {
    failures_ = 0;
    retry_at_ = end == End::memory ? now + kAfterEviction : now;
    return;
  }
  const uint32_t doublings = std::min(failures_++, 16u);
  retry_at_ = now + std::min(kAfterFailureMost, kAfterFailure * (1 << doublings));
}

}  // namespace hearth
