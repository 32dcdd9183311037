// Zygotes: the part of WorkerPool that starts, forks and ends them. A zygote is a worker without
// calls and without a place among its function's workers; only the plan of its function names it.
#include "core/worker_pool.h"

namespace hearth {

void Function::on_zygote_timer() { pool->start_zygote(*this); }

void WorkerPool::consider_zygote(Function& function, nanoseconds init) {
  if (!link_.has_zygotes() || closed_ || function.removed || function.zygote_timer.armed()) return;
  if (function.spec->leftovers != Leftovers::freeze && !link_.clears_forked()) return;
  const MonotonicTime now = clock_.now();
  if (!function.zygote.wants(*function.spec, init, now, limits_)) return;
  timers_.arm(function.zygote_timer, now + kZygoteDelay,
              Callback<void()>::to<&Function::on_zygote_timer>(&function));
}

// Only out of what is free: nobody makes way for a zygote.
void WorkerPool::start_zygote(Function& function) {
  if (closed_ || function.removed || function.zygote.phase() != ZygotePlan::Phase::none) return;
  const uint64_t charge = function.spec->memory_bytes;
  if (workers_.full() || charge > budget_ || stats_.memory_charged > budget_ - charge) {
    timers_.arm(function.zygote_timer, clock_.now() + kZygoteRetry,
                Callback<void()>::to<&Function::on_zygote_timer>(&function));
    return;
  }
  Worker* worker = make(function.spec->runtime, charge);
  worker->mould = true;
  worker->mould_of = &function;
  worker->spec = function.spec;
  function.zygote.started(worker->id);
  ++stats_.zygote_starts;
  link_.start_zygote(worker->id, worker->spec);
}

void WorkerPool::bind_zygote(Worker& worker) {
  set_state(worker, Worker::State::loading);
  arm(worker, init_timeout(worker));
  link_.bind(worker.id, worker.spec);
}

void WorkerPool::on_zygote_ready(Worker& worker, uint32_t init_us) {
  if (worker.killed || worker.state == Worker::State::leaving) return;
  if (!worker.mould || worker.state != Worker::State::loading) {
    kill(worker, Code::protocol_violation, "ZYGOTE came unasked or twice");
    return;
  }
  worker.init_us = init_us;
  set_state(worker, Worker::State::mould);
  worker.mould_of->zygote.ready(clock_.now());
  arm(worker, limits_.zygote_idle);
  look_at_spares(*worker.mould_of, kSpareDelay);
}

void WorkerPool::on_zygote_refused(Worker& worker) {
  if (worker.killed || worker.state == Worker::State::leaving) return;
  if (!worker.mould || worker.state != Worker::State::loading) {
    kill(worker, Code::protocol_violation, "a refusal of ZYGOTE came unasked or twice");
    return;
  }
  ++stats_.zygote_refusals;
  worker.mould_of->zygote.refused();
  worker.mould_of = nullptr;
  stop(worker);
}

// nullptr: the next worker is started the ordinary way.
Worker* WorkerPool::ready_zygote(Function& function) {
  if (function.zygote.phase() != ZygotePlan::Phase::ready) return nullptr;
  Worker* zygote = workers_.find(function.zygote.worker());
  if (zygote == nullptr || zygote->killed || zygote->state != Worker::State::mould) return nullptr;
  uint32_t children = 0;
  workers_.each([&](WorkerId, Worker& w) { children += w.forked_from == zygote->id; });
  return children < kZygoteChildrenMax ? zygote : nullptr;
}

bool WorkerPool::fork_one(Function& function) {
  if (Worker* spare = take_spare(function)) {
    ++stats_.spares_used;
    forked(function, *spare, true);
    return true;
  }
  Worker* zygote = ready_zygote(function);
  if (zygote == nullptr) return false;
  const FunctionSpecPtr& spec = function.spec;
  if (!afford(spec->memory_bytes, Slot::needs_one, &function)) {
    // Its own zygote is what can go before anything else is refused.
    end_zygote(function, ZygotePlan::End::memory);
    return false;
  }
  Worker* fresh = make(spec->runtime, spec->memory_bytes);
  fresh->forked_from = zygote->id;
  fresh->way = StartWay::zygote;
  ++stats_.zygote_forks;
  link_.fork(fresh->id, zygote->id, spec);
  forked(function, *fresh, false);
  return true;
}

// It is the function's from now on, and goes on as soon as it is there.
void WorkerPool::forked(Function& function, Worker& worker, bool spare) {
  bind(worker, function);
  function.zygote.used(clock_.now());
  function.zygote.took(spare, clock_.now());
  look_at_spares(function, kSpareDelay);
}

// A forked worker never became ready. The function is not to blame: it is started the ordinary way.
void WorkerPool::fork_failed(Function& function) {
  ++stats_.zygote_fork_failures;
  end_zygote(function, ZygotePlan::End::failed);
  start_minimum(function);
  if (!function.queue.empty()) ensure(function);
}

void WorkerPool::end_zygote(Function& function, ZygotePlan::End end) {
  Worker* worker = workers_.find(function.zygote.worker());
  if (function.zygote.phase() == ZygotePlan::Phase::refused) return;
  const bool has_one = function.zygote.phase() != ZygotePlan::Phase::none;
  end_spares(function);
  if (has_one || end != ZygotePlan::End::failed) function.zygote.ended(end, clock_.now());
  if (worker == nullptr || worker->mould_of != &function) return;
  worker->mould_of = nullptr;
  if (end == ZygotePlan::End::memory) {
    ++stats_.zygote_evictions;
    stats_.memory_charged -= worker->charge;  // counted as free now, as of any evicted worker
    worker->charge = 0;
  }
  if (!worker->killed && worker->state != Worker::State::leaving) stop(*worker);
}

// The revision is not run any more. The next one begins anew.
void WorkerPool::release_zygote(Function& function) {
  function.zygote_timer.disarm();
  end_zygote(function, ZygotePlan::End::idle);
  function.zygote = ZygotePlan{};
}

void WorkerPool::zygote_timer(Worker& worker) {
  Function& function = *worker.mould_of;
  const MonotonicTime idle_at = function.zygote.idle_at(limits_);
  if (clock_.now() >= idle_at) {
    end_zygote(function, ZygotePlan::End::idle);
  } else {
    arm(worker, idle_at - clock_.now());
  }
}

// Its process is gone; its children are not.
void WorkerPool::on_zygote_exit(Worker& worker) {
  ++stats_.exits;
  if (Function* function = worker.mould_of) {
    ++stats_.zygote_failures;
    function->zygote.ended(ZygotePlan::End::failed, clock_.now());
    end_spares(*function);
  }
  stats_.memory_charged -= worker.charge;
  workers_.remove(worker.id);
  replenish_soon();
}

uint32_t WorkerPool::zygotes() {
  uint32_t count = 0;
  workers_.each([&](WorkerId, Worker& worker) { count += worker.state == Worker::State::mould; });
  return count;
}

}  // namespace hearth
