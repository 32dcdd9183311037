#include "tests/sim/simulator.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

namespace hearth::sim {
namespace {

constexpr seconds kPatience{
    120};  // no call may be open for longer, whatever happens: see README.md for the sum
constexpr uint32_t kFunctions = 5;

}  // namespace

Limits Simulator::make_limits(Random& random) {
  Limits limits;
  limits.calls_max = random.between(40, 300);
  limits.queue_default = random.between(20, 200);
  limits.queue_time = milliseconds(random.between(300, 2'000));
  limits.functions_max = 64;  // removed ones keep their slot until their last worker has gone
  limits.workers_max = random.between(6, 24);
  limits.workers_function_default = random.between(2, 12);
  limits.memory_budget = mebibytes(
      random.between(1'536, 2'560));  // every workers_min (5 x 256) and one more worker fit
  limits.idle_timeout = seconds(random.between(1, 10));
  limits.freeze_after = milliseconds(random.chance(200) ? 0 : random.between(10, 100));
  limits.init_timeout = milliseconds(400);
  limits.boot_timeout = milliseconds(500);
  limits.zygote_spares = random.below(5);
  return limits;
}

Simulator::Simulator(const RunOptions& options)
    : options_(options),
      random_(options.seed),
      limits_(make_limits(random_)),
      timers_(clock_.now()),
      buffers_(mebibytes(4)),
      processes_(clock_, ledger_, random_, limits_),
      started_(clock_.now()) {
  core_ = std::make_unique<Dispatcher>(processes_, timers_, clock_, buffers_, limits_);
  core_->test_faults().forget_calls_of_lost_worker = options.forget_calls_of_lost_worker;
  processes_.set_engine(*core_);
  if (random_.chance(400)) core_->pool().set_keep_alive(KeepAlivePolicy::histogram);
  choose_faults();
  functions_.resize(kFunctions);
  for (uint32_t i = 0; i < kFunctions; ++i) {
    functions_[i].name = fmt::format("function-{}", i);
    deploy(functions_[i]);
  }
  if (random_.chance(700)) {
    core_->pool().set_parked_target(Runtime::python3, random_.below(3));
    core_->pool().set_parked_target(Runtime::nodejs, random_.below(3));
  }
}

Simulator::~Simulator() = default;

// One seed in five has no faults: there, no call may fail by a worker's doing. The others have some
// of them, at their own rates.
void Simulator::choose_faults() {
  calm_ = random_.below(5) == 0 && !options_.forget_calls_of_lost_worker;
  if (calm_) return;
  Faults& faults = processes_.faults();
  for (uint32_t* rate :
       {&faults.start, &faults.init, &faults.crash, &faults.hang, &faults.garbage, &faults.silence,
        &faults.delay, &faults.leave, &faults.socket, &faults.fork}) {
    if (random_.chance(700))
      *rate = random_.chance(200) ? random_.between(50, 300) : random_.between(1, 40);
  }
  if (options_.forget_calls_of_lost_worker) faults.crash = 50;
}

void Simulator::deploy(FakeFunction& function) {
  auto spec = std::make_shared<FunctionSpec>();
  spec->name = function.name;
  spec->runtime = static_cast<Runtime>(random_.below(kWorkerRuntimeCount));
  spec->handler = "app.handler";
  spec->timeout = milliseconds(random_.between(150, 800));
  spec->memory_bytes = mebibytes(random_.between(64, 256));
  spec->concurrency.per_worker = random_.chance(600) ? 1 : random_.between(2, 8);
  spec->concurrency.workers_min = random_.chance(200) ? 1 : 0;
  spec->concurrency.workers_max = random_.chance(500) ? 0 : random_.between(1, 6);
  spec->leftovers = static_cast<Leftovers>(random_.chance(500) ? 0 : random_.between(1, 2));
  if (random_.chance(300)) spec->recycle.max_calls = random_.between(1, 40);
  if (random_.chance(200)) spec->recycle.max_age = milliseconds(random_.between(1'000, 5'000));
  if (random_.chance(200)) spec->recycle.max_rss = mebibytes(random_.between(18, 60));
  spec->revision =
      fmt::format("{}-{}-{}", function.name, function.generation, ++function.revisions);
  function.history.push_back(spec);
  function.id = core_->upsert(spec);
  if (!function.id) violation("a function could not be deployed");
}

void Simulator::remove(FakeFunction& function) {
  if (!core_->remove(function.name)) violation("a function that was there could not be removed");
  function.id = {};
  function.history.clear();
  ++function.generation;
}

// ---- what callers do

void Simulator::submit(bool from_done) {
  const uint32_t index = random_.below(kFunctions);
  FakeFunction& function = functions_[index];
  const uint64_t tag = ledger_.next_tag();
  payload_.assign(random_.chance(950) ? random_.between(8, 300) : random_.between(300, 9'000), 'p');
  std::memcpy(payload_.data(), &tag, sizeof tag);
  CallRequest request;
  request.function = function.id;
  request.payload.bytes = payload_;
  if (random_.chance(100)) request.extension = R"({"traceId":"1-2"})";
  if (random_.chance(300)) {
    request.payload.owner = buffers_.take(payload_.size());
    if (request.payload.owner) {
      request.payload.owner.append(payload_);
      request.payload.bytes = request.payload.owner.view();
    }
  }
  const bool own_deadline = !recovering_ && random_.chance(50);
  if (own_deadline) request.deadline = clock_.now() + microseconds(random_.below(400'000));
  request.want_tail = random_.chance(50);
  request.done = DoneFn::to<&Simulator::on_done>(this);
  submitting_ = true;
  Result<InvocationId> submitted = core_->submit(std::move(request));
  submitting_ = false;
  if (!submitted) {
    ++result_.refused;
    const Code code = submitted.error().code;
    const bool expected = (code == Code::function_unknown && !function.id) ||
                          code == Code::queue_full || code == Code::calls_full ||
                          code == Code::buffers_full || (code == Code::shutting_down && closing_);
    if (!expected) violation(fmt::format("submit() refused with {}", name(code)));
    return;
  }
  if (closing_ && !from_done) violation("submit() accepted a call while the core drains");
  CallRecord& record = ledger_.open(*submitted);
  record.function = index;
  record.generation = function.generation;
  record.submitted = clock_.now();
  record.own_deadline = own_deadline;
}

void Simulator::submit_burst() {
  const uint32_t count = random_.between(2, 60);
  for (uint32_t i = 0; i < count; ++i) submit(false);
}

void Simulator::abandon() {
  if (ledger_.open_calls() == 0) return;
  const InvocationId id =
      ledger_.order()[random_.below(static_cast<uint32_t>(ledger_.open_calls()))];
  ledger_.abandon(id);
  core_->abandon(id);
  if (random_.chance(200)) core_->abandon(id);  // twice is a no-op
  ++result_.abandoned;
}

void Simulator::on_done(InvocationId id, const Outcome& outcome) {
  if (submitting_) violation("`done` ran inside submit()");
  check_outcome(ledger_.end(id), outcome);
  if (!closing_ && random_.chance(30)) submit(true);
  if (random_.chance(20)) abandon();
}

void Simulator::check_outcome(const CallRecord& record, const Outcome& outcome) {
  const auto tag = static_cast<uint64_t>(&record - &ledger_.call(0));
  const FakeFunction& function = functions_[record.function];
  if (outcome.spec == nullptr || *outcome.spec == nullptr) violation("an outcome has no revision");
  if (record.generation == function.generation) {
    const bool had = std::find(function.history.begin(), function.history.end(), *outcome.spec) !=
                     function.history.end();
    if (!had) violation("an outcome has a revision that its function never had");
  }
  if ((*outcome.spec)->name != function.name)
    violation("a call was answered by a worker of another function");
  const bool answered =
      outcome.kind == Outcome::Kind::reply ||
      (outcome.kind == Outcome::Kind::function_error && outcome.code == Code::function_failed);
  if (answered) {
    ++result_.replies;
    if (!record.replied) violation("a reply came that no worker had sent");
    if (outcome.payload != fmt::format("reply {}", tag))
      violation("a call got another call's reply");
    if (record.ran != *outcome.spec)
      violation("a reply is said to be of a revision that did not run it");
    return;
  }
  ++result_.errors;
  const bool by_worker =
      info(outcome.code).fault == Fault::function || outcome.code == Code::worker_start_failed;
  const bool own = outcome.code == Code::deadline_exceeded && record.own_deadline;
  // A call whose caller gave it too little time takes its worker with it, and what that had begun
  // at the same time.
  const bool collateral =
      outcome.code == Code::worker_lost && (*outcome.spec)->concurrency.per_worker > 1;
  if (calm_ && by_worker && !own && !collateral)
    violation(fmt::format("a call ended with {} although nothing went wrong: {}",
                          name(outcome.code), outcome.detail));
  if (recovering_) {
    violation(fmt::format("call {} ended with {} after the faults were over: {} ({})", tag,
                          name(outcome.code), outcome.detail,
                          record.replied   ? "replied"
                          : record.started ? "started"
                                           : "not started"));
  }
}

// ---- steps

// The clock moves to the next event, and what is due happens.
void Simulator::jump(nanoseconds at_most) {
  const MonotonicTime now = clock_.now();
  const milliseconds timer = timers_.until_next(now, milliseconds(5'000));
  const MonotonicTime next = std::min({now + at_most, now + timer, processes_.next()});
  if (next > now) clock_.advance(next - now);
  const uint32_t batch = random_.between(1, 8);
  if (random_.chance(500)) {
    timers_.advance(clock_.now());
    processes_.run(batch);
  } else {
    processes_.run(batch);
    timers_.advance(clock_.now());
  }
}

void Simulator::step() {
  const uint32_t what = random_.below(1'000);
  FakeFunction& function = functions_[random_.below(kFunctions)];
  if (what < 640) {
    jump(seconds(1));
  } else if (what < 900) {
    submit(false);
  } else if (what < 910) {
    submit_burst();
  } else if (what < 945) {
    abandon();
  } else if (what < 952) {
    if (function.id) deploy(function);
  } else if (what < 954) {
    if (function.id) remove(function);
  } else if (what < 960) {
    if (!function.id) deploy(function);
  } else if (what < 962) {
    core_->pool().set_parked_target(static_cast<Runtime>(random_.below(2)), random_.below(3));
  } else if (what < 968) {
    if (!calm_) processes_.crash_one();
  } else if (what < 970) {
    clock_.advance(
        milliseconds(random_.between(1, calm_ ? 20 : 3'000)));  // the machine stood still
    timers_.advance(clock_.now());
  } else {
    const MonotonicTime until = clock_.now() + microseconds(random_.between(100, 20'000));
    while (clock_.now() < until) {
      jump(until - clock_.now());
      processes_.flush();
      core_->deliver();
    }
  }
}

void Simulator::settle() {
  core_->deliver();
  processes_.flush();
  check();
}

void Simulator::check() {
  core_->check_invariants();
  const DispatcherStats& stats = core_->stats();
  if (stats.submitted != stats.finished + stats.in_flight)
    violation("submitted is not finished + in flight");
  if (stats.submitted != ledger_.submitted())
    violation("the core counts other submissions than its callers");
  if (stats.in_flight != ledger_.open_calls())
    violation(fmt::format("{} calls are in flight, but {} callers wait", stats.in_flight,
                          ledger_.open_calls()));
  if (core_->pool().stats().memory_charged > limits_.memory_budget)
    violation("the memory budget is passed");
  if (ledger_.open_calls() != 0 && random_.chance(20)) {
    const InvocationId id =
        ledger_.order()[random_.below(static_cast<uint32_t>(ledger_.open_calls()))];
    if (clock_.now() - ledger_.call(ledger_.tag(id)).submitted > kPatience)
      violation("a call waits for ever");
  }
}

// ---- the end of a run

void Simulator::finish_open_calls(seconds within, const char* phase) {
  const MonotonicTime end = clock_.now() + within;
  while (ledger_.open_calls() != 0) {
    if (clock_.now() >= end)
      violation(fmt::format("{} calls have not ended {} s after the last one came ({})",
                            ledger_.open_calls(), within.count(), phase));
    jump(seconds(1));
    settle();
  }
}

// With all faults switched off, every function has to work again: a call that is made then gets its
// reply.
void Simulator::check_recovery() {
  processes_.faults() = Faults{};
  calm_ = false;
  const bool forgets = options_.forget_calls_of_lost_worker;
  finish_open_calls(kPatience, "faults are over");
  const MonotonicTime backed_off = clock_.now() + seconds(31);  // the longest back-off is 30 s
  while (clock_.now() < backed_off) {
    jump(seconds(1));
    settle();
    if (ledger_.open_calls() != 0) finish_open_calls(kPatience, "resubmitted");
  }
  recovering_ = !forgets;
  for (uint32_t i = 0; i < kFunctions; ++i) {
    if (!functions_[i].id) deploy(functions_[i]);
  }
  for (uint32_t round = 0; round < 10; ++round) {
    submit(false);
    settle();
    finish_open_calls(seconds(10), "recovery");
  }
}

void Simulator::drain() {
  recovering_ = false;
  for (uint32_t i = 0; i < 20; ++i) submit(false);
  closing_ = true;
  core_->begin_drain();
  for (uint32_t i = 0; i < 20; ++i) {
    submit(false);
    jump(milliseconds(10));
    settle();
  }
  core_->close();
  core_->close();
  settle();
  if (ledger_.open_calls() != 0 || !core_->idle()) violation("close() left calls in flight");
  const MonotonicTime end = clock_.now() + seconds(5);
  while (processes_.alive() != 0) {
    if (clock_.now() >= end) violation("a worker outlives close()");
    jump(seconds(1));
    settle();
  }
  if (core_->pool().workers() != 0) violation("the pool counts workers that have exited");
  if (core_->pool().stats().memory_charged != 0)
    violation("memory stays charged after every worker's exit");
}

RunResult Simulator::run() {
  for (uint32_t i = 0; i < options_.steps; ++i) {
    step();
    settle();
  }
  check_recovery();
  drain();
  result_.submitted = ledger_.submitted();
  result_.workers = core_->pool().stats().starts;
  result_.simulated_seconds = std::chrono::duration<double>(clock_.now() - started_).count();
  core_.reset();
  if (buffers_.bytes_taken() != 0) violation("buffers were not given back");
  if (timers_.armed() != 0) violation("timers are armed after the end");
  return result_;
}

}  // namespace hearth::sim
