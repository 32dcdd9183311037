#include "tests/sim/fake_processes.h"

#include <fmt/core.h>
#include <signal.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace hearth::sim {
namespace {

constexpr uint32_t kLost = UINT32_MAX;  // an answer of clear_leftovers

}  // namespace

FakeProcesses::FakeWorker* FakeProcesses::find(WorkerId id) {
  if (id.slot >= workers_.size()) return nullptr;
  FakeWorker& worker =
      exiting_.stage != Stage::none && exiting_.id == id ? exiting_ : workers_[id.slot];
  return worker.stage != Stage::none && worker.id == id ? &worker : nullptr;
}

FakeProcesses::FakeWorker& FakeProcesses::known(WorkerId id, const char* asked) {
  FakeWorker* worker = find(id);
  if (worker == nullptr) violation(fmt::format("{} for a worker whose exit was reported", asked));
  if (worker->frozen) violation(fmt::format("{} for a worker that is frozen", asked));
  return *worker;
}

void FakeProcesses::plan(Kind kind, const FakeWorker& worker, uint32_t after_us, InvocationId call,
                         uint32_t argument) {
  events_.push(
      Event{clock_.now() + microseconds(after_us), ++sequence_, kind, worker.id, call, argument});
}

void FakeProcesses::plan_death(FakeWorker& worker, uint32_t after_us, int wait_status) {
  if (worker.dying) return;
  worker.dying = true;
  worker.exit.wait_status = wait_status;
  worker.exit.out_of_memory = wait_status == SIGKILL && random_.chance(100);
  plan(Kind::die, worker, after_us);
}

