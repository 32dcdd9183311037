// How long idle workers stay, and when one comes back before it is called. The fifth part of
// WorkerPool; see design/0009-warm-workers.md.
#include <algorithm>

#include "core/worker_pool.h"

namespace hearth {
namespace {

constexpr milliseconds kHistogramLook{1'000};  // after the first idle second its histogram is asked

}  // namespace

void Function::on_prewarm_timer() { pool->prewarm(*this); }

// When a worker that has become ready or busy is looked at for the first time.
nanoseconds WorkerPool::first_look(const Worker& worker) const {
  nanoseconds look = limits_.idle_timeout;
  if (worker.function->idle_times) look = std::min<nanoseconds>(look, kHistogramLook);
  const nanoseconds after = rest_after(worker);
  return after != nanoseconds(0) ? std::min(look, after) : look;
}

bool WorkerPool::surplus(const Worker& worker) {
  Function& function = *worker.function;
  if (function.ready < 2 || worker.resting || worker.spec != function.spec) return false;
  return function.surplus.one_too_many(
      {.time = clock_.now(),
       .calls = function.stats.exec.count(),
       .busy_us = function.stats.exec.sum_us(),
       .short_in_a_row = function.estimate.short_in_a_row(),
       .workers = function.ready,
       .workers_min = function.spec->concurrency.workers_min,
       .per_worker = function.spec->concurrency.per_worker,
       .settled = function.queue.empty() && function.starting == 0});
}

// One timer serves three ends: has the oldest call held up others for too long, has the worker been
// idle for long enough to stand still, and for long enough to go? No call arms it.
void WorkerPool::idle_timer(Worker& worker) {
  const MonotonicTime now = clock_.now();
  if (surplus(worker)) {
    ++stats_.surplus;
    retire(worker, false);
    return;
  }
  const uint32_t per_worker = worker.spec->concurrency.per_worker;
  if (worker.calls.size() > per_worker) {
    if (now - worker.head_since >= stall_time(*worker.function)) owner_.on_worker_stalled(worker);
    arm(worker, stall_time(*worker.function));
    return;
  }
  worker.stall_watch = false;
  if (!worker.calls.empty()) {
    arm(worker, first_look(worker));
    return;
  }
  const nanoseconds idle_for = now - worker.since;
  const nanoseconds after = worker.resting ? nanoseconds(0) : rest_after(worker);
  if (idle_for < after) {
    arm(worker, after - idle_for);
    return;
  }
  const nanoseconds left = stay(worker, now);
  if (left <= nanoseconds(0) &&
      worker.function->ready > worker.function->spec->concurrency.workers_min) {
    leave_until_prewarm(*worker.function);
    stop(worker);
    return;
  }
  if (after != nanoseconds(0)) rest(worker);
  arm(worker, left > nanoseconds(0) ? left : nanoseconds(limits_.idle_timeout));
}

// ---- the histogram

bool WorkerPool::idle_as_a_whole(const Function& function) const {
  return function.queue.empty() && function.idle.size() == function.ready;
}

void WorkerPool::note_arrival(Function& function) {
  if (function.idle_since == MonotonicTime{} || !idle_as_a_whole(function)) return;
  function.idle_times->record(clock_.now() - function.idle_since);
  function.idle_since = MonotonicTime{};
}

// How much longer an idle worker stays; 0 or less: it may go. A worker of a function that still has
// calls is surplus, and idles for the fixed time.
nanoseconds WorkerPool::stay(const Worker& worker, MonotonicTime now) {
  const Function& function = *worker.function;
  const nanoseconds fixed = limits_.idle_timeout - (now - worker.since);
  if (!function.idle_times || function.idle_since == MonotonicTime{} || !idle_as_a_whole(function))
    return fixed;
  const KeepAliveWindow window = function.idle_times->window(limits_.idle_timeout);
  const nanoseconds silent = now - function.idle_since;
  if (silent < window.prewarm) {
    // The first look comes within a second of the last call: a burst is over by then.
    const nanoseconds look = kHistogramLook - (now - worker.since);
    return look > nanoseconds(0) ? look : nanoseconds(0);
  }
  return window.until - silent;
}

// A worker leaves: if it is to be back before the next call, the timer knows.
void WorkerPool::leave_until_prewarm(Function& function) {
  if (!function.idle_times || function.idle_since == MonotonicTime{} || !idle_as_a_whole(function))
    return;
  const KeepAliveWindow window = function.idle_times->window(limits_.idle_timeout);
  const MonotonicTime when = function.idle_since + window.prewarm;
  if (window.prewarm == nanoseconds(0) || when <= clock_.now()) return;
  timers_.arm(function.prewarm_timer, when,
              Callback<void()>::to<&Function::on_prewarm_timer>(&function));
}

// Off the path of any call: the worker boots and loads now.
void WorkerPool::prewarm(Function& function) {
  if (closed_ || function.removed || function.live != 0 || !function.queue.empty()) return;
  stats_.prewarms += start_workers(function, 1);
}

}  // namespace hearth
