// What ready workers do between calls: stand still, grow old. The third part of WorkerPool;
// the table is in design/0009-warm-workers.md.
#include <algorithm>

#include "core/worker_pool.h"

namespace hearth {
namespace {

constexpr milliseconds kClearAfter{50};  // without a call, where limits.freeze_after says never
constexpr milliseconds kPatrolInterval{1'000};  // how often age and memory are looked at
constexpr uint32_t kFiguresARound = 64;         // memory figures read in one round, at most
constexpr std::array<std::string_view, kRecycleReasonCount> kReasonNames = {"calls", "age",
                                                                            "memory", "leftovers"};

}  // namespace

std::string_view recycle_reason_name(RecycleReason reason) {
  return kReasonNames[static_cast<size_t>(reason)];
}

// ---- standing still

// How long after its last call a worker is frozen or cleared; 0 = it is not.
nanoseconds WorkerPool::rest_after(const Worker& worker) const {
  if (worker.runtime == Runtime::host) return nanoseconds(0);
  if (limits_.freeze_after != milliseconds(0)) return limits_.freeze_after;
  return worker.spec->leftovers == Leftovers::freeze ? milliseconds(0) : kClearAfter;
}

void WorkerPool::rest(Worker& worker) {
  HEARTH_ASSERT(worker.state == Worker::State::ready && worker.calls.empty());
  worker.resting = true;
  const Leftovers how = worker.spec->leftovers;
  // A worker that was never called is not replaced for what its import started: that would go on.
  const bool clears = how == Leftovers::kill || (how == Leftovers::recycle && worker.served);
  if (!clears && limits_.freeze_after == milliseconds(0)) return;
  worker.frozen = true;
  ++stats_.freezes;
  ++stats_.frozen;
  if (!clears) return link_.freeze(worker.id);
  worker.clearing = true;
  busy(worker);  // a call that came now could lose what it starts
  link_.clear_leftovers(worker.id, how);
}

void WorkerPool::on_leftovers(Worker& worker, uint32_t count, bool lost) {
  if (!worker.clearing) return;
  worker.clearing = false;
  if (worker.spec->leftovers == Leftovers::kill) stats_.leftovers_killed += count;
  if (worker.state != Worker::State::ready || !worker.counted) return;
  if (lost) {
    ++stats_.recycled[static_cast<size_t>(RecycleReason::leftovers)];
    kill(worker, Code::worker_lost, "what it had left behind could not be cleared away");
    return;
  }
  if (worker.spec->leftovers == Leftovers::recycle && count > 0)
    return recycle(worker, RecycleReason::leftovers);
  if (limits_.freeze_after == milliseconds(0)) thaw(worker);
  // Back among the idle ones, where it stood.
  auto& idle = worker.function->idle;
  Worker* before = idle.front();
  while (before != nullptr && before->since > worker.since) before = idle.next(*before);
  idle.insert_before(before, worker);
}

// For a call: its timer looks at it again.
void WorkerPool::wake(Worker& worker) {
  worker.resting = false;
  thaw(worker);
  arm(worker, first_look(worker));
}

void WorkerPool::thaw(Worker& worker) {
  if (!worker.frozen) return;
  worker.frozen = false;
  ++stats_.thaws;
  --stats_.frozen;
  link_.thaw(worker.id);
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
