// The invariants of design/0001-invoke-path.md, walked one by one. For the simulator and tests.
#include "core/dispatcher.h"

namespace hearth {

void Dispatcher::check_invariants() {
  HEARTH_ASSERT(stats_.submitted == stats_.finished + stats_.in_flight);
  uint32_t unfinished = 0;
  calls_.each([&](InvocationId id, Call& call) {
    HEARTH_ASSERT(call.id == id);
    if (!call.finished) {
      ++unfinished;
      HEARTH_ASSERT(call.timer.armed());
    }
    // Also one that has ended keeps its deadline while a worker holds it, so that nobody hangs on
    // it.
    if (call.stage == Call::Stage::sent && !call.expired) HEARTH_ASSERT(call.timer.armed());
    const bool queued = static_cast<ListLink<InQueue>&>(call).linked();
    const bool sent = static_cast<ListLink<InFlight>&>(call).linked();
    HEARTH_ASSERT(queued != sent);
    HEARTH_ASSERT(sent == (call.stage == Call::Stage::sent));
    HEARTH_ASSERT(sent == (call.worker != nullptr));
    if (sent) HEARTH_ASSERT(pool_.find(call.worker->id) == call.worker);
  });
  HEARTH_ASSERT(unfinished == stats_.in_flight);
  pool_.check_invariants();
  functions_.each([&](FunctionId, Function& function) {
    HEARTH_ASSERT(function.queue.size() <=
                  function.queue_max +
                      limits_.workers_max * (limits_.prefetch_max + limits_.per_worker_max));
    HEARTH_ASSERT(function.live == function.starting + function.ready);
    uint32_t counted = 0;
    for (Worker* w = function.workers.front(); w != nullptr; w = function.workers.next(*w)) {
      HEARTH_ASSERT(w->function == &function);
      if (w->counted) {
        ++counted;
        HEARTH_ASSERT(w->spec == function.spec);
      }
      HEARTH_ASSERT(w->calls.size() <= w->spec->concurrency.per_worker + limits_.prefetch_max);
    }
    HEARTH_ASSERT(counted == function.live);
    HEARTH_ASSERT(function.spares.empty() || function.zygote.phase() == ZygotePlan::Phase::ready);
    HEARTH_ASSERT(function.spares.size() <= limits_.zygote_spares);
    for (Worker* w = function.spares.front(); w != nullptr; w = function.spares.next(*w)) {
      HEARTH_ASSERT(w->spare_of == &function && w->spec == function.spec);
      HEARTH_ASSERT(w->forked_from == function.zygote.worker());
    }
    // A call may wait only if something is on its way to it: a worker, a look at the queue, or work
    // that will end.
    if (!function.queue.empty()) HEARTH_ASSERT(function.scale_timer.armed() || closed_);
  });
}

void WorkerPool::check_invariants() {
  uint64_t charged = 0;
  uint32_t frozen = 0;
  workers_.each([&](WorkerId id, Worker& worker) {
    HEARTH_ASSERT(worker.id == id);
    charged += worker.charge;
    const bool parked = static_cast<ListLink<InParked>&>(worker).linked();
    const bool idle = static_cast<ListLink<InIdle>&>(worker).linked();
    HEARTH_ASSERT(parked == (worker.state == Worker::State::parked || worker.spare_of != nullptr));
    if (worker.state == Worker::State::spare) HEARTH_ASSERT(worker.spare_of != nullptr);
    if (worker.spare_of != nullptr) {
      HEARTH_ASSERT(worker.state == Worker::State::spare ||
                    (worker.state == Worker::State::booting && !worker.killed));
      HEARTH_ASSERT(worker.calls.empty() && worker.function == nullptr && !worker.mould);
    }
    if (worker.frozen) {
      ++frozen;
      HEARTH_ASSERT(worker.state == Worker::State::ready && worker.calls.empty());
    }
    if (worker.clearing && worker.state == Worker::State::ready)
      HEARTH_ASSERT(worker.frozen && !idle && worker.calls.empty());
    if (worker.state == Worker::State::parked)
      HEARTH_ASSERT(PoolKey::at(worker.pool_key).runtime == worker.runtime);
    if (idle) HEARTH_ASSERT(worker.left != 0);
    if (idle) HEARTH_ASSERT(worker.state == Worker::State::ready && worker.calls.empty());
    if (worker.mould) {
      HEARTH_ASSERT(worker.calls.empty() && worker.function == nullptr);
      if (worker.mould_of != nullptr) HEARTH_ASSERT(worker.mould_of->zygote.worker() == id);
      HEARTH_ASSERT(worker.state != Worker::State::mould || worker.mould_of != nullptr);
    }
    if (worker.state == Worker::State::ready && worker.counted && worker.calls.empty())
      HEARTH_ASSERT(idle != worker.clearing);
    if (worker.state != Worker::State::parked && worker.state != Worker::State::spare)
      HEARTH_ASSERT(worker.timer.armed() || worker.state == Worker::State::retiring);
    if (worker.counted) HEARTH_ASSERT(worker.function != nullptr);
    uint32_t expired = 0;
    uint32_t recalled = 0;
    for (Call* call = worker.calls.front(); call != nullptr; call = worker.calls.next(*call)) {
      HEARTH_ASSERT(call->worker == &worker);
      if (call->expired) ++expired;
      if (call->recalled) ++recalled;
    }
    HEARTH_ASSERT(expired == worker.expired);
    HEARTH_ASSERT(recalled == worker.recalls);
  });
  HEARTH_ASSERT(frozen == stats_.frozen);
  HEARTH_ASSERT(charged == stats_.memory_charged);
  HEARTH_ASSERT(charged <= budget_);
}

}  // namespace hearth
