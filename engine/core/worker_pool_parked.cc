// Generic workers that wait for a function: how many of which kind. The fourth part of WorkerPool.
// What is started here is started by a timer, never in the turn in which a function needed it.
#include <algorithm>

#include "core/worker_pool.h"

namespace hearth {
namespace {

constexpr milliseconds kReplenishDelay{20};
constexpr milliseconds kReplenishRetry{100};  // while a runtime does not come up
constexpr milliseconds kDemandInterval{1'000};

}  // namespace

void WorkerPool::set_parked_target(Runtime runtime, uint32_t count) {
  pools_[PoolKey::standard(runtime).index()].base = count;
  replenish();
}

uint32_t WorkerPool::parked(Runtime runtime) const {
  size_t total = 0;
  for (size_t i = 0; i < kPoolKeyCount; ++i) {
    if (PoolKey::at(i).runtime == runtime) total += pools_[i].parked.size();
  }
  return static_cast<uint32_t>(total);
}

// Workers that are parked or on their way beyond the bases of their keys.
uint32_t WorkerPool::parked_on_demand(size_t but) const {
  uint32_t total = 0;
  for (size_t i = 0; i < kPoolKeyCount; ++i) {
    const Pool& pool = pools_[i];
    const auto has = static_cast<uint32_t>(pool.parked.size()) + pool.booting;
    if (i != but && has > pool.base) total += has - pool.base;
  }
  return total;
}

uint32_t WorkerPool::target(size_t key) const {
  const Pool& pool = pools_[key];
  // A runtime whose standard pool is empty by configuration has no others either.
  if (pools_[PoolKey::standard(PoolKey::at(key).runtime).index()].base == 0) return 0;
  const uint32_t wanted = std::min(pool.demand.wanted(), limits_.pool_key_max);
  if (wanted <= pool.base) return pool.base;
  const uint64_t room = budget_ / 100 * limits_.pool_memory_share / kParkedCharge;
  const uint32_t others = parked_on_demand(key);
  const uint64_t left = room > others ? room - others : 0;
  return pool.base + static_cast<uint32_t>(std::min<uint64_t>(wanted - pool.base, left));
}

void WorkerPool::replenish() {
  if (closed_) return;
  bool again = false;
  for (size_t i = 0; i < kPoolKeyCount; ++i) again = fill(i) || again;
  if (!again) return;
  timers_.arm(replenish_timer_, clock_.now() + kReplenishRetry,
              Callback<void()>::to<&WorkerPool::replenish>(this));
}

// True: it has to be tried again, since the runtime's last start failed.
bool WorkerPool::fill(size_t key) {
  Pool& pool = pools_[key];
  const uint32_t most = target(key);
  const PoolKey kind = PoolKey::at(key);
  while (pool.parked.size() + pool.booting < most) {
    if (clock_.now() < boot_retry_[index(kind.runtime)]) return true;
    if (workers_.full() || stats_.memory_charged + kParkedCharge > budget_) return false;
    Worker* worker = make(kind.runtime, kParkedCharge);
    worker->pool_key = key;
    ++pool.booting;
    link_.start(worker->id, kind.shape(), nullptr);
  }
  return false;
}

void WorkerPool::replenish_soon() {
  if (closed_) return;
  const MonotonicTime now = clock_.now();
  if (!replenish_timer_.armed()) {
    timers_.arm(replenish_timer_, now + kReplenishDelay,
                Callback<void()>::to<&WorkerPool::replenish>(this));
  }
  if (!demand_timer_.armed()) {
    timers_.arm(demand_timer_, now + kDemandInterval,
                Callback<void()>::to<&WorkerPool::look_at_demand>(this));
  }
}

// Demand fades, and what it does not want any more goes: one of a key a second.
void WorkerPool::look_at_demand() {
  if (closed_) return;
  bool again = false;
  for (size_t i = 0; i < kPoolKeyCount; ++i) {
    Pool& pool = pools_[i];
    again = pool.demand.tick() || again;
    if (pool.parked.size() <= target(i)) continue;
    again = true;
    stop(*pool.parked.front());
  }
  if (!again) return;
  timers_.arm(demand_timer_, clock_.now() + kDemandInterval,
              Callback<void()>::to<&WorkerPool::look_at_demand>(this));
}

void WorkerPool::unpark(Worker& worker) { pools_[worker.pool_key].parked.remove(worker); }

}  // namespace hearth
