#include "core/worker_pool.h"

#include <fmt/core.h>

#include <algorithm>

#include "core/scaling.h"

namespace hearth {
namespace {

constexpr milliseconds kReplenishDelay{20};
constexpr milliseconds kMinimumRetry{100};  // how often it is tried to restore workers_min
constexpr milliseconds kRetryFirst{100};
constexpr milliseconds kRetryMost{30'000};
constexpr uint32_t kCrashesFree = 5;
constexpr milliseconds kCrashRetryFirst{10};
constexpr milliseconds kCrashRetryMost{1'000};
constexpr milliseconds kBackstop{
    1'000};  // a worker that neither exits nor is killed is asked again after that

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
    if (static_cast<ListLink<InParked>&>(worker).linked())
      parked_[index(worker.runtime)].remove(worker);
  });
}

// ---- starting

void WorkerPool::set_parked_target(Runtime runtime, uint32_t count) {
  parked_target_[index(runtime)] = count;
  replenish();
}

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
  if (static_cast<const ListLink<InParked>&>(worker).linked()) return true;
  return static_cast<const ListLink<InIdle>&>(worker).linked() && worker.function != for_function &&
         worker.function->ready > worker.function->spec->concurrency.workers_min;
}

bool WorkerPool::evict_one(const Function* for_function) {
  Worker* oldest = nullptr;
  workers_.each([&](WorkerId, Worker& worker) {
    if (evictable(worker, for_function) && (oldest == nullptr || worker.since < oldest->since))
      oldest = &worker;
  });
  if (oldest == nullptr) return false;
  ++stats_.evictions;
  stats_.memory_charged -=
      oldest->charge;  // counted as free now: it does nothing and is about to end
  oldest->charge = 0;
  stop(*oldest);
  return true;
}

void WorkerPool::replenish() {
  if (closed_) return;
  const MonotonicTime now = clock_.now();
  bool again = false;
  for (size_t i = 0; i < kRuntimeCount; ++i) {
    while (parked_[i].size() + parked_booting_[i] < parked_target_[i]) {
      if (now < boot_retry_[i]) {
        again = true;
        break;
      }
      if (workers_.full() || stats_.memory_charged + kParkedCharge > budget_) break;
      Worker* worker = make(static_cast<Runtime>(i), kParkedCharge);
      ++parked_booting_[i];
      link_.start(worker->id, worker->runtime, nullptr);
    }
  }
  if (again) {
    timers_.arm(replenish_timer_, now + kRetryFirst,
                Callback<void()>::to<&WorkerPool::replenish>(this));
  }
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
  MonotonicTime when = now + kScaleInterval;
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
  start_workers(function, workers_to_start(input));
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
  const Runtime runtime = function.spec->runtime;
  auto& parked = parked_[index(runtime)];
  const uint64_t charge = function.spec->memory_bytes;
  Worker* worker = fits_parked(*function.spec) ? parked.front() : nullptr;
  if (worker != nullptr) {
    parked.remove(*worker);  // first, so that it is not evicted for itself
    if (!afford(charge > worker->charge ? charge - worker->charge : 0, Slot::has_one, &function)) {
      parked.push_front(*worker);
      function.starved = true;
      return false;
    }
    ++stats_.pool_hits;
    boot_failures_[index(runtime)] = 0;
    bind(*worker, function);
    timers_.arm(replenish_timer_, clock_.now() + kReplenishDelay,
                Callback<void()>::to<&WorkerPool::replenish>(this));
  } else {
    if (!afford(charge, Slot::needs_one, &function)) {
      function.starved = true;
      return false;
    }
    if (runtime < Runtime::native) ++stats_.pool_misses;
    Worker* fresh = make(runtime, charge);
    fresh->function = &function;
    fresh->spec = function.spec;
    fresh->counted = true;
    function.workers.push_back(*fresh);
    ++function.live;
    ++function.starting;
    link_.start(fresh->id, runtime, function.spec);
  }
  function.starved = false;
  ++function.stats.starts;
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
  arm(worker, limits_.init_timeout);
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
  if (worker.function != nullptr) {
    bind(worker, *worker.function);
    return;
  }
  --parked_booting_[index(worker.runtime)];
  set_state(worker, Worker::State::parked);
  worker.timer.disarm();
  parked_[index(worker.runtime)].push_back(worker);
}

void WorkerPool::on_ready(Worker& worker, uint32_t init_us) {
  if (worker.killed || worker.state == Worker::State::leaving) return;
  if (worker.state != Worker::State::loading) {
    kill(worker, Code::protocol_violation, "READY came before INIT, or twice");
    return;
  }
  Function& function =
      *worker.function;  // of its own revision: a worker that loads an old one was killed
  worker.init_us = init_us;
  worker.used = worker.runtime == Runtime::host;  // there is nothing to wait for: no call is cold
  --function.starting;
  ++function.ready;
  function.failure = StartFailure{};
  set_state(worker, Worker::State::ready);
  arm(worker, limits_.idle_timeout);
  function.idle.push_front(worker);
  owner_.on_worker_has_room(worker);
}

void WorkerPool::on_init_failed(Worker& worker, std::string_view error_json) {
  if (worker.killed || worker.state == Worker::State::leaving) return;
  if (worker.state != Worker::State::loading) {
    kill(worker, Code::protocol_violation, "INIT_ERROR came before INIT, or after READY");
    return;
  }
  Function& function = *worker.function;
  stop(worker);
  start_failed(function, Code::init_failed, std::string(error_json),
               "the function's code raised an error while it was loaded");
}

void WorkerPool::start_failed(Function& function, Code code, std::string payload,
                              std::string detail) {
  ++stats_.start_failures;
  StartFailure& failure = function.failure;
  failure.retry_at = clock_.now() + doubled(kRetryFirst, failure.count, kRetryMost);
  ++failure.count;
  failure.code = code;
  failure.payload = std::move(payload);
  failure.detail = std::move(detail);
  if (function.live == 0) owner_.on_start_failed(function);
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
  ++stats_.exits;
  Function* function = worker.function;
  const Worker::State state = worker.state;
  const bool current = function != nullptr && worker.spec == function->spec;
  const bool served = worker.served;
  const bool crashed =
      state == Worker::State::ready || (state == Worker::State::leaving && worker.killed);
  const Runtime runtime = worker.runtime;
  // Before HELLO a generic worker holds nothing of the function: that it died is the platform's
  // fault.
  const bool platform = exit.start_failed || exit.lost ||
                        (state == Worker::State::booting && runtime < Runtime::native);
  if (!worker.killed && code == Code::worker_lost)
    code = platform ? Code::worker_start_failed : Code::init_failed;
  if (state == Worker::State::booting && function == nullptr) {
    --parked_booting_[index(runtime)];
    boot_failed(runtime);
  }
  if (state == Worker::State::parked) {
    parked_[index(runtime)].remove(worker);
    boot_failed(runtime);
  }
  leave_function(worker);
  stats_.memory_charged -= worker.charge;
  workers_.remove(worker.id);
  if (closed_) return;
  if (!replenish_timer_.armed()) {
    timers_.arm(replenish_timer_, clock_.now() + kReplenishDelay,
                Callback<void()>::to<&WorkerPool::replenish>(this));
  }
  if (function == nullptr || function->removed) return;
  if (current && (state == Worker::State::booting || state == Worker::State::loading)) {
    start_failed(*function, code, {}, std::move(detail));
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

// ---- leaving

void WorkerPool::set_state(Worker& worker, Worker::State state) {
  worker.state = state;
  worker.since = clock_.now();
}

// Out of the counts of its function: it takes no more calls. Its state still tells in which count
// it stood.
void WorkerPool::uncount(Worker& worker) {
  if (worker.function == nullptr) return;
  if (static_cast<ListLink<InIdle>&>(worker).linked()) worker.function->idle.remove(worker);
  if (!worker.counted) return;
  worker.counted = false;
  --worker.function->live;
  --(worker.state == Worker::State::ready ? worker.function->ready : worker.function->starting);
}

void WorkerPool::leave_function(Worker& worker) {
  if (worker.function == nullptr) return;
  uncount(worker);
  worker.function->workers.remove(worker);
  worker.function = nullptr;
}

void WorkerPool::busy(Worker& worker) {
  if (static_cast<ListLink<InIdle>&>(worker).linked()) worker.function->idle.remove(worker);
}

void WorkerPool::settle(Worker& worker) {
  if (worker.state == Worker::State::ready) {
    if (worker.calls.empty() && !static_cast<ListLink<InIdle>&>(worker).linked()) {
      worker.since = clock_.now();
      worker.function->idle.push_front(worker);
    }
    return;
  }
  if (worker.state != Worker::State::retiring) return;
  if (worker.calls.empty()) {
    stop(worker);
  } else if (worker.calls.size() == worker.expired) {
    kill(worker, Code::deadline_exceeded, "a call's deadline passed");
  }
}

void WorkerPool::retire(Worker& worker, bool stuck) {
  if (worker.state == Worker::State::ready) {
    uncount(worker);
    set_state(worker, Worker::State::retiring);
    worker.timer.disarm();
    worker.stall_watch = false;
    owner_.on_worker_retired(worker);
  }
  settle(worker);
  if (stuck && worker.state == Worker::State::retiring && !worker.ping_pending) {
    worker.ping_pending = true;
    link_.ping(worker.id, ++worker.ping_sequence);
    arm(worker, limits_.ping_timeout);
  }
}

void WorkerPool::retire_others(Function& function, const FunctionSpecPtr& keep) {
  for (Worker* w = function.workers.front(); w != nullptr;) {
    Worker* next = function.workers.next(*w);
    if (w->spec != keep) {
      switch (w->state) {
        case Worker::State::booting:
          if (keep == nullptr || !reuse(*w, keep)) {
            uncount(*w);
            kill(*w, Code::worker_lost, "the function was changed or removed");
          }
          break;
        case Worker::State::loading:
          uncount(*w);
          kill(*w, Code::worker_lost, "the function was changed or removed");
          break;
        case Worker::State::ready:
          retire(*w, false);
          break;
        default:
          break;
      }
    }
    w = next;
  }
}

// A worker that still boots holds no code: another revision may load into it, if it has the room.
bool WorkerPool::reuse(Worker& booting, const FunctionSpecPtr& spec) {
  const uint64_t others = stats_.memory_charged - booting.charge;
  if (booting.killed || booting.runtime != spec->runtime || spec->runtime >= Runtime::native)
    return false;
  if (booting.spec->network != spec->network) return false;
  const bool same_memory = booting.spec->memory_bytes == spec->memory_bytes;
  if (!same_memory && !fits_parked(spec->runtime, 0)) return false;  // its heap is fixed by now
  if (spec->memory_bytes > budget_ || others > budget_ - spec->memory_bytes) return false;
  stats_.memory_charged = others + spec->memory_bytes;
  booting.charge = spec->memory_bytes;
  booting.spec = spec;
  return true;
}

void WorkerPool::stop(Worker& worker) {
  if (worker.state == Worker::State::parked) parked_[index(worker.runtime)].remove(worker);
  uncount(worker);
  set_state(worker, Worker::State::leaving);
  arm(worker, limits_.stop_grace + kBackstop);
  link_.stop(worker.id);
}

void WorkerPool::kill(Worker& worker, Code code, std::string detail) {
  if (worker.killed) return;
  worker.killed = true;
  worker.end_code = code;
  worker.end_detail = std::move(detail);
  ++stats_.kills;
  if (code == Code::protocol_violation) ++stats_.violations;
  if (worker.state != Worker::State::booting && worker.state != Worker::State::loading) {
    if (worker.state == Worker::State::parked) parked_[index(worker.runtime)].remove(worker);
    uncount(worker);
    set_state(worker, Worker::State::leaving);
  }
  arm(worker, kBackstop);
  link_.kill(worker.id);
}

void WorkerPool::close() {
  closed_ = true;
  replenish_timer_.disarm();
  workers_.each([&](WorkerId, Worker& worker) {
    kill(worker, Code::shutting_down, "the engine is shutting down");
  });
}

// ---- time

void WorkerPool::arm(Worker& worker, nanoseconds after) {
  timers_.arm(worker.timer, clock_.now() + after, Callback<void()>::to<&Worker::on_timer>(&worker));
}

void WorkerPool::worker_timer(Worker& worker) {
  switch (worker.state) {
    case Worker::State::booting:
    case Worker::State::loading:
      if (worker.killed) {
        link_.kill(worker.id);
        arm(worker, kBackstop);
      } else if (worker.state == Worker::State::booting) {
        kill(worker, Code::worker_start_failed,
             fmt::format("the runtime did not start within {} ms (limits.boot_timeout)",
                         limits_.boot_timeout.count()));
      } else {
        kill(worker, Code::init_timeout,
             fmt::format("the function's code did not load within {} ms (limits.init_timeout)",
                         limits_.init_timeout.count()));
      }
      return;
    case Worker::State::parked:
      return;
    case Worker::State::ready:
      idle_timer(worker);
      return;
    case Worker::State::retiring:
      if (worker.ping_pending)
        kill(worker, Code::worker_lost,
             "another call's deadline had passed in the worker, and it did not answer a ping");
      return;
    case Worker::State::leaving:
      link_.kill(worker.id);
      arm(worker, kBackstop);
      return;
  }
}

// One timer serves two ends: has the oldest call held up others for too long, and has the worker
// been idle for long enough to go?
void WorkerPool::idle_timer(Worker& worker) {
  const MonotonicTime now = clock_.now();
  const uint32_t per_worker = worker.spec->concurrency.per_worker;
  if (worker.calls.size() > per_worker) {
    if (now - worker.head_since >= stall_time(*worker.function)) owner_.on_worker_stalled(worker);
    arm(worker, stall_time(*worker.function));
    return;
  }
  worker.stall_watch = false;
  if (worker.calls.empty() && now - worker.since >= limits_.idle_timeout &&
      worker.function->ready > worker.function->spec->concurrency.workers_min) {
    stop(worker);
    return;
  }
  const nanoseconds idle_for = worker.calls.empty() ? now - worker.since : nanoseconds(0);
  arm(worker, idle_for < limits_.idle_timeout ? limits_.idle_timeout - idle_for
                                              : nanoseconds(limits_.idle_timeout));
}

nanoseconds WorkerPool::stall_time(const Function& function) const {
  const auto high = microseconds(static_cast<int64_t>(std::min(function.estimate.high_us(), 1e6)));
  return milliseconds(10) + high;
}

void WorkerPool::watch_stall(Worker& worker) {
  if (worker.stall_watch) return;
  worker.stall_watch = true;
  arm(worker, stall_time(*worker.function));
}

bool WorkerPool::stalled(const Worker& worker, MonotonicTime now) const {
  return !worker.calls.empty() && now - worker.head_since >= stall_time(*worker.function);
}

uint32_t WorkerPool::ahead(const Function& function) const {
  if (function.spec->runtime == Runtime::host) return 0;  // there is no way to save
  return function.estimate.calls_within(limits_.prefetch_time.count(), limits_.prefetch_max);
}

uint32_t WorkerPool::capacity(const Worker& worker, MonotonicTime now) const {
  const uint32_t per_worker = worker.spec->concurrency.per_worker;
  if (stalled(worker, now)) return per_worker;
  return per_worker + ahead(*worker.function);
}

}  // namespace hearth
