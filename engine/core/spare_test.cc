// Children of a zygote that are forked ahead: how many, who gets them, and what becomes of the
// rest.
#include "core/test_rig.h"
#include "core/zygote.h"
#include "tests/catch.h"

namespace hearth {
namespace {

using What = Ask::What;

constexpr uint32_t kSlowInit = 400'000;

struct SpareRig : Rig {
  explicit SpareRig(Limits l = {}) : Rig(l) { link.zygotes = true; }

  FunctionId deploy_wide(uint32_t workers_max = 10) {
    FunctionSpec spec = function_spec();
    spec.memory_bytes = mebibytes(128);
    spec.concurrency.workers_max = workers_max;
    return deploy(spec);
  }
  // A zygote that can be forked, and no worker of the function.
  WorkerId zygote_of(FunctionId f) {
    const InvocationId first = call(f);
    const WorkerId ordinary = last(What::start).worker;
    parked(ordinary);
    ready(ordinary, kSlowInit);
    reply(ordinary, first);
    exit(ordinary, {.wait_status = 0});
    pass(milliseconds(150));
    const WorkerId zygote = last(What::zygote).worker;
    parked(zygote);
    core.on_zygote_ready(zygote, kSlowInit);
    settle();
    return zygote;
  }
  // As above, and its first spare is on its way.
  WorkerId first_spare(FunctionId f) {
    zygote = zygote_of(f);
    CHECK(count(What::fork) == 0);  // not in the turn in which others may wait
    pass(kSpareDelay + milliseconds(1));
    REQUIRE(count(What::fork) == 1);
    CHECK(last(What::fork).zygote == zygote);
    return last(What::fork).worker;
  }
  // Everything that was forked and still waits for its HELLO says it.
  void park_forks() {
    const auto asks = link.asks;
    for (const Ask& ask : asks) {
      if (ask.what != What::fork || gone(ask.worker)) continue;
      const Worker* w = core.pool().find(ask.worker);
      if (w != nullptr && w->state == Worker::State::booting && !w->killed) parked(ask.worker);
    }
  }
  WorkerId zygote;
  const PoolStats& stats() { return core.pool().stats(); }
  uint32_t waiting() { return core.pool().spares(); }
};

}  // namespace

TEST_CASE("a child is forked ahead, and its function's next worker is there already") {
  SpareRig rig;
  const FunctionId f = rig.deploy_wide();
  const WorkerId spare = rig.first_spare(f);
  CHECK(rig.function(f).live == 0);
  rig.parked(spare);
  CHECK(rig.waiting() == 1);
  CHECK(rig.count(What::bind, spare) == 0);  // it runs nothing of the function
  rig.pass(seconds(5));
  CHECK(rig.count(What::fork) == 1);

  rig.link.times = {};
  const InvocationId call = rig.call(f);
  CHECK(rig.count(What::fork) == 1);
  CHECK(rig.count(What::bind, spare) == 1);
  CHECK(rig.waiting() == 0);
  CHECK(rig.function(f).live == 1);
  rig.ready(spare, 800);
  CHECK(rig.worker_of(call) == spare);
  REQUIRE(rig.reply(spare, call));
  CHECK(rig.end(call).cold);
  CHECK(rig.end(call).way == StartWay::zygote);
  CHECK(rig.core.cold().count(Runtime::python3, StartWay::zygote) == 1);
  CHECK(rig.core.cold().count(Runtime::python3, StartWay::fresh) == 1);  // the first of all
  CHECK(rig.stats().spares_used == 1);
  rig.pass(kSpareDelay + milliseconds(1));
  CHECK(rig.count(What::fork) == 2);  // the next one
}

TEST_CASE("a child that is still on its way is taken as well") {
  SpareRig rig;
  const FunctionId f = rig.deploy_wide(1);
  const WorkerId spare = rig.first_spare(f);
  const InvocationId call = rig.call(f);
  CHECK(rig.count(What::bind, spare) == 1);
  CHECK(rig.count(What::fork) == 1);
  rig.ready(spare, 800);  // the link does not tell of its HELLO any more
  CHECK(rig.reply(spare, call));
}

TEST_CASE("none is forked ahead beyond the workers that a function may have") {
  SpareRig rig;
  const FunctionId f = rig.deploy_wide(3);
  rig.parked(rig.first_spare(f));
  rig.calls(f, 5);
  rig.pass(seconds(3));
  CHECK(rig.function(f).live == 3);
  CHECK(rig.count(What::fork) == 3);
  WorkerId one;
  rig.core.pool().each([&](Worker& w) {
    if (w.function != nullptr) one = w.id;
  });
  rig.ready(one, 800);
  rig.exit(one);
  rig.pass(seconds(1));
  CHECK(rig.function(f).live + rig.function(f).spares.size() == 3);
}

TEST_CASE("while a spare waits, calls go ahead only after many short ones") {
  SpareRig rig;
  const FunctionId f = rig.deploy_wide(2);
  const WorkerId busy = rig.first_spare(f);
  rig.parked(busy);
  const InvocationId first = rig.call(f);
  rig.ready(busy, 800);
  REQUIRE(rig.reply(busy, first, 10));
  rig.pass(kSpareDelay + milliseconds(1));
  rig.park_forks();
  REQUIRE(rig.waiting() == 1);
  const auto served = [&](int count) {
    for (int i = 0; i < count; ++i) REQUIRE(rig.reply(busy, rig.call(f), 10));
  };
  const auto ahead = [&] { return rig.core.pool().ahead(rig.function(f)); };
  CHECK(ahead() == 0);
  served(300);
  CHECK(ahead() > 0);
  rig.reply(busy, rig.call(f), 5'000);
  served(200);
  CHECK(ahead() == 0);

  // So the second of two calls waits for the look at the queue, and not for a RECALL.
  const auto both = rig.calls(f, 2);
  CHECK(rig.worker_of(both[0]) == busy);
  rig.pass(milliseconds(4));
  CHECK(rig.count(What::recall) == 0);
  const WorkerId spare = rig.last(What::bind).worker;
  rig.ready(spare, 800);
  CHECK(rig.worker_of(both[1]) == spare);
}

TEST_CASE("what a burst wanted fades") {
  Limits limits;
  limits.zygote_spares = 4;
  SpareRig rig(limits);
  const FunctionId f = rig.deploy_wide(100);
  rig.parked(rig.first_spare(f));
  const auto calls = rig.calls(f, 6);
  for (int i = 0; i < 20; ++i) {
    rig.pass(milliseconds(50));
    for (const Ask& ask : std::vector<Ask>(rig.link.asks)) {
      const Worker* w = rig.gone(ask.worker) ? nullptr : rig.core.pool().find(ask.worker);
      if (ask.what == What::bind && w != nullptr && w->function != nullptr &&
          w->state == Worker::State::loading)
        rig.ready(ask.worker, 800);
    }
    rig.park_forks();
  }
  REQUIRE(rig.function(f).live < 90);
  CHECK(rig.waiting() == 4);
  CHECK(rig.stats().memory_charged ==
        (rig.function(f).live + 1) * mebibytes(128) + 4 * kSpareCharge);
  for (const InvocationId call : calls) CHECK(rig.reply(rig.worker_of(call), call, 1'000));
  rig.pass(seconds(400));
  CHECK(rig.waiting() == 1);
}

TEST_CASE("a spare is the first to make way, and comes back when there is room") {
  Limits limits;
  limits.memory_budget = mebibytes(300);
  SpareRig rig(limits);
  const FunctionId f = rig.deploy_wide();
  const WorkerId spare = rig.first_spare(f);
  const bool waits = GENERATE(true, false);
  if (waits) rig.parked(spare);
  CHECK(rig.stats().memory_charged == mebibytes(128) + kSpareCharge);
  FunctionSpec other = function_spec();
  other.name = "g";
  other.memory_bytes = mebibytes(170);
  rig.call(rig.deploy(other));
  CHECK(rig.count(waits ? What::stop : What::kill, spare) == 1);
  CHECK(rig.count(What::stop, rig.zygote) == 0);
  CHECK(rig.stats().spare_evictions == 1);
  CHECK(rig.stats().zygote_evictions == 0);
  CHECK(rig.stats().memory_charged == mebibytes(298));
  rig.exit(spare, {.wait_status = 0});
  rig.pass(seconds(3));
  CHECK(rig.count(What::fork) == 1);  // it takes nobody's memory
  rig.exit(rig.last(What::start).worker);
  rig.pass(seconds(2));
  CHECK(rig.count(What::fork) == 2);
}

TEST_CASE("a function that can't be afforded beside its zygote loses both") {
  Limits limits;
  limits.memory_budget = mebibytes(200);
  SpareRig rig(limits);
  const FunctionId f = rig.deploy_wide();
  const WorkerId spare = rig.first_spare(f);
  rig.parked(spare);
  rig.call(f);
  CHECK(rig.count(What::stop, spare) == 1);
  CHECK(rig.count(What::stop, rig.zygote) == 1);
  CHECK(rig.last(What::start).spec->name == "f");
  CHECK(rig.stats().memory_charged == mebibytes(128));
}

TEST_CASE("spares go with their zygote") {
  Limits limits;
  limits.zygote_idle = seconds(5);
  SpareRig rig(limits);
  const FunctionId f = rig.deploy_wide();
  const WorkerId spare = rig.first_spare(f);
  const bool waits = GENERATE(true, false);
  if (waits) rig.parked(spare);
  SECTION("a new revision") {
    FunctionSpec next = function_spec("r2");
    rig.deploy(next);
  }
  SECTION("deleted") { REQUIRE(rig.core.remove("f")); }
  SECTION("the zygote was not used for long") { rig.pass(milliseconds(5'100)); }
  SECTION("the zygote dies") { rig.exit(rig.zygote); }
  CHECK(rig.count(waits ? What::stop : What::kill, spare) == 1);
  rig.exit(spare, {.wait_status = 0});
  CHECK(rig.stats().spare_failures == 0);
  CHECK(rig.stats().zygote_fork_failures == 0);
}

TEST_CASE("a spare that dies waiting is replaced later, and nobody is blamed") {
  SpareRig rig;
  const FunctionId f = rig.deploy_wide();
  const WorkerId spare = rig.first_spare(f);
  rig.parked(spare);
  SECTION("it dies") { rig.exit(spare, {.wait_status = 9}); }
  SECTION("it lies") {
    SECTION("with READY") { rig.ready(spare); }
    SECTION("with HELLO") { rig.parked(spare); }
    SECTION("with INIT_ERROR") {
      rig.core.on_worker_init_failed(spare, "{}");
      rig.settle();
    }
    CHECK(rig.count(What::kill, spare) == 1);
    CHECK(rig.stats().violations == 1);
    rig.exit(spare, {.wait_status = 9});
  }
  CHECK(rig.stats().spare_failures == 1);
  CHECK(rig.stats().start_failures == 0);
  CHECK(rig.count(What::stop, rig.zygote) == 0);
  rig.pass(milliseconds(900));
  CHECK(rig.count(What::fork) == 1);
  rig.pass(milliseconds(200));
  CHECK(rig.count(What::fork) == 2);
}

TEST_CASE("a zygote that gives no spare is ended, as for any fork") {
  SpareRig rig;
  const FunctionId f = rig.deploy_wide();
  const WorkerId spare = rig.first_spare(f);
  WorkerExit exit;
  exit.start_failed = true;
  rig.exit(spare, exit);
  CHECK(rig.stats().zygote_fork_failures == 1);
  CHECK(rig.count(What::stop, rig.zygote) == 1);
  CHECK(rig.function(f).failure.count == 0);
}

TEST_CASE("a spare that never comes is killed, and asked for again") {
  SpareRig rig;
  const FunctionId f = rig.deploy_wide();
  const WorkerId spare = rig.first_spare(f);
  rig.pass(rig.limits.boot_timeout + milliseconds(1));
  CHECK(rig.count(What::kill, spare) == 1);
  rig.exit(spare, {.wait_status = 9});
  rig.pass(seconds(2));
  CHECK(rig.count(What::fork) == 2);
  CHECK(rig.function(f).failure.count == 0);
}

TEST_CASE("zygotes.spares: 0 forks nothing ahead") {
  Limits limits;
  limits.zygote_spares = 0;
  SpareRig rig(limits);
  const FunctionId f = rig.deploy_wide();
  rig.zygote_of(f);
  rig.pass(seconds(5));
  CHECK(rig.count(What::fork) == 0);
  rig.call(f);
  CHECK(rig.count(What::fork) == 1);
  CHECK(rig.count(What::bind, rig.last(What::fork).worker) == 1);
}

}  // namespace hearth