uint32_t FakeProcesses::control_delay_us(const FakeWorker& worker) {
  if (random_.chance(faults_.delay)) return random_.between(1'000, 250'000);
  return worker.runtime == Runtime::nodejs ? random_.between(20, 2'000) : random_.between(20, 300);
}

// ---- what the engine asks for

void FakeProcesses::start(WorkerId id, const WorkerShape& shape, const FunctionSpecPtr& spec) {
  if (id.slot >= workers_.size()) violation("more workers than limits.workers");
  FakeWorker& worker = workers_[id.slot];
  if (worker.stage != Stage::none)
    violation("a worker was started in a slot whose last one has not exited");
  worker = FakeWorker{};
  worker.id = id;
  worker.stage = Stage::booting;
  worker.runtime = shape.runtime;
  worker.deaf = random_.chance(faults_.delay);
  if (spec != nullptr && spec->runtime != shape.runtime)
    violation("a worker was started with the wrong runtime");
  if (!random_.chance(faults_.start)) {
    plan(Kind::hello, worker, random_.between(500, 30'000));
    return;
  }
  switch (random_.below(3)) {
    case 0:
      worker.exit.start_failed = true;
      worker.exit.detail = "no such interpreter";
      plan_death(worker, random_.between(10, 1'000), 0);
      break;
    case 1:
      plan_death(worker, random_.between(10, 5'000), SIGSEGV);
      break;
    default:
      break;  // never says HELLO
  }
}

void FakeProcesses::start_zygote(WorkerId id, const FunctionSpecPtr& spec) {
  if (spec->zygote == Zygote::off) violation("a zygote for a function that wants none");
  start(id, {spec->runtime, spec->interpreter, spec->memory_bytes, spec->network, spec->tmp_bytes},
        spec);
  workers_[id.slot].mould = true;
}

void FakeProcesses::fork(WorkerId id, WorkerId zygote_id, const FunctionSpecPtr& spec) {
  const FakeWorker& zygote = known(zygote_id, "fork");
  if (zygote.leaving) violation("fork of a zygote that was told to leave");
  if (zygote.stage != Stage::mould && zygote.stage != Stage::dead)
    violation("fork of a worker that is no zygote, or not yet");
  if (zygote.spec != spec) violation("a fork for another revision than the zygote's");
  FakeWorker& worker = workers_[id.slot];
  if (worker.stage != Stage::none) violation("a fork into a slot whose last one has not exited");
  worker = FakeWorker{};
  worker.id = id;
  worker.stage = Stage::booting;
  worker.runtime = spec->runtime;
  worker.spec = spec;
  worker.forked = true;
  if (zygote.stage == Stage::mould && !random_.chance(faults_.fork)) {
    plan(Kind::hello, worker, random_.between(200, 20'000));
    return;
  }
  switch (zygote.stage == Stage::dead ? 0 : random_.below(3)) {
    case 0:
      worker.exit.start_failed = true;
      worker.exit.detail = "the zygote did not fork";
      plan_death(worker, random_.between(10, 5'000), 0);
      break;
    case 1:
      plan_death(worker, random_.between(10, 5'000), SIGSEGV);
      break;
    default:
      break;  // says nothing
  }
}

// A forked worker that lives hears that its function needs it.
void FakeProcesses::wake(FakeWorker& worker) {
  worker.stage = Stage::loading;
  if (!random_.chance(faults_.fork)) {
    plan(Kind::ready, worker, random_.between(100, 3'000));
    return;
  }
  switch (random_.below(3)) {
    case 0:
      plan(Kind::init_error, worker, random_.between(100, 5'000));
      break;
    case 1:
      plan_death(worker, random_.between(10, 5'000), SIGSEGV);
      break;
    default:
      break;  // its hooks never end
  }
}

void FakeProcesses::bind(WorkerId id, const FunctionSpecPtr& spec) {
  FakeWorker& worker = known(id, "bind");
  if (worker.leaving) violation("bind for a worker that was told to leave");
  if (worker.forked) {
    if (worker.wanted) violation("a second bind for a forked worker");
    if (worker.spec != spec) violation("a forked worker was bound to another revision");
    worker.wanted = true;
    if (worker.stage == Stage::parked) wake(worker);
    return;
  }
  if (worker.stage == Stage::dead) return;
  if (worker.stage != Stage::parked || worker.spec != nullptr)
    violation("bind for a worker that is not parked");
  if (worker.runtime != spec->runtime) violation("bind for a worker of another runtime");
  worker.spec = spec;
  worker.stage = Stage::loading;
  if (!random_.chance(faults_.init)) {
    const bool refuses = worker.mould && random_.chance(100);
    plan(!worker.mould ? Kind::ready
         : refuses     ? Kind::refused
                       : Kind::moulded,
         worker, random_.between(300, 60'000));
    return;
  }
  switch (random_.below(3)) {
    case 0:
      plan(Kind::init_error, worker, random_.between(300, 20'000));
      break;
    case 1:
      plan_death(worker, random_.between(10, 20'000), random_.chance(500) ? SIGSEGV : 1 << 8);
      break;
    default:
      break;  // loads for ever
  }
}

void FakeProcesses::send(WorkerId id, CallFrame&& frame) {
  FakeWorker& worker = known(id, "send");
  if (worker.leaving) violation("a call was sent to a worker that was told to leave");
  if (worker.clearing) violation("a call was sent to a worker whose leftovers are looked at");
  if (worker.stage != Stage::ready && worker.stage != Stage::dead)
    violation("a call was sent to a worker that is not ready");
  FakeCall call;
  call.id = frame.id;
  if (frame.payload.size() < sizeof call.tag) violation("a payload was cut");
  std::memcpy(&call.tag, frame.payload.data(), sizeof call.tag);
  const uint32_t window = worker.spec->concurrency.per_worker + limits_.prefetch_max;
  worker.calls.push_back(call);
  if (worker.calls.size() > window)
    violation("a worker got more calls than per_worker and prefetch allow");
  if (!worker.outbox) outboxes_.push_back(id);
  worker.outbox = true;
}

void FakeProcesses::cancel(WorkerId id, InvocationId call) {
  FakeWorker& worker = known(id, "cancel");
  for (FakeCall& c : worker.calls) {
    if (c.id == call && c.started && c.fate == Fate::hang && random_.chance(500)) {
      c.fate = Fate::error;
      plan(Kind::call_end, worker, random_.between(10, 1'000), call);
    }
  }
}

void FakeProcesses::recall(WorkerId id, InvocationId call) {
  FakeWorker& worker = known(id, "recall");
  if (random_.chance(faults_.silence)) return;
  plan(Kind::handback, worker, control_delay_us(worker), call);
}

void FakeProcesses::ping(WorkerId id, uint16_t sequence) {
  FakeWorker& worker = known(id, "ping");
  if (random_.chance(faults_.silence)) return;
  plan(Kind::pong, worker, control_delay_us(worker), {}, sequence);
}

void FakeProcesses::stop(WorkerId id) {
  FakeWorker& worker = known(id, "stop");
  if (!worker.calls.empty()) violation("STOP for a worker that holds calls");
  worker.leaving = true;
  const bool ignores = random_.chance(faults_.hang);
  const auto grace = static_cast<uint32_t>(microseconds(limits_.stop_grace).count());
  plan_death(worker, ignores ? grace : random_.between(50, 20'000), ignores ? SIGKILL : 0);
}

void FakeProcesses::kill(WorkerId id) {
  FakeWorker& worker = known(id, "kill");
  worker.leaving = true;
  worker.exit.killed_by_engine = true;
  plan_death(worker, random_.between(20, 2'000), SIGKILL);
}

void FakeProcesses::freeze(WorkerId id) {
  FakeWorker& worker = known(id, "freeze");
  if (worker.stage != Stage::ready && worker.stage != Stage::dead)
    violation("a worker was frozen that is not ready");
  if (!worker.calls.empty()) violation("a worker was frozen that holds calls");
  if (worker.leaving) violation("a worker was frozen that was told to leave");
  if (worker.spec->leftovers == Leftovers::kill)
    violation("a worker was frozen whose function wants its processes killed");
  worker.frozen = true;
}

void FakeProcesses::clear_leftovers(WorkerId id, Leftovers how) {
  FakeWorker& worker = known(id, "clear_leftovers");
  if (worker.stage != Stage::ready && worker.stage != Stage::dead)
    violation("a worker was cleared that is not ready");
  if (!worker.calls.empty()) violation("a worker was cleared that holds calls");
  if (worker.leaving || worker.clearing) violation("a worker was cleared twice, or on its way out");
  if (worker.spec->leftovers != how || how == Leftovers::freeze)
    violation("a worker was cleared in a way that its function does not ask for");
  worker.frozen = worker.clearing = true;
  const uint32_t count = random_.chance(700) ? 0 : random_.between(1, 5);
  plan(Kind::cleared, worker, random_.between(20, 5'000), {}, random_.chance(20) ? kLost : count);
}

// What it would have said meanwhile comes now; now and then it takes long to get going.
void FakeProcesses::thaw(WorkerId id) {
  FakeWorker* worker = find(id);
  if (worker == nullptr || !worker->frozen) violation("a thaw for a worker that is not frozen");
  worker->frozen = false;
  for (Event& event : worker->held) {
    event.at = clock_.now();
    events_.push(event);
  }
  worker->held.clear();
  if (!worker->blocked && random_.chance(faults_.delay)) {
    worker->blocked = true;
    plan(Kind::unblock, *worker, random_.between(1'000, 30'000));
  }
}

std::string_view FakeProcesses::log_tail(WorkerId id, InvocationId) {
  if (find(id) == nullptr) violation("log_tail for a worker whose exit was reported");
  return "the last words of a worker";
}

bool FakeProcesses::any_byte_sent(WorkerId id, InvocationId call) const {
  const FakeWorker* worker = find(id);
  if (worker == nullptr) violation("any_byte_sent for a worker whose exit was reported");
  for (const FakeCall& c : worker->calls) {
    if (c.id == call) return c.sent;
  }
  return true;
}

uint64_t FakeProcesses::memory_peak(WorkerId) const { return mebibytes(17); }
// Grows with the calls that it has run.
uint64_t FakeProcesses::memory_now(WorkerId id) const {
  const FakeWorker* worker = find(id);
  if (worker == nullptr) violation("memory_now for a worker whose exit was reported");
  return mebibytes(17 + worker->begun);
}
StartTimes FakeProcesses::start_times(WorkerId) const {
  return {.sandbox_us = 300, .runtime_us = 17'000};
}

// ---- time

void FakeProcesses::flush() {
  replies_.clear();
  for (const WorkerId id : outboxes_) {
    FakeWorker* worker = find(id);
    if (worker == nullptr || worker->stage == Stage::dead || worker->blocked) continue;
    if (random_.chance(faults_.socket)) {
      worker->blocked = true;
      plan(Kind::unblock, *worker, random_.between(10, 30'000));
      continue;
    }
    for (FakeCall& call : worker->calls) call.sent = true;
    worker->outbox = false;
    execute(*worker);
  }
  outboxes_.clear();
}

MonotonicTime FakeProcesses::next() const {
  return events_.empty() ? MonotonicTime::max() : events_.top().at;
}

void FakeProcesses::run(uint32_t most) {
  while (most-- != 0 && !events_.empty() && events_.top().at <= clock_.now()) {
    const Event event = events_.top();
    events_.pop();
    happen(event);
  }
}

void FakeProcesses::crash_one() {
  FakeWorker& worker = workers_[random_.below(static_cast<uint32_t>(workers_.size()))];
  if (worker.stage != Stage::none && worker.stage != Stage::dead)
    plan_death(worker, 0, random_.chance(200) ? SIGSYS : SIGSEGV);
}

size_t FakeProcesses::alive() const {
  return static_cast<size_t>(
      std::count_if(workers_.begin(), workers_.end(),
                    [](const FakeWorker& w) { return w.stage != Stage::none; }));
}

size_t FakeProcesses::executing(const FakeWorker& worker) {
  return static_cast<size_t>(std::count_if(worker.calls.begin(), worker.calls.end(),
                                           [](const FakeCall& c) { return c.started; }));
}

void FakeProcesses::execute(FakeWorker& worker) {
  if (worker.stage != Stage::ready) return;
  size_t running = executing(worker);
  for (FakeCall& call : worker.calls) {
    if (running >= worker.spec->concurrency.per_worker) return;
    if (call.started || !call.sent) continue;
    begin(worker, call);
    ++running;
  }
}

void FakeProcesses::begin(FakeWorker& worker, FakeCall& call) {
  ledger_.start(call.tag, worker.spec);
  call.started = true;
  ++worker.begun;
  const uint32_t most = worker.spec->recycle.max_calls;
  if (most != 0 && worker.begun > most) violation("a worker ran more calls than recycle.max_calls");
  call.exec_us = random_.chance(900) ? random_.between(5, 400) : random_.between(2'000, 60'000);
  if (random_.chance(faults_.hang)) {
    call.fate = Fate::hang;
    return;
  }
  if (random_.chance(faults_.crash)) {
    call.fate = random_.chance(500) ? Fate::crash : Fate::crash_after_reply;
  } else if (random_.chance(faults_.garbage)) {
    call.fate = random_.chance(500) ? Fate::second_reply : Fate::too_large;
    worker.liar = true;
  } else if (random_.chance(30)) {
    call.fate = Fate::error;
  }
  plan(Kind::call_end, worker, call.exec_us, call.id);
}

void FakeProcesses::happen(const Event& event) {
  FakeWorker* worker = find(event.worker);
  if (worker == nullptr) return;
  if (event.kind == Kind::exit) {
    exiting_ = std::exchange(*worker, FakeWorker{});  // the core may start another in its slot at
                                                      // once, and asks for any_byte_sent before
    engine_->on_worker_exit(event.worker, exiting_.exit);
    exiting_ = FakeWorker{};
    return;
  }
  if (worker->stage == Stage::dead) return;
  if (event.kind == Kind::cleared) {
    worker->clearing = false;
    if (event.argument == kLost) plan_death(*worker, random_.below(500), SIGKILL);
    engine_->on_leftovers(event.worker, event.argument == kLost ? 0 : event.argument,
                          event.argument == kLost);
    return;
  }
  if (worker->frozen && event.kind != Kind::die) {
    worker->held.push_back(event);
    return;
  }
  if (event.kind == Kind::die) {
    worker->stage = Stage::dead;
    plan(Kind::exit, *worker, random_.below(500));
    return;
  }
  if (event.kind == Kind::unblock) {
    worker->blocked = false;
    outboxes_.push_back(worker->id);
    return;
  }
  if (event.kind == Kind::call_end) return end_call(*worker, event.call);
  if (event.kind == Kind::handback) return hand_back(*worker, event.call, event.argument);
  if (worker->muted) return;
  if (random_.chance(faults_.garbage)) talk_nonsense(*worker);
  speak(event, *worker);
}

// What a worker says by itself.
void FakeProcesses::speak(const Event& event, FakeWorker& worker) {
  switch (event.kind) {
    case Kind::hello:
      if (worker.wanted) return wake(worker);
      if (worker.stage == Stage::booting) worker.stage = Stage::parked;
      engine_->on_worker_parked(event.worker);
      return;
    case Kind::ready:
      worker.stage = Stage::ready;
      engine_->on_worker_ready(event.worker, random_.chance(500) ? 1'234 : 80'000);
      return;
    case Kind::moulded:
      worker.stage = Stage::mould;
      engine_->on_zygote_ready(event.worker, 80'000);
      return;
    case Kind::refused:
      engine_->on_zygote_refused(event.worker, "there are 2 threads");
      return;
    case Kind::init_error:
      plan_death(worker, random_.below(3'000), 1 << 8);
      engine_->on_worker_init_failed(event.worker, R"({"errorMessage":"no module named x"})");
      return;
    case Kind::pong:
      if (worker.deaf && executing(worker) != 0 && event.argument < 0x1'0000) return;
      engine_->on_pong(event.worker, static_cast<uint16_t>(event.argument));
      return;
    default:
      return;
  }
}

void FakeProcesses::reply(FakeWorker& worker, InvocationId id, uint64_t tag, bool is_error,
                          uint32_t exec_us, bool last, bool lingers) {
  if (worker.muted) return;
  replies_.push_back(fmt::format("reply {}", tag));
  WorkerReply answer;
  answer.payload = replies_.back();
  answer.is_error = is_error;
  answer.exec_us = exec_us;
  answer.last = last;
  answer.lingers = lingers;
  refused(worker, engine_->on_reply(worker.id, id, answer), "REPLY");
}

// As the channel does it: what the core refuses is a violation, and nothing more is read.
void FakeProcesses::refused(FakeWorker& worker, bool accepted, const char* frame) {
  if (accepted) return;
  if (!worker.liar) violation(fmt::format("the core refused an honest worker's {}", frame));
  worker.muted = true;
  engine_->on_violation(worker.id, "an id that the worker does not have");
}

void FakeProcesses::end_call(FakeWorker& worker, InvocationId id) {
  const WorkerId worker_id = worker.id;
  const auto found = std::find_if(worker.calls.begin(), worker.calls.end(),
                                  [&](const FakeCall& c) { return c.id == id; });
  if (found == worker.calls.end()) return;
  const FakeCall call = *found;
  if (call.fate == Fate::crash) {
    plan_death(worker, 0, random_.chance(300) ? SIGKILL : SIGSEGV);
    return;
  }
  worker.calls.erase(found);
  if (!worker.muted) {
    ledger_.call(call.tag).replied = true;
    if (call.fate == Fate::too_large) {
      refused(worker, engine_->on_reply_too_large(worker.id, id, false), "REPLY that is too large");
      if (random_.chance(500)) engine_->deliver();
    }
    if (random_.chance(50)) {  // as a worker that has more to do when its caller has the reply
      reply(worker, id, call.tag, call.fate == Fate::error, call.exec_us, false, true);
      if (random_.chance(500)) engine_->deliver();
    }
    const bool last = executing(worker) == 0 && random_.chance(faults_.leave);
    if (last && random_.chance(500)) leave(worker);
    reply(worker, id, call.tag, call.fate == Fate::error, call.exec_us, last);
    if (last) leave(worker);
  }
  FakeWorker* still = find(worker_id);
  if (still == nullptr) violation("a worker was forgotten before its exit");
  if (call.fate == Fate::crash_after_reply) plan_death(*still, 0, SIGSEGV);
  if (call.fate == Fate::second_reply) reply(*still, id, call.tag, false, call.exec_us);
  execute(*still);
}

// It ends in peace: what it has not started goes back, although nobody asked for it.
void FakeProcesses::leave(FakeWorker& worker) {
  const WorkerId id = worker.id;
  std::vector<InvocationId> waiting;
  for (const FakeCall& call : worker.calls) {
    if (call.sent && !call.started) waiting.push_back(call.id);
  }
  for (const InvocationId call : waiting) {
    std::erase_if(worker.calls, [&](const FakeCall& c) { return c.id == call; });
    if (!worker.muted) refused(worker, engine_->on_handback(id, call), "HANDBACK");
  }
  plan_death(worker, random_.between(10, 5'000), 0);
}

// RECALL has reached the worker: it gives back what it has not started.
void FakeProcesses::hand_back(FakeWorker& worker, InvocationId id, uint32_t tries) {
  if (worker.deaf && executing(worker) != 0 && tries < 1'000) {
    plan(Kind::handback, worker, 500, id, tries + 1);
    return;
  }
  const auto found = std::find_if(worker.calls.begin(), worker.calls.end(),
                                  [&](const FakeCall& c) { return c.id == id; });
  if (found == worker.calls.end() || found->started) return;
  worker.calls.erase(found);
  if (worker.muted) return;
  const WorkerId worker_id = worker.id;
  refused(worker, engine_->on_handback(worker_id, id), "HANDBACK");
  if (random_.chance(faults_.garbage)) {
    FakeWorker& again = known(worker_id, "handback");
    // Not when the core has sent it here anew: nobody could tell that lie from an unasked handback.
    const bool anew = std::any_of(again.calls.begin(), again.calls.end(),
                                  [&](const FakeCall& c) { return c.id == id; });
    if (anew) return;
    again.liar = true;
    if (!again.muted) refused(again, engine_->on_handback(worker_id, id), "HANDBACK");
  }
}

// Frames that no honest worker sends.
void FakeProcesses::talk_nonsense(FakeWorker& worker) {
  const InvocationId made_up{random_.below(limits_.calls_max + 10), random_.below(200)};
  const auto own = std::any_of(worker.calls.begin(), worker.calls.end(),
                               [&](const FakeCall& c) { return c.id == made_up; });
  const WorkerId id = worker.id;
  worker.liar = true;
  switch (random_.below(8)) {
    case 0:
      if (worker.stage != Stage::booting) engine_->on_worker_parked(id);
      break;
    case 1:
      // Before its HELLO the channel itself refuses it.
      if (worker.stage != Stage::loading && !(worker.forked && worker.stage == Stage::booting))
        engine_->on_worker_ready(id, 0);
      break;
    case 2:
      engine_->on_worker_init_failed(id, "{}");
      break;
    case 3:
      if (!own) refused(worker, engine_->on_handback(id, made_up), "HANDBACK");
      break;
    case 4:
      engine_->on_pong(id, static_cast<uint16_t>(random_.below(3)));
      break;
    case 5:
      engine_->on_zygote_ready(id, 1);
      break;
    case 6:
      engine_->on_zygote_refused(id, "no reason");
      break;
    default:
      if (!own) reply(worker, made_up, 0, false, 4'000'000'000u);
  }
}

}  // namespace hearth::sim
