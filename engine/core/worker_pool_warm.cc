// What ready workers do between calls: idle, stand still, grow old. The third part of WorkerPool;
// the table is in design/0009-warm-workers.md.
#include <algorithm>

#include "core/worker_pool.h"

namespace hearth {
namespace {

constexpr milliseconds kPatrolInterval{1'000};  // how often age and memory are looked at
constexpr uint32_t kFiguresARound = 64;         // memory figures read in one round, at most
constexpr std::array<std::string_view, kRecycleReasonCount> kReasonNames = {"calls", "age",
                                                                            "memory", "leftovers"};

}  // namespace

std::string_view recycle_reason_name(RecycleReason reason) {
  return kReasonNames[static_cast<size_t>(reason)];
}

// One timer serves three ends: has the oldest call held up others for too long, has the worker been
// idle for long enough to stand still, and for long enough to go? No call arms it.
void WorkerPool::idle_timer(Worker& worker) {
  const MonotonicTime now = clock_.now();
  const uint32_t per_worker = worker.spec->concurrency.per_worker;
  if (worker.calls.size() > per_worker) {
    if (now - worker.head_since >= stall_time(*worker.function)) owner_.on_worker_stalled(worker);
    arm(worker, stall_time(*worker.function));
    return;
  }
  worker.stall_watch = false;
  const nanoseconds idle_for = worker.calls.empty() ? now - worker.since : nanoseconds(0);
  if (idle_for >= limits_.idle_timeout &&
      worker.function->ready > worker.function->spec->concurrency.workers_min) {
    stop(worker);
    return;
  }
  if (freezes(worker) && !worker.frozen) {
    if (idle_for < limits_.freeze_after) {
      arm(worker, limits_.freeze_after - idle_for);
      return;
    }
    freeze(worker);
  }
  arm(worker, idle_for < limits_.idle_timeout ? limits_.idle_timeout - idle_for
                                              : nanoseconds(limits_.idle_timeout));
}

// ---- standing still

bool WorkerPool::freezes(const Worker& worker) const {
  return limits_.freeze_after != milliseconds(0) && worker.runtime != Runtime::host &&
         worker.spec->leftovers == Leftovers::freeze;
}

void WorkerPool::freeze(Worker& worker) {
  HEARTH_ASSERT(worker.state == Worker::State::ready && worker.calls.empty());
  worker.frozen = true;
  ++stats_.freezes;
  ++stats_.frozen;
  link_.freeze(worker.id);
}

void WorkerPool::thaw(Worker& worker) {
  if (!worker.frozen) return;
  worker.frozen = false;
  ++stats_.thaws;
  --stats_.frozen;
  link_.thaw(worker.id);
  arm(worker, limits_.freeze_after);
}

// ---- growing old

void WorkerPool::recycle(Worker& worker, RecycleReason reason) {
  if (worker.state != Worker::State::ready || !worker.counted) return;
  ++stats_.recycled[static_cast<size_t>(reason)];
  Function& function = *worker.function;
  retire(worker, false);
  start_minimum(function);
  if (!function.queue.empty()) ensure(function);
}

void WorkerPool::watch_age_and_memory(const Worker& worker) {
  const Recycle& recycle = worker.spec->recycle;
  if (closed_ || patrol_timer_.armed()) return;
  if (recycle.max_age == milliseconds(0) && recycle.max_rss == 0) return;
  timers_.arm(patrol_timer_, clock_.now() + kPatrolInterval,
              Callback<void()>::to<&WorkerPool::patrol>(this));
}

// Whose age or memory has passed its limit? Figures of memory cost a read of /proc each: a round
// has a budget of them, and the next goes on where it ended.
void WorkerPool::patrol() {
  const MonotonicTime now = clock_.now();
  const uint32_t from = patrol_from_;
  uint32_t figures = 0;
  bool again = false;
  patrol_from_ = 0;
  due_.clear();
  workers_.each([&](WorkerId id, Worker& worker) {
    if (worker.state != Worker::State::ready || !worker.counted) return;
    const Recycle& limit = worker.spec->recycle;
    again = again || limit.max_age != milliseconds(0) || limit.max_rss != 0;
    if (limit.max_age != milliseconds(0) && now - worker.ready_at >= limit.max_age) {
      due_.push_back(id);
      return;
    }
    if (limit.max_rss == 0 || id.slot < from) return;
    if (figures == kFiguresARound) {
      if (patrol_from_ == 0) patrol_from_ = id.slot;
      return;
    }
    ++figures;
    if (link_.memory_now(id) > limit.max_rss) due_.push_back(id);
  });
  for (const WorkerId id : due_) {
    Worker* worker = workers_.find(id);
    if (worker == nullptr) continue;
    const Recycle& limit = worker->spec->recycle;
    const bool old = limit.max_age != milliseconds(0) && now - worker->ready_at >= limit.max_age;
    recycle(*worker, old ? RecycleReason::age : RecycleReason::memory);
  }
  if (!again || closed_) return;
  timers_.arm(patrol_timer_, now + kPatrolInterval,
              Callback<void()>::to<&WorkerPool::patrol>(this));
}

}  // namespace hearth
