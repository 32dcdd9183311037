// For tests of the core: a dispatcher on a manual clock, over processes that only write down what
// they are asked. The test is the world: it says when a worker boots, replies or dies. After each
// event the rig delivers and checks the invariants.
#pragma once
#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/buffer_pool.h"
#include "base/timer_wheel.h"
#include "core/dispatcher.h"
#include "tests/catch.h"

namespace hearth {

struct Ask {
  enum class What : uint8_t {
    start,
    bind,
    send,
    cancel,
    recall,
    go_on,
    ping,
    stop,
    kill,
    freeze,
    thaw,
    clear,
    zygote,
    fork
  };
  What what;
  WorkerId worker;
  InvocationId call{};
  FunctionSpecPtr spec{};
  uint16_t sequence = 0;
  Deadline deadline{};
  std::string payload{};
  std::string extension{};
  WorkerShape shape{};
  WorkerId zygote{};
};

class FakeLink final : public WorkerLink {
 public:
  void start(WorkerId w, const WorkerShape& shape, const FunctionSpecPtr& spec) override {
    asks.push_back({.what = Ask::What::start, .worker = w, .spec = spec, .shape = shape});
  }
  void bind(WorkerId w, const FunctionSpecPtr& spec) override {
    asks.push_back({.what = Ask::What::bind, .worker = w, .spec = spec});
  }
  void send(WorkerId w, CallFrame&& f) override {
    asks.push_back({.what = Ask::What::send,
                    .worker = w,
                    .call = f.id,
                    .deadline = f.deadline,
                    .payload = std::string(f.payload),
                    .extension = std::string(f.extension)});
  }
  void cancel(WorkerId w, InvocationId c) override {
    asks.push_back({.what = Ask::What::cancel, .worker = w, .call = c});
  }
  void go_on(WorkerId w, InvocationId c) override {
    asks.push_back({.what = Ask::What::go_on, .worker = w, .call = c});
  }
  void recall(WorkerId w, InvocationId c) override {
    asks.push_back({.what = Ask::What::recall, .worker = w, .call = c});
  }
  void ping(WorkerId w, uint16_t sequence) override {
    asks.push_back({.what = Ask::What::ping, .worker = w, .sequence = sequence});
  }
  bool has_zygotes() const override { return zygotes; }
  void start_zygote(WorkerId w, const FunctionSpecPtr& spec) override {
    asks.push_back({.what = Ask::What::zygote, .worker = w, .spec = spec});
  }
  void fork(WorkerId w, WorkerId zygote, const FunctionSpecPtr& spec) override {
    asks.push_back({.what = Ask::What::fork, .worker = w, .spec = spec, .zygote = zygote});
  }
  void stop(WorkerId w) override { asks.push_back({.what = Ask::What::stop, .worker = w}); }
  void kill(WorkerId w) override { asks.push_back({.what = Ask::What::kill, .worker = w}); }
  void freeze(WorkerId w) override { asks.push_back({.what = Ask::What::freeze, .worker = w}); }
  void thaw(WorkerId w) override { asks.push_back({.what = Ask::What::thaw, .worker = w}); }
  void clear_leftovers(WorkerId w, Leftovers) override {
    asks.push_back({.what = Ask::What::clear, .worker = w});
  }
  bool clears_forked() const override { return forked_cleared; }
  std::string_view log_tail(WorkerId, InvocationId) override { return tail; }
  bool any_byte_sent(WorkerId, InvocationId call) const override {
    return std::find(unsent.begin(), unsent.end(), call) == unsent.end();
  }
  uint64_t memory_peak(WorkerId) const override { return 4'711; }
  uint64_t memory_now(WorkerId) const override {
    ++figures;
    return rss;
  }
  StartTimes start_times(WorkerId) const override { return times; }

  std::vector<Ask> asks;
  std::vector<InvocationId> unsent;  // calls of which the socket has taken nothing
  std::string tail = "last words";
  uint64_t rss = mebibytes(20);
  mutable uint32_t figures = 0;  // memory figures that were asked for
  StartTimes times{.sandbox_us = 1'000, .runtime_us = 2'000};
  bool zygotes = false;
  bool forked_cleared = true;
};

// What `done` was told, copied.
struct End {
  InvocationId id;
  Outcome::Kind kind;
  Code code;
  std::string payload;
  std::string detail;
  std::string tail;
  bool cold;
  uint32_t init_us;
  uint32_t exec_us;
  std::string revision;
  ColdPhases waited{};
  StartWay way = StartWay::fresh;
};

inline FunctionSpec function_spec(std::string revision = "r1") {
  FunctionSpec spec;
  spec.name = "f";
  spec.handler = "app.handler";
  spec.revision = std::move(revision);
  return spec;
}

// workers_max is 1: what does not fit has to wait.
inline FunctionSpec one_worker(uint32_t per_worker = 1) {
  FunctionSpec spec = function_spec();
  spec.concurrency.workers_max = 1;
  spec.concurrency.per_worker = per_worker;
  return spec;
}

class Rig {
 public:
  explicit Rig(Limits l = {}) : limits(l), core(link, timers, clock, buffers, limits) {}
  ~Rig() {
    core.close();
    core.deliver();
    while (!live().empty()) exit(live().front());
    CHECK(core.pool().stats().memory_charged == 0);
  }

