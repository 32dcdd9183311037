// How workers leave, and what their timers do: the second part of WorkerPool.
#include <fmt/core.h>

#include <algorithm>

#include "core/worker_pool.h"

namespace hearth {
namespace {

// A head that runs for this much longer than its function's calls do holds the others up.
constexpr milliseconds kStall{10};
constexpr milliseconds kStallLeast{2};  // while a spare waits

// While a spare waits, calls go ahead into a busy worker only after that many short ones in a row.
// A right guess saves a call some 20 us, a wrong one costs it 10 ms (stall, RECALL) where the spare
// costs 1 ms.
constexpr uint32_t kSurelyShort = 256;

constexpr milliseconds kBackstop{
    1'000};  // a worker that neither exits nor is killed is asked again after that

}  // namespace

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
      if (worker.function->idle_times) worker.function->idle_since = worker.since;
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
  release_zygote(function);
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

// A worker that still boots holds no code: it can just as well load another revision, if the budget
// allows its size.
bool WorkerPool::reuse(Worker& booting, const FunctionSpecPtr& spec) {
  const uint64_t others = stats_.memory_charged - booting.charge;
  if (booting.killed || !same_start(*booting.spec, *spec)) return false;
  if (spec->memory_bytes > budget_ || others > budget_ - spec->memory_bytes) return false;
  stats_.memory_charged = others + spec->memory_bytes;
  booting.charge = spec->memory_bytes;
  booting.spec = spec;
  return true;
}

void WorkerPool::stop(Worker& worker) {
  if (worker.state == Worker::State::parked) unpark(worker);
  uncount(worker);
  thaw(worker);
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
  lose_spare(worker);
  if (worker.state != Worker::State::booting && worker.state != Worker::State::loading) {
    if (worker.state == Worker::State::parked) unpark(worker);
    uncount(worker);
    set_state(worker, Worker::State::leaving);
  }
  arm(worker, kBackstop);
  thaw(worker);
  link_.kill(worker.id);
}

void WorkerPool::close() {
  closed_ = true;
  replenish_timer_.disarm();
  demand_timer_.disarm();
  patrol_timer_.disarm();
  workers_.each([&](WorkerId, Worker& worker) {
    leave_spares(worker);
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
        ++stats_.boot_timeouts;
        kill(worker, Code::worker_start_failed,
             fmt::format("the runtime did not start within {} ms (limits.boot_timeout)",
                         limits_.boot_timeout.count()));
      } else {
        ++stats_.init_timeouts;
        kill(worker, Code::init_timeout,
             fmt::format("the function's code did not load within {} ms ({})",
                         init_timeout(worker).count(),
                         worker.spec->init_timeout.count() != 0 ? "its init_timeout"
                                                                : "limits.init_timeout"));
      }
      return;
    case Worker::State::parked:
    case Worker::State::spare:
      return;
    case Worker::State::ready:
      idle_timer(worker);
      return;
    case Worker::State::mould:
      zygote_timer(worker);
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

nanoseconds WorkerPool::stall_time(const Function& function) const {
  const auto high = microseconds(static_cast<int64_t>(std::min(function.estimate.high_us(), 1e6)));
  return (spare_waits(function) ? kStallLeast : kStall) + high;
}

void WorkerPool::watch_stall(Worker& worker) {
  if (worker.stall_watch) return;
  worker.stall_watch = true;
  arm(worker, stall_time(*worker.function));
}

bool WorkerPool::stalled(const Worker& worker, MonotonicTime now) const {
  if (worker.calls.empty() || now - worker.head_since < kStallLeast) return false;
  return now - worker.head_since >= stall_time(*worker.function);
}

uint32_t WorkerPool::ahead(const Function& function) const {
  if (function.spec->runtime == Runtime::host) return 0;  // there is no way to save
  if (function.estimate.short_in_a_row() < kSurelyShort && spare_waits(function)) return 0;
  return function.estimate.calls_within(limits_.prefetch_time.count(), limits_.prefetch_max);
}

uint32_t WorkerPool::capacity(const Worker& worker, MonotonicTime now) const {
  const uint32_t per_worker = worker.spec->concurrency.per_worker;
  if (stalled(worker, now)) return per_worker;
  return per_worker + ahead(*worker.function);
}

}  // namespace hearth
