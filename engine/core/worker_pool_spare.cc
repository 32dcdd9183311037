// Workers that are forked ahead: the sixth part of WorkerPool (design/0011-zygotes.md). A spare is
// a child of a function's zygote that waits in its own cgroup, has run nothing of the function
// since it was forked, and belongs to none of its counts. It goes with its zygote.
#include <algorithm>

#include "core/worker_pool.h"

namespace hearth {
namespace {

constexpr milliseconds kSpareRetry{1'000};  // while there is no memory, or too many of them

}  // namespace

void Function::on_spare_timer() { pool->keep_spares(*this); }

// ---- how many

uint32_t WorkerPool::spares_wanted(const Function& function) const {
  if (closed_ || function.removed || function.live >= function.workers_max) return 0;
  return std::min(function.zygote.spares(limits_), function.workers_max - function.live);
}

// Sooner than what is planned already, never later.
void WorkerPool::look_at_spares(Function& function, nanoseconds after) {
  if (closed_ || function.removed || function.zygote.phase() != ZygotePlan::Phase::ready) return;
  const MonotonicTime when = clock_.now() + after;
  if (function.spare_timer.armed() && function.spares_at <= when) return;
  function.spares_at = when;
  timers_.arm(function.spare_timer, when,
              Callback<void()>::to<&Function::on_spare_timer>(&function));
}

// Off the path of any call. Demand fades, and what it does not want any more goes: one a second.
void WorkerPool::keep_spares(Function& function) {
  if (closed_ || function.removed) return;
  bool again = function.zygote.look_at_demand(clock_.now());
  const uint32_t most = spares_wanted(function);
  if (function.spares.size() > most) {
    end_spare(*function.spares.front());
    again = again || function.spares.size() > most;
  }
  bool lacks = false;
  while (function.spares.size() < most && !lacks) lacks = !fork_spare(function);
  if (again || lacks) look_at_spares(function, kSpareRetry);
}

// Only out of what is free: nobody makes way for a spare.
bool WorkerPool::fork_spare(Function& function) {
  Worker* zygote = ready_zygote(function);
  const uint64_t charge = std::min(kSpareCharge, function.spec->memory_bytes);
  if (zygote == nullptr || workers_.full()) return false;
  if (charge > budget_ || stats_.memory_charged > budget_ - charge) return false;
  Worker* spare = make(function.spec->runtime, charge);
  spare->spec = function.spec;
  spare->forked_from = zygote->id;
  spare->way = StartWay::zygote;
  spare->spare_of = &function;
  function.spares.push_back(*spare);
  ++stats_.zygote_forks;
  link_.fork(spare->id, zygote->id, spare->spec);
  return true;
}

// ---- what becomes of them

bool WorkerPool::spare_waits(const Function& function) {
  const Worker* spare = function.spares.front();
  return spare != nullptr && spare->state == Worker::State::spare;
}

// One that waits, else one that is on its way. nullptr: there is none, or the function can't be
// afforded.
Worker* WorkerPool::take_spare(Function& function) {
  Worker* spare = function.spares.front();
  if (spare == nullptr) return nullptr;
  const uint64_t charge = function.spec->memory_bytes;
  leave_spares(*spare);  // first, so that it is not evicted for itself
  if (afford(charge > spare->charge ? charge - spare->charge : 0, Slot::has_one, &function))
    return spare;
  spare->spare_of = &function;
  function.spares.push_front(*spare);
  return nullptr;
}

// It is alive and waits.
void WorkerPool::on_spare_waits(Worker& worker) {
  set_state(worker, Worker::State::spare);
  worker.timer.disarm();
}

Function* WorkerPool::leave_spares(Worker& worker) {
  Function* function = worker.spare_of;
  if (function == nullptr) return nullptr;
  function->spares.remove(worker);
  worker.spare_of = nullptr;
  return function;
}

// On purpose, not for a fault of its own. One that is on its way has no ear for a STOP yet. What it
// holds is counted as free now, as of any evicted worker.
void WorkerPool::end_spare(Worker& worker) {
  leave_spares(worker);
  stats_.memory_charged -= worker.charge;
  worker.charge = 0;
  if (worker.killed || worker.state == Worker::State::leaving) return;
  if (worker.state == Worker::State::spare)
    stop(worker);
  else
    kill(worker, Code::worker_lost, "it is not needed any more");
}

void WorkerPool::end_spares(Function& function) {
  function.spare_timer.disarm();
  while (Worker* spare = function.spares.front()) end_spare(*spare);
}

void WorkerPool::evict_spare(Worker& worker) {
  Function& function = *worker.spare_of;
  ++stats_.spare_evictions;
  end_spare(worker);
  look_at_spares(function, kSpareRetry);
}

// It was killed for a fault of its own.
void WorkerPool::lose_spare(Worker& worker) {
  Function* function = leave_spares(worker);
  if (function == nullptr) return;
  ++stats_.spare_failures;
  look_at_spares(*function, kSpareRetry);
}

// The process of a forked worker that no call ever needed is gone.
void WorkerPool::on_spare_exit(Worker& worker, const WorkerExit& exit) {
  ++stats_.exits;
  const bool waited = worker.state == Worker::State::spare;
  Function* function = worker.spare_of;
  lose_spare(worker);
  stats_.memory_charged -= worker.charge;
  workers_.remove(worker.id);
  replenish_soon();
  if (function != nullptr && !waited && !exit.lost) fork_failed(*function);
}

uint32_t WorkerPool::spares() {
  uint32_t count = 0;
  workers_.each([&](WorkerId, Worker& worker) { count += worker.state == Worker::State::spare; });
  return count;
}

}  // namespace hearth