  FunctionId deploy(const FunctionSpec& spec) {
    const FunctionId id = core.upsert(std::make_shared<FunctionSpec>(spec));
    core.check_invariants();
    return id;
  }
  Result<InvocationId> submit(FunctionId f, Deadline limit = {}, std::string_view payload = "{}") {
    CallRequest request;
    request.function = f;
    request.deadline = limit;
    request.payload.bytes = payload;
    request.done = DoneFn::to<&Rig::on_done>(this);
    auto result = core.submit(std::move(request));
    core.check_invariants();
    return result;
  }
  // A call whose caller takes what the function streams, part by part.
  InvocationId stream(FunctionId f, Deadline limit = {}) {
    CallRequest request;
    request.function = f;
    request.deadline = limit;
    request.payload.bytes = "{}";
    request.done = DoneFn::to<&Rig::on_done>(this);
    request.on_part = PartFn::to<&Rig::on_part>(this);
    request.streams_only = true;
    auto result = core.submit(std::move(request));
    core.check_invariants();
    REQUIRE(result);
    return *result;
  }
  InvocationId call(FunctionId f, Deadline limit = {}) {
    auto result = submit(f, limit);
    REQUIRE(result);
    return *result;
  }
  std::vector<InvocationId> calls(FunctionId f, size_t count) {
    std::vector<InvocationId> ids;
    while (ids.size() < count) ids.push_back(call(f));
    return ids;
  }

  // ---- what the processes say
  void settle() {
    core.deliver();
    core.check_invariants();
  }
  void parked(WorkerId w) {
    core.on_worker_parked(w);
    settle();
  }
  void ready(WorkerId w, uint32_t init_us = 5'000) {
    core.on_worker_ready(w, init_us);
    settle();
  }
  bool reply(WorkerId w, InvocationId c, uint32_t exec_us = 100'000,
             std::string_view payload = "ok") {
    WorkerReply r;
    r.payload = payload;
    r.exec_us = exec_us;
    const bool taken = core.on_reply(w, c, r);
    settle();
    return taken;
  }
  bool handback(WorkerId w, InvocationId c) {
    const bool taken = core.on_handback(w, c);
    settle();
    return taken;
  }
  void pong(WorkerId w, uint16_t sequence) {
    core.on_pong(w, sequence);
    settle();
  }
  void exit(WorkerId w, WorkerExit e = {.wait_status = 11}) {
    core.on_worker_exit(w, e);
    exited.insert({w.slot, w.generation});
    settle();
  }
  // Time passes, timers fire in steps of a millisecond.
  void pass(milliseconds time) {
    for (milliseconds gone{0}; gone < time; ++gone) {
      clock.advance(milliseconds(1));
      timers.advance(clock.now());
      settle();
    }
  }

