#include "core/worker_pool.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/scaling.h"
#include "core/start_environment.h"

namespace hearth {
namespace {

constexpr milliseconds kMinimumRetry{100};  // how often it is tried to restore workers_min
constexpr milliseconds kRetryFirst{100};
constexpr milliseconds kRetryMost{30'000};
constexpr uint32_t kCrashesFree = 5;
constexpr milliseconds kCrashRetryFirst{10};
constexpr milliseconds kCrashRetryMost{1'000};

milliseconds doubled(milliseconds first, uint32_t times, milliseconds most) {
  return times >= 16 ? most : std::min(most, first * (1 << times));
}

}  // namespace

void Worker::on_timer() { pool->worker_timer(*this); }
void Function::on_scale_timer() { pool->scale(*this); }

WorkerPool::WorkerPool(PoolOwner& owner, WorkerLink& link, TimerWheel& timers, const Clock& clock,
                       const Limits& limits)
    : owner_(owner),
      link_(link),
      timers_(timers),
      clock_(clock),
      limits_(limits),
      workers_(limits.workers_max),
      budget_(limits.memory_budget != 0 ? limits.memory_budget : UINT64_MAX) {}

WorkerPool::~WorkerPool() {
  workers_.each([&](WorkerId, Worker& worker) {
    leave_function(worker);
    leave_spares(worker);
    if (static_cast<ListLink<InParked>&>(worker).linked()) unpark(worker);
  });
}

// ---- starting

Worker* WorkerPool::make(Runtime runtime, uint64_t charge) {
  const WorkerId id = workers_.add();
  Worker* worker = workers_.find(id);
  if (worker == nullptr) return nullptr;
  worker->id = id;
  worker->runtime = runtime;
  worker->pool = this;
  worker->charge = charge;
  worker->since = clock_.now();
  stats_.memory_charged += charge;
  ++stats_.starts;
  arm(*worker, limits_.boot_timeout);
  return worker;
}

// Room for a worker of `charge` bytes more? Idle workers of others and parked ones make way, the
// longest unused first, but only if that is enough: a function which can never be afforded is not
// to empty the pool.
bool WorkerPool::afford(uint64_t charge, Slot slot, const Function* for_function) {
  uint64_t reclaimable = 0;
  bool someone_leaves = false;
  const bool no_slot = slot == Slot::needs_one && workers_.full();
  if (!no_slot && charge <= budget_ && stats_.memory_charged <= budget_ - charge) return true;
  workers_.each([&](WorkerId, Worker& worker) {
    if (evictable(worker, for_function)) reclaimable += worker.charge;
    if (worker.state == Worker::State::leaving) someone_leaves = true;
  });
  if (charge > budget_ || stats_.memory_charged - reclaimable > budget_ - charge) {
    ++stats_.budget_refusals;
    return false;
  }
  while (stats_.memory_charged > budget_ - charge) {
    if (evict_one(for_function))
      continue;  // false: workers_min keeps some of what was counted above
    ++stats_.budget_refusals;
    return false;
  }
  if (!no_slot) return true;
  // A slot becomes free only with an exit: one is asked to leave, and the caller tries again.
  if (!someone_leaves && reclaimable != 0) evict_one(for_function);
  ++stats_.budget_refusals;
  return false;
}

bool WorkerPool::evictable(const Worker& worker, const Function* for_function) const {
  if (worker.spare_of != nullptr) return true;
  if (worker.mould) return worker.mould_of != nullptr && worker.mould_of != for_function;
  if (static_cast<const ListLink<InParked>&>(worker).linked()) return true;
  return static_cast<const ListLink<InIdle>&>(worker).linked() && worker.function != for_function &&
         worker.function->ready > worker.function->spec->concurrency.workers_min;
}

bool WorkerPool::evict_one(const Function* for_function) {
  // Spares and zygotes first: they save time, workers hold what calls have left in them.
  const auto rank = [](const Worker& worker) {
    return worker.spare_of != nullptr ? 2 : worker.mould ? 1 : 0;
  };
  Worker* oldest = nullptr;
  workers_.each([&](WorkerId, Worker& worker) {
    if (!evictable(worker, for_function)) return;
    if (oldest == nullptr || rank(worker) > rank(*oldest) ||
        (rank(worker) == rank(*oldest) && worker.since < oldest->since))
      oldest = &worker;
  });
  if (oldest == nullptr) return false;
  if (oldest->spare_of != nullptr) {
    evict_spare(*oldest);
    return true;
  }
  if (oldest->mould) {
    end_zygote(*oldest->mould_of, ZygotePlan::End::memory);
    return true;
  }
  ++stats_.evictions;
  stats_.memory_charged -=
      oldest->charge;  // counted as free now: it does nothing and is about to end
  oldest->charge = 0;
  stop(*oldest);
  return true;
}

void WorkerPool::ensure(Function& function) {
  if (closed_) return;
  if (function.live == 0) start_workers(function, 1);
  if (!function.scale_timer.armed() || !function.scaling) look_again(function);
}

// Soon while calls wait; else, if workers_min is not met, when the next start may succeed.
void WorkerPool::look_again(Function& function) {
  const MonotonicTime now = clock_.now();
  function.scaling = !function.queue.empty();
  MonotonicTime when = now + (spare_waits(function) ? kSpareInterval : kScaleInterval);
  if (!function.scaling) {
    if (function.live >= function.spec->concurrency.workers_min) return;
    when = std::max(now + kMinimumRetry, function.failure.retry_at);
  }
  timers_.arm(function.scale_timer, when,
              Callback<void()>::to<&Function::on_scale_timer>(&function));
}

void WorkerPool::scale(Function& function) {
  if (closed_ || function.removed) return;
  start_minimum(function);
  if (function.queue.empty()) return;  // start_minimum has seen to workers_min
  ScaleInput input;
  input.queued = static_cast<uint32_t>(function.queue.size());
  input.starting = function.starting;
  input.ready = function.ready;
  for (Worker* w = function.spares.front(); w != nullptr; w = function.spares.next(*w))
    if (w->state == Worker::State::spare) ++input.spares;
  input.workers_max = function.workers_max;
  input.per_worker = function.spec->concurrency.per_worker;
  input.mean_known = function.estimate.known();
  input.mean_us = function.estimate.mean_us();
  const MonotonicTime now = clock_.now();
  for (Worker* w = function.workers.front(); w != nullptr; w = function.workers.next(*w)) {
    if (w->state == Worker::State::ready && !w->calls.empty()) {
      input.oldest_running = std::max(
          input.oldest_running, std::chrono::duration_cast<microseconds>(now - w->head_since));
    }
  }
  if (start_workers(function, workers_to_start(input)) > 0)
    function.surplus.on_start(now, limits_.idle_timeout);
  look_again(function);
}

uint32_t WorkerPool::start_workers(Function& function, uint32_t count) {
  uint32_t started = 0;
  while (started < count && start_one(function)) ++started;
  return started;
}

bool WorkerPool::start_one(Function& function) {
  if (closed_ || function.removed || function.live >= function.workers_max) return false;
  if (clock_.now() < function.failure.retry_at) return false;
  if (fork_one(function)) {
    function.starved = false;
    ++function.stats.starts;
    return true;
  }
  const std::optional<PoolKey> key = pool_key(*function.spec);
  const bool parked = key && !pools_[key->index()].parked.empty();
  if (Worker* worker = take_parked(function, key)) {
    boot_failures_[index(worker->runtime)] = 0;
    worker->way = StartWay::parked;
    bind(*worker, function);
  } else if (parked || !start_fresh(function)) {
    function.starved = true;
    return false;
  }
  if (key) {
    ++(parked ? stats_.pool_hits : stats_.pool_misses);
    pools_[key->index()].demand.took(parked);
    replenish_soon();
  } else if (function.spec->runtime < Runtime::native) {
    ++stats_.pool_fresh;
  }
  function.starved = false;
  ++function.stats.starts;
  return true;
}

// nullptr: there is none, or its function can't be afforded.
Worker* WorkerPool::take_parked(Function& function, const std::optional<PoolKey>& key) {
  if (!key) return nullptr;
  auto& parked = pools_[key->index()].parked;
  Worker* worker = parked.front();
  if (worker == nullptr) return nullptr;
  const uint64_t charge = function.spec->memory_bytes;
  parked.remove(*worker);  // first, so that it is not evicted for itself
  if (afford(charge > worker->charge ? charge - worker->charge : 0, Slot::has_one, &function))
    return worker;
  parked.push_front(*worker);
  return nullptr;
}

bool WorkerPool::start_fresh(Function& function) {
  const FunctionSpec& spec = *function.spec;
  if (!afford(spec.memory_bytes, Slot::needs_one, &function)) return false;
  Worker* fresh = make(spec.runtime, spec.memory_bytes);
  fresh->function = &function;
  fresh->spec = function.spec;
  fresh->counted = true;
  function.workers.push_back(*fresh);
  ++function.live;
  ++function.starting;
  link_.start(fresh->id,
              {spec.runtime, spec.interpreter, spec.memory_bytes, spec.network, spec.tmp_bytes},
              function.spec);
  return true;
}

void WorkerPool::bind(Worker& worker, Function& function) {
  if (worker.function == nullptr) {
    worker.function = &function;
    worker.counted = true;
    function.workers.push_back(worker);
    ++function.live;
    ++function.starting;
  }
  stats_.memory_charged += function.spec->memory_bytes - worker.charge;
  worker.charge = function.spec->memory_bytes;
  worker.spec = function.spec;
  set_state(worker, Worker::State::loading);
  arm(worker, init_timeout(worker));
  link_.bind(worker.id, worker.spec);
}

void WorkerPool::start_minimum(Function& function) {
  const uint32_t least = function.spec->concurrency.workers_min;
  if (closed_ || function.live >= least) return;
  start_workers(function, least - function.live);
  if (function.live < least && !function.scale_timer.armed()) look_again(function);
}

// ---- events

void WorkerPool::on_parked(Worker& worker) {
  if (worker.state != Worker::State::booting) {
    if (worker.state != Worker::State::leaving)
      kill(worker, Code::protocol_violation, "HELLO came twice");
    return;
  }
  if (worker.killed) return;  // its HELLO and the kill crossed
  if (worker.mould) return bind_zygote(worker);
  if (worker.spare_of != nullptr) return on_spare_waits(worker);
  if (worker.function != nullptr) {
    bind(worker, *worker.function);
    return;
  }
  --pools_[worker.pool_key].booting;
  set_state(worker, Worker::State::parked);
  worker.timer.disarm();
  pools_[worker.pool_key].parked.push_back(worker);
}

void WorkerPool::on_ready(Worker& worker, uint32_t init_us) {
  if (worker.killed || worker.state == Worker::State::leaving) return;
  if (worker.state != Worker::State::loading || worker.mould) {
    kill(worker, Code::protocol_violation, "READY came before INIT, or twice");
    return;
  }
  Function& function =
      *worker.function;  // of its own revision: a worker that loads an old one was killed
  worker.init_us = init_us;
  worker.start_times = link_.start_times(worker.id);
  worker.ready_at = clock_.now();
  const uint32_t max_calls = worker.spec->recycle.max_calls;
  worker.left = max_calls != 0 ? max_calls : UINT64_MAX;
  worker.used = worker.runtime == Runtime::host;  // there is nothing to wait for: no call is cold
  --function.starting;
  ++function.ready;
  function.failure = StartFailure{};
  function.loaded = true;
  set_state(worker, Worker::State::ready);
  arm(worker, first_look(worker));
  watch_age_and_memory(worker);
  function.idle.push_front(worker);
  if (!worker.forked_from) consider_zygote(function, microseconds(init_us));
  owner_.on_worker_has_room(worker);
}

void WorkerPool::on_init_failed(Worker& worker, std::string_view error_json) {
  if (worker.killed || worker.state == Worker::State::leaving) return;
  if (worker.state != Worker::State::loading) {
    kill(worker, Code::protocol_violation, "INIT_ERROR came before INIT, or after READY");
    return;
  }
  if (worker.mould) return stop(worker);  // its exit tells the plan
  Function& function = *worker.function;
  stop(worker);
  if (worker.forked_from) return fork_failed(function);
  start_failed(function, Code::init_failed, std::string(error_json),
               "the function's code raised an error while it was loaded", Next::later);
}

void WorkerPool::start_failed(Function& function, Code code, std::string payload,
                              std::string detail, Next next) {
  ++stats_.start_failures;
  StartFailure& failure = function.failure;
  failure.retry_at = clock_.now();
  if (next == Next::later) failure.retry_at += doubled(kRetryFirst, failure.count, kRetryMost);
  ++failure.count;
  failure.code = code;
  failure.payload = std::move(payload);
  failure.detail = std::move(detail);
  if (next == Next::at_once) {
    start_minimum(function);
    if (!function.queue.empty()) ensure(function);
  } else if (function.live == 0) {
    owner_.on_start_failed(function);
  }
  if (!function.scale_timer.armed()) look_again(function);
}

void WorkerPool::boot_failed(Runtime runtime) {
  uint32_t& failures = boot_failures_[index(runtime)];
  boot_retry_[index(runtime)] = clock_.now() + doubled(kRetryFirst, failures, kRetryMost);
  ++failures;
}

void WorkerPool::on_pong(Worker& worker, uint16_t sequence) {
  if (!worker.ping_pending || sequence != worker.ping_sequence) return;
  worker.ping_pending = false;
  if (worker.state != Worker::State::retiring) return;  // it crossed a kill, whose timer goes on
  worker.timer.disarm();
  settle(worker);
}

void WorkerPool::on_exit(Worker& worker, const WorkerExit& exit, Code code, std::string detail) {
  HEARTH_ASSERT(worker.calls.empty());
  if (worker.mould) return on_zygote_exit(worker);
  if (worker.forked_from && worker.function == nullptr) return on_spare_exit(worker, exit);
  ++stats_.exits;
  if (worker.frozen) --stats_.frozen;
  Function* function = worker.function;
  const Worker::State state = worker.state;
  const bool current = function != nullptr && worker.spec == function->spec;
  const bool served = worker.served;
  const bool killed = worker.killed;
  const bool crashed =
      state == Worker::State::ready || (state == Worker::State::leaving && worker.killed);
  const Runtime runtime = worker.runtime;
  const bool forked = static_cast<bool>(worker.forked_from);
  // Before HELLO a worker holds nothing of the function, but for its environment if it was started
  // with that: that it died is the platform's fault.
  const bool generic = function == nullptr || !starts_with_environment(*worker.spec);
  const bool platform = exit.start_failed || exit.lost ||
                        (state == Worker::State::booting && runtime < Runtime::native && generic);
  if (!worker.killed && code == Code::worker_lost)
    code = platform ? Code::worker_start_failed : Code::init_failed;
  if (state == Worker::State::booting && function == nullptr) {
    --pools_[worker.pool_key].booting;
    boot_failed(runtime);
  }
  if (state == Worker::State::parked) {
    unpark(worker);
    boot_failed(runtime);
  }
  leave_function(worker);
  stats_.memory_charged -= worker.charge;
  workers_.remove(worker.id);
  if (closed_) return;
  replenish_soon();
  if (function == nullptr || function->removed) return;
  look_at_spares(*function, kSpareDelay);
  if (current && (state == Worker::State::booting || state == Worker::State::loading)) {
    if (forked && !exit.lost) return fork_failed(*function);
    // Code that has loaded before loads: this one worker met with an accident, which nobody has to
    // hear of.
    const bool accident = !killed && function->loaded && function->failure.count == 0;
    start_failed(*function, code, {}, std::move(detail), accident ? Next::at_once : Next::later);
    return;
  }
  if (crashed && current) {
    function->crashes_in_a_row = served ? 1 : function->crashes_in_a_row + 1;
    if (function->crashes_in_a_row >= kCrashesFree) {
      function->failure.retry_at =
          clock_.now() +
          doubled(kCrashRetryFirst, function->crashes_in_a_row - kCrashesFree, kCrashRetryMost);
    }
  }
  start_minimum(*function);
  if (!function->queue.empty()) ensure(*function);
}

}  // namespace hearth
