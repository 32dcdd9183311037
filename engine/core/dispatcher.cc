#include "core/dispatcher.h"

#include <fmt/core.h>

#include <algorithm>

namespace hearth {
namespace {

constexpr milliseconds kOwnTimeAfter{
    10};  // a call that waited longer than this in a worker gets its time anew
constexpr double kRecallWorth = 200;  // us: a recall takes about that
constexpr const char* kLimitPassed =
    "the caller's deadline passed while the call waited for a worker";

}  // namespace

void Call::on_timer() { dispatcher->call_timer(*this); }

Dispatcher::Dispatcher(WorkerLink& link, TimerWheel& timers, const Clock& clock,
                       BufferPool& buffers, const Limits& limits)
    : link_(link),
      timers_(timers),
      clock_(clock),
      buffers_(buffers),
      limits_(limits),
      calls_(limits.calls_max),
      functions_(limits.functions_max),
      pool_(*this, link, timers, clock, limits) {
  ended_.reserve(256);
  delivering_.reserve(256);
}

Dispatcher::~Dispatcher() {
  HEARTH_ASSERT(stats_.in_flight == 0);
  calls_.each([&](InvocationId,
                  Call& call) {  // those that workers still hold: ended long ago for their callers
    detach(call);
    release(call);
  });
}

// ---- functions

FunctionId Dispatcher::upsert(const FunctionSpecPtr& spec) {
  const auto found = names_.find(spec->name);
  FunctionId id = found != names_.end() ? found->second : FunctionId{};
  if (!id) {
    id = functions_.add();
    if (!id) return id;
    names_.emplace(spec->name, id);
  }
  Function& function = *functions_.find(id);
  function.id = id;
  function.name = spec->name;
  function.pool = &pool_;
  if (pool_.keep_alive() == KeepAlivePolicy::histogram && !function.idle_times &&
      spec->runtime != Runtime::host)
    function.idle_times = std::make_unique<IdleHistogram>();
  if (function.spec != nullptr && function.spec->revision == spec->revision) return id;
  function.spec = spec;
  function.queue_max =
      spec->concurrency.queue != 0 ? spec->concurrency.queue : limits_.queue_default;
  function.workers_max = spec->concurrency.workers_max != 0 ? spec->concurrency.workers_max
                                                            : limits_.workers_function_default;
  function.failure = StartFailure{};
  function.loaded = false;
  function.crashes_in_a_row = 0;
  function.estimate = Estimate{};
  function.scale_timer.disarm();
  pool_.retire_others(function, spec);
  pool_.start_minimum(function);
  if (!function.queue.empty()) pool_.ensure(function);
  return id;
}

bool Dispatcher::remove(std::string_view name) {
  const auto found = names_.find(name);
  if (found == names_.end()) return false;
  const FunctionId id = found->second;
  names_.erase(found);
  Function& function = *functions_.find(id);
  function.removed = true;
  function.scale_timer.disarm();
  function.prewarm_timer.disarm();
  while (Call* call = function.queue.front())
    finish_error(*call, Code::function_unknown, "the function was deleted while the call waited");
  pool_.retire_others(function, nullptr);
  drop_if_unused(id);
  return true;
}

void Dispatcher::drop_if_unused(FunctionId id) {
  Function* function = functions_.find(id);
  if (function == nullptr || !function->removed || !function->workers.empty() ||
      !function->queue.empty())
    return;
  function->scale_timer.disarm();
  functions_.remove(id);
}

FunctionId Dispatcher::find(std::string_view name) const {
  const auto found = names_.find(name);
  return found != names_.end() ? found->second : FunctionId{};
}

const FunctionSpecPtr* Dispatcher::spec(FunctionId id) const {
  const Function* function = functions_.find(id);
  return function != nullptr ? &function->spec : nullptr;
}

void Dispatcher::each_function(const std::function<void(const Function&)>& visit) const {
  functions_.each([&](FunctionId, const Function& function) { visit(function); });
}

// ---- submit

Status Dispatcher::admit(const Function& function) const {
  if (draining_) return Error{Code::shutting_down, {}};
  if (calls_.full()) {
    return Error{Code::calls_full,
                 fmt::format("{} calls are in flight (limits.calls)", calls_.capacity())};
  }
  if (function.queue.size() >= function.queue_max) {
    return Error{Code::queue_full, fmt::format("{} calls wait for '{}' (concurrency.queue)",
                                               function.queue_max, function.name)};
  }
  return ok();
}

bool Dispatcher::own(Call& call, CallRequest& request) {
  if (request.payload.owner) {
    call.payload = std::move(request.payload.owner);
    call.payload_view = request.payload.bytes;
  } else if (!request.payload.bytes.empty()) {
    call.payload = buffers_.take(request.payload.bytes.size());
    if (!call.payload) return false;
    call.payload.append(request.payload.bytes);
    call.payload_view = call.payload.view();
  }
  if (!request.extension.empty()) {
    call.extension = buffers_.take(request.extension.size());
    if (!call.extension) return false;
    call.extension.append(request.extension);
  }
  return true;
}

Result<InvocationId> Dispatcher::submit(CallRequest&& request) {
  Function* function = functions_.find(request.function);
  if (function == nullptr || function->removed) {
    ++stats_.refused;
    return Error{Code::function_unknown, {}};
  }
  if (Status admitted = admit(*function); !admitted) {
    ++stats_.refused;
    ++function->stats.refused;
    return std::move(admitted).error();
  }
  const InvocationId id = calls_.add();
  Call& call = *calls_.find(id);
  call.id = id;
  call.dispatcher = this;
  call.function = function;
  call.order = next_order_++;
  call.request_id = request.request_id;
  call.limit = request.deadline;
  call.http_event = request.http_event;
  call.want_tail = request.want_tail;
  call.done = request.done;
  call.on_part = request.on_part;
  call.streams_only = request.streams_only;
  call.submitted = clock_.now();
  if (!own(call, request)) {
    calls_.remove(id);
    ++stats_.refused;
    ++function->stats.refused;
    return Error{Code::buffers_full, "limits.buffers is reached"};
  }
  ++stats_.submitted;
  ++stats_.in_flight;
  ++function->stats.submitted;
  if (function->live == 0 && function->failure.count != 0 &&
      call.submitted < function->failure.retry_at) {
    finish_with_cause(call, function->failure);
    return id;
  }
  if (call.limit != Deadline{} &&
      call.limit <= call.submitted) {  // sent, it would only get a warm worker killed
    finish_error(call, Code::deadline_exceeded,
                 "the caller's deadline had passed before the call came");
    return id;
  }
  if (function->idle_times) pool_.note_arrival(*function);
  Worker* worker = function->queue.empty() ? pick_worker(*function, call.submitted) : nullptr;
  if (worker != nullptr) {
    send(*worker, call, call.submitted);
  } else {
    enqueue(*function, call);
  }
  return id;
}

// An idle worker, most recently used first; else one with room. nullptr: the call has to wait.
Worker* Dispatcher::pick_worker(Function& function, MonotonicTime now) {
  if (Worker* idle = function.idle.front()) return idle;
  const uint32_t per_worker = function.spec->concurrency.per_worker;
  const uint32_t ahead = pool_.ahead(function);
  if (per_worker == 1 && ahead == 0) return nullptr;
  Worker* best = nullptr;
  for (Worker* w = function.workers.front(); w != nullptr; w = function.workers.next(*w)) {
    if (w->state != Worker::State::ready || !w->counted || w->calls.size() >= per_worker + ahead ||
        w->left == 0 || w->clearing)
      continue;
    if (w->calls.size() >= per_worker && pool_.stalled(*w, now)) continue;
    if (best == nullptr || w->calls.size() < best->calls.size()) best = w;
  }
  return best;
}

void Dispatcher::send(Worker& worker, Call& call, MonotonicTime now) {
  if (worker.resting) pool_.wake(worker);
  --worker.left;
  call.stage = Call::Stage::sent;
  call.worker = &worker;
  call.sent_at = now;
  call.ahead = worker.calls.size() >= worker.spec->concurrency.per_worker;
  const Deadline deadline = arm_deadline(call, now);
  if (worker.calls.empty()) worker.head_since = now;
  worker.calls.push_back(call);
  pool_.busy(worker);
  if (call.ahead) pool_.watch_stall(worker);
  CallFrame frame;
  frame.id = call.id;
  frame.deadline = deadline;
  frame.request_id = call.request_id;
  frame.extension = call.extension.view();
  frame.payload = call.payload_view;
  frame.http_event = call.http_event;
  link_.send(worker.id, std::move(frame));
}

void Dispatcher::enqueue(Function& function, Call& call) {
  Deadline deadline = call.submitted + queue_time(function);
  if (call.limit != Deadline{} && call.limit < deadline) deadline = call.limit;
  timers_.arm(call.timer, deadline, Callback<void()>::to<&Call::on_timer>(&call));
  function.queue.push_back(call);
  pool_.ensure(function);
}

// Back from a worker, to its old place.
void Dispatcher::requeue(Call& call) {
  const Worker* from = call.worker;
  detach(call);
  Function& function = *call.function;
  ++stats_.requeued;
  call.stage = Call::Stage::queued;
  call.recalled = false;
  if (function.removed) {
    function.queue.push_back(call);
    finish_error(call, Code::function_unknown, "the function was deleted while the call waited");
    return;
  }
  Call* before = function.queue.front();
  while (before != nullptr && before->order < call.order) before = function.queue.next(*before);
  function.queue.insert_before(before, call);
  Deadline deadline =
      std::max(call.submitted + queue_time(function), clock_.now() + milliseconds(1));
  if (call.limit != Deadline{} && call.limit < deadline) deadline = call.limit;
  timers_.arm(call.timer, deadline, Callback<void()>::to<&Call::on_timer>(&call));
  if (Worker* worker = free_worker(function, from)) feed(*worker);
  if (!function.queue.empty()) pool_.ensure(function);
}

// A worker that would execute a call at once; not `but`, from which it comes.
Worker* Dispatcher::free_worker(Function& function, const Worker* but) {
  if (Worker* idle = function.idle.front()) return idle;
  const uint32_t per_worker = function.spec->concurrency.per_worker;
  if (per_worker == 1) return nullptr;
  for (Worker* w = function.workers.front(); w != nullptr; w = function.workers.next(*w)) {
    if (w != but && w->state == Worker::State::ready && w->counted && w->left != 0 &&
        !w->clearing && w->calls.size() < per_worker)
      return w;
  }
  return nullptr;
}

// Gives a worker with room what waits.
void Dispatcher::feed(Worker& worker) {
  Function& function = *worker.function;
  if (function.queue.empty()) return;
  const MonotonicTime now = clock_.now();
  const uint32_t room = pool_.capacity(worker, now);
  while (worker.state == Worker::State::ready && worker.counted && worker.left != 0 &&
         !worker.clearing && worker.calls.size() < room) {
    Call* call = function.queue.front();
    if (call == nullptr) return;
    if (call->limit != Deadline{} && call->limit <= now) {
      finish_error(*call, Code::deadline_exceeded, kLimitPassed);
      continue;
    }
    function.queue.remove(*call);
    send(worker, *call, now);
  }
}

// ---- recall

void Dispatcher::recall(Worker& worker, Call& call) {
  if (call.recalled) return;
  call.recalled = true;
  ++worker.recalls;
  ++call.function->stats.recalls;
  link_.recall(worker.id, call.id);
}

// Everything that waits behind the calls which may be executing; also what has ended: it is in the
// way all the same.
void Dispatcher::recall_waiting(Worker& worker) {
  for (Call* call = worker.calls.front(); call != nullptr; call = worker.calls.next(*call)) {
    if (call->ahead) recall(worker, *call);
  }
}

// `idle_worker` has nothing to do and nothing is queued: call one back that waits longest in
// another worker, if it would wait for longer than the recall takes.
void Dispatcher::steal_for(Worker& idle_worker) {
  Function& function = *idle_worker.function;
  if (function.ready < 2) return;
  const MonotonicTime now = clock_.now();
  for (Worker* w = function.workers.front(); w != nullptr; w = function.workers.next(*w)) {
    const uint32_t per_worker = w->spec->concurrency.per_worker;
    if (w == &idle_worker || w->state != Worker::State::ready || w->calls.size() <= per_worker)
      continue;
    uint32_t position = 0;
    for (Call* call = w->calls.front(); call != nullptr; call = w->calls.next(*call), ++position) {
      if (!call->ahead || call->recalled || call->finished) continue;
      const double due_us = position * function.estimate.mean_us() / per_worker;
      const bool stalled = static_cast<double>(to_us(now - w->head_since)) >
                           function.estimate.high_us() + kRecallWorth;
      if (due_us > kRecallWorth || stalled) {
        recall(*w, *call);
        return;
      }
      break;
    }
  }
}

// ---- the ends of a call

// Out of whatever list it is in.
void Dispatcher::detach(Call& call) {
  call.timer.disarm();
  if (static_cast<ListLink<InQueue>&>(call).linked()) call.function->queue.remove(call);
  if (static_cast<ListLink<InFlight>&>(call).linked()) {
    Worker& worker = *call.worker;
    const bool was_head = worker.calls.front() == &call;
    if (call.recalled) --worker.recalls;
    if (call.expired) --worker.expired;
    worker.calls.remove(call);
    if (was_head && !worker.calls.empty()) worker.head_since = clock_.now();
    if (!call.ahead && worker.calls.size() >= worker.spec->concurrency.per_worker) move_up(worker);
  }
  call.worker = nullptr;
}

// A call that may have been executing has left: the first that waits behind it may start.
void Dispatcher::move_up(Worker& worker) {
  Call* next = worker.calls.front();
  while (next != nullptr && !next->ahead) next = worker.calls.next(*next);
  if (next == nullptr) return;
  next->ahead = false;
  // What waited behind a slow call gets its own time from now on.
  const MonotonicTime now = clock_.now();
  if (!next->expired && now - next->sent_at > kOwnTimeAfter) arm_deadline(*next, now);
}

// Of a call that a worker has. The caller's own deadline counts as long as somebody waits for the
// call.
Deadline Dispatcher::arm_deadline(Call& call, MonotonicTime now) {
  Deadline deadline = now + call.worker->spec->timeout;
  if (!call.finished && call.limit != Deadline{} && call.limit < deadline) deadline = call.limit;
  timers_.arm(call.timer, deadline, Callback<void()>::to<&Call::on_timer>(&call));
  return deadline;
}

void Dispatcher::release(Call& call) { calls_.remove(call.id); }

// The only way out of a call for its caller. A sent call stays with its worker until that lets it
// go; a queued one is gone.
void Dispatcher::finish(Call& call, Outcome::Kind kind, Code code, std::string_view payload,
                        std::string detail) {
  HEARTH_ASSERT(!call.finished);
  call.finished =
      true;  // its timer stays while a worker holds it: that worker is not to hang on it for ever
  ++stats_.finished;
  --stats_.in_flight;
  Ended& ended = ended_.emplace_back();
  release_hold(call);
  ended.id = call.id;
  ended.done = call.done;
  ended.detail = std::move(detail);
  ended.spec = call.worker != nullptr ? call.worker->spec : call.function->spec;
  Outcome& outcome = ended.outcome;
  outcome.kind = kind;
  outcome.code = code;
  outcome.payload = payload;
  outcome.request_id = call.request_id;
  if (Worker* worker = call.worker) {
    outcome.cold = !worker->used;
    if (outcome.cold) {
      outcome.init_us = worker->init_us;
      outcome.way = worker->way;
      outcome.waited =
          cold_phases(to_us(call.sent_at - call.submitted), worker->start_times, worker->init_us);
    }
    worker->used = true;
    if (kind == Outcome::Kind::platform_error) {
      outcome.exec_us = static_cast<uint32_t>(
          std::clamp<int64_t>(to_us(clock_.now() - call.sent_at), 0, UINT32_MAX));
    }
    const bool crashed =
        kind == Outcome::Kind::platform_error && info(code).fault == Fault::function;
    if (call.want_tail) outcome.memory_max_bytes = link_.memory_peak(worker->id);
    if (call.want_tail || crashed) {
      const std::string_view tail = link_.log_tail(worker->id, call.id);
      ended.tail = buffers_.take(tail.size() + 1);
      if (ended.tail) ended.tail.append(tail);
    }
  }
  account(call, outcome);
  if (call.stage == Call::Stage::queued) {
    detach(call);
    release(call);
  }
}

void Dispatcher::finish_error(Call& call, Code code, std::string detail) {
  finish(call, Outcome::Kind::platform_error, code, {}, std::move(detail));
}

// The function can't be started, and why is known.
void Dispatcher::finish_with_cause(Call& call, const StartFailure& failure) {
  if (failure.payload.empty()) {
    finish_error(call, failure.code, failure.detail);
    return;
  }
  finish(call, Outcome::Kind::function_error, failure.code, {}, failure.detail);
  Ended& ended = ended_.back();
  ended.payload = buffers_.take(failure.payload.size());
  if (ended.payload) ended.payload.append(failure.payload);
}

void Dispatcher::account(Call& call, const Outcome& outcome) {
  FunctionStats& stats = call.function->stats;
  if (outcome.cold) ++stats.cold;
  stats.total.record(
      static_cast<uint64_t>(std::max<int64_t>(to_us(clock_.now() - call.submitted), 0)));
  if (outcome.kind == Outcome::Kind::reply) {
    ++stats.replies;
    return;
  }
  ++stats.errors;
  if (outcome.code == Code::deadline_exceeded) ++stats.timeouts;
  if (outcome.code == Code::worker_lost || outcome.code == Code::out_of_memory ||
      outcome.code == Code::sandbox_violation)
    ++stats.crashes;
}

void Dispatcher::abandon(InvocationId id) {
  Call* call = calls_.find(id);
  if (call == nullptr || call->finished) {
    for (Ended& ended : ended_) {
      if (ended.id == id) ended.done = {};
    }
    for (Ended& ended : delivering_) {
      if (ended.id == id) ended.done = {};
    }
    return;
  }
  call->finished = true;
  ++stats_.finished;
  --stats_.in_flight;
  ++call->function->stats.errors;
  if (call->stage == Call::Stage::queued) {
    detach(*call);
    release(*call);
    return;
  }
  // It runs on; its deadline stays, so that a handler without an end does not keep its worker for
  // ever.
  link_.cancel(call->worker->id, id);
  release_hold(*call);
}

void Dispatcher::deliver() {
  // What ends inside a `done` is delivered in the next round: the outer loop ends, since each round
  // needs a call to end.
  while (!ended_.empty() && delivering_.empty()) {
    delivering_.swap(ended_);
    for (size_t i = 0; i < delivering_.size(); ++i) {
      Ended& ended = delivering_[i];
      if (!ended.done) continue;
      ended.outcome.detail = ended.detail;
      if (ended.payload) ended.outcome.payload = ended.payload.view();
      if (ended.tail) ended.outcome.log_tail = ended.tail.view();
      ended.outcome.spec = &ended.spec;
      const DoneFn done = ended.done;
      done(ended.id, ended.outcome);
    }
    delivering_.clear();
  }
}

// ---- time

void Dispatcher::call_timer(Call& call) {
  if (call.stage == Call::Stage::queued) {
    Function& function = *call.function;
    const bool own_limit = call.limit != Deadline{} && call.limit <= clock_.now();
    if (own_limit) {
      finish_error(call, Code::deadline_exceeded, kLimitPassed);
    } else if (function.starved) {
      finish_error(call, Code::memory_budget,
                   "no worker could be started within limits.memory_budget");
    } else {
      finish_error(call, Code::queue_timeout,
                   fmt::format("waited {} ms (limits.queue_time)", queue_time(function).count()));
    }
    return;
  }
  Worker& worker = *call.worker;
  const MonotonicTime now = clock_.now();
  if (call.ahead && worker.expired == 0) {
    wait_on(worker, call, now);
    return;
  }
  call.expired = true;
  ++worker.expired;
  if (!call.finished && call.ahead) {
    finish_error(call, Code::worker_lost,
                 "the worker did not hand the call back after the deadline of the one before it");
  } else if (!call.finished) {
    const double spent = std::chrono::duration<double>(now - call.sent_at).count();
    finish_error(
        call, Code::deadline_exceeded,
        fmt::format("Task timed out after {:.2f} seconds",
                    std::min(spent, std::chrono::duration<double>(worker.spec->timeout).count())));
  }
  pool_.retire(worker, true);
  if (call.ahead) return;
  // What waits behind it is being recalled. A worker that can answer does so before a ping would be
  // missed.
  for (Call* c = worker.calls.front(); c != nullptr; c = worker.calls.next(*c)) {
    if (c->ahead && !c->expired)
      timers_.arm(c->timer, now + 2 * limits_.ping_timeout,
                  Callback<void()>::to<&Call::on_timer>(c));
  }
}

// The timer of a call which waits behind others in its worker: its own time begins when it moves
// up. Only its caller's patience can end.
void Dispatcher::wait_on(Worker& worker, Call& call, MonotonicTime now) {
  if (!call.finished && call.limit != Deadline{} && call.limit <= now) {
    finish_error(call, Code::deadline_exceeded, kLimitPassed);
    recall(worker, call);
  }
  arm_deadline(call, now);
}

void Dispatcher::close() {
  if (closed_) return;
  closed_ = draining_ = true;
  functions_.each([&](FunctionId, Function& function) {
    function.scale_timer.disarm();
    function.prewarm_timer.disarm();
    while (Call* call = function.queue.front())
      finish_error(*call, Code::shutting_down, "the engine shut down before a worker was free");
  });
  calls_.each([&](InvocationId, Call& call) {
    if (!call.finished)
      finish_error(call, Code::shutting_down, "the engine shut down while the call ran");
  });
  pool_.close();
}

}  // namespace hearth