  // ---- shortcuts
  // Brings up every worker that boots or loads.
  void boot_all() {
    const auto asks = link.asks;
    for (const Ask& ask : asks) {
      if (ask.what != Ask::What::start || gone(ask.worker)) continue;
      const Worker* w = core.pool().find(ask.worker);
      if (w->state == Worker::State::booting) parked(ask.worker);
      if (w->state == Worker::State::loading) ready(ask.worker);
    }
  }
  // An idle worker that has served one call of `exec_us`. 10 us lets 64 calls be prefetched, 100 ms
  // none.
  WorkerId warm(FunctionId f, uint32_t exec_us = 100'000) {
    const InvocationId first = call(f);
    boot_all();
    const WorkerId w = worker_of(first);
    reply(w, first, exec_us);
    return w;
  }
  // `spec` with `count` idle workers that have served nothing.
  FunctionId fleet(FunctionSpec spec, uint32_t count) {
    spec.concurrency.workers_min = count;
    const FunctionId f = deploy(spec);
    boot_all();
    return f;
  }

  // ---- what was asked
  size_t count(Ask::What what) const {
    return static_cast<size_t>(std::count_if(link.asks.begin(), link.asks.end(),
                                             [&](const Ask& a) { return a.what == what; }));
  }
  size_t count(Ask::What what, WorkerId w) const {
    return static_cast<size_t>(std::count_if(link.asks.begin(), link.asks.end(), [&](const Ask& a) {
      return a.what == what && a.worker == w;
    }));
  }
  const Ask& last(Ask::What what) const {
    const auto found = std::find_if(link.asks.rbegin(), link.asks.rend(),
                                    [&](const Ask& a) { return a.what == what; });
    REQUIRE(found != link.asks.rend());
    return *found;
  }
  // The worker to which a call was sent last; without generation when it was sent to none.
  WorkerId worker_of(InvocationId c) const {
    for (auto a = link.asks.rbegin(); a != link.asks.rend(); ++a) {
      if (a->what == Ask::What::send && a->call == c) return a->worker;
    }
    return {};
  }
  bool recalled(InvocationId c) const {
    return std::any_of(link.asks.begin(), link.asks.end(),
                       [&](const Ask& a) { return a.what == Ask::What::recall && a.call == c; });
  }
  bool gone(WorkerId w) const { return exited.count({w.slot, w.generation}) != 0; }
  std::vector<WorkerId> live() const {
    std::vector<WorkerId> ids;
    for (const Ask& a : link.asks) {
      const bool begins =
          a.what == Ask::What::start || a.what == Ask::What::zygote || a.what == Ask::What::fork;
      if (begins && !gone(a.worker)) ids.push_back(a.worker);
    }
    return ids;
  }
  const Function& function(FunctionId f) const {
    const Function* found = nullptr;
    core.each_function([&](const Function& each) {
      if (each.id == f) found = &each;
    });
    REQUIRE(found != nullptr);
    return *found;
  }
  size_t queued(FunctionId f) const { return function(f).queue.size(); }

  // ---- how calls ended
  bool ended(InvocationId c) const {
    return std::any_of(ends.begin(), ends.end(), [&](const End& e) { return e.id == c; });
  }
  const End& end(InvocationId c) const {
    const auto found =
        std::find_if(ends.begin(), ends.end(), [&](const End& e) { return e.id == c; });
    REQUIRE(found != ends.end());
    return *found;
  }

  Limits limits;
  ManualClock clock;
  TimerWheel timers{clock.now()};
  BufferPool buffers{mebibytes(64)};
  FakeLink link;
  Dispatcher core;
  std::vector<End> ends;
  FunctionId
      resubmit{};  // each `done` submits one more call of this function, `resubmissions` times
  uint32_t resubmissions = 0;
  InvocationId abandon_in_done{};
  std::string parts;        // what on_part was told
  Flow flow = Flow::go_on;  // what it answers

 private:
  Flow on_part(InvocationId, const ReplyPart& part) {
    parts += part.bytes;
    return flow;
  }
  void on_done(InvocationId id, const Outcome& o) {
    CHECK_FALSE(in_done_);
    in_done_ = true;
    ends.push_back({id, o.kind, o.code, std::string(o.payload), std::string(o.detail),
                    std::string(o.log_tail), o.cold, o.init_us, o.exec_us, (*o.spec)->revision,
                    o.waited, o.way});
    if (abandon_in_done) core.abandon(std::exchange(abandon_in_done, {}));
    if (resubmissions != 0) {
      --resubmissions;
      CHECK(submit(resubmit));
      core.deliver();  // from inside: does nothing
    }
    in_done_ = false;
  }
  std::set<std::pair<uint32_t, uint32_t>> exited;
  bool in_done_ = false;
};

}  // namespace hearth
