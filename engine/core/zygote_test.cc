// When a function gets a zygote, what is forked from it, and what becomes of it.
#include "core/zygote.h"

#include "core/test_rig.h"
#include "tests/catch.h"

namespace hearth {
namespace {

using What = Ask::What;

constexpr uint32_t kSlowInit = 400'000;

struct ZygoteRig : Rig {
  // Without spares, which have a file of their own.
  explicit ZygoteRig(Limits l = {}) : Rig(without_spares(l)) { link.zygotes = true; }
  static Limits without_spares(Limits l) {
    l.zygote_spares = 0;
    return l;
  }

  // A worker of the function, started the ordinary way with an init of `init_us`, that has served a
  // call.
  WorkerId slow_worker(FunctionId f, uint32_t init_us = kSlowInit) {
    const InvocationId first = call(f);
    const WorkerId w = last(What::start).worker;
    parked(w);
    ready(w, init_us);
    reply(w, first);
    return w;
  }
  void moulded(WorkerId zygote) {
    core.on_zygote_ready(zygote, kSlowInit);
    settle();
  }
  void refused(WorkerId zygote) {
    core.on_zygote_refused(zygote, "there are 2 threads");
    settle();
  }
  // The function has only its zygote, and the next call needs a fork.
  WorkerId zygote_alone(FunctionId f) {
    const WorkerId zygote = zygote_of(f);
    exit(ordinary);
    return zygote;
  }
  // A zygote that can be forked, beside an idle worker.
  WorkerId zygote_of(FunctionId f) {
    ordinary = slow_worker(f);
    pass(milliseconds(150));
    const WorkerId zygote = last(What::zygote).worker;
    parked(zygote);
    moulded(zygote);
    return zygote;
  }
  WorkerId ordinary;  // the worker that zygote_of() began with
  const PoolStats& stats() { return core.pool().stats(); }
};

FunctionSpec slow_spec(uint64_t memory = mebibytes(128)) {
  FunctionSpec spec = function_spec();
  spec.memory_bytes = memory;
  return spec;
}

}  // namespace

TEST_CASE("a slow init is followed by a zygote, and further workers are forked from it") {
  ZygoteRig rig;
  FunctionSpec spec = slow_spec();
  spec.concurrency.workers_max = 2;
  const FunctionId f = rig.deploy(spec);
  const WorkerId first = rig.slow_worker(f);
  CHECK(rig.count(What::zygote) == 0);  // not while the call is answered
  rig.pass(milliseconds(150));
  REQUIRE(rig.count(What::zygote) == 1);
  const WorkerId zygote = rig.last(What::zygote).worker;
  rig.parked(zygote);
  CHECK(rig.last(What::bind).worker == zygote);
  CHECK(rig.core.pool().zygotes() == 0);
  rig.moulded(zygote);
  CHECK(rig.core.pool().zygotes() == 1);

  const auto calls = rig.calls(f, 2);  // one for the idle worker, one for a new one
  CHECK(rig.worker_of(calls[0]) == first);
  rig.pass(milliseconds(50));
  REQUIRE(rig.count(What::fork) == 1);
  CHECK(rig.last(What::fork).zygote == zygote);
  CHECK(rig.count(What::start) == 1);
  const WorkerId second = rig.last(What::fork).worker;
  rig.ready(second, 2'000);
  CHECK(rig.worker_of(calls[1]) == second);
  rig.reply(second, calls[1]);
  CHECK(rig.end(calls[1]).cold);
  rig.pass(seconds(1));
  CHECK(rig.count(What::zygote) == 1);
}

TEST_CASE("after idling to nothing a start is a fork") {
  Limits limits;
  limits.idle_timeout = seconds(1);
  ZygoteRig rig(limits);
  const FunctionId f = rig.deploy(slow_spec());
  const WorkerId zygote = rig.zygote_of(f);
  rig.pass(milliseconds(1'100));
  const WorkerId first = rig.last(What::stop).worker;
  CHECK(first != zygote);
  rig.exit(first, {.wait_status = 0});
  CHECK(rig.function(f).live == 0);
  rig.call(f);
  REQUIRE(rig.count(What::fork) == 1);
  CHECK(rig.last(What::fork).zygote == zygote);
}

TEST_CASE("what gets no zygote") {
  ZygoteRig rig;
  FunctionSpec spec = slow_spec();
  SECTION("a quick init") { rig.slow_worker(rig.deploy(spec), 49'999); }
  SECTION("a function that opts out") {
    spec.zygote = Zygote::off;
    rig.slow_worker(rig.deploy(spec));
  }
  SECTION("another runtime") {
    spec.runtime = Runtime::nodejs;
    rig.slow_worker(rig.deploy(spec));
  }
  SECTION("processes without them") {
    rig.link.zygotes = false;
    rig.slow_worker(rig.deploy(spec));
  }
  SECTION("a revision that is gone by then") {
    rig.slow_worker(rig.deploy(spec));
    REQUIRE(rig.core.remove("f"));
  }
  rig.pass(seconds(2));
  CHECK(rig.count(What::zygote) == 0);
}

TEST_CASE("a refusal ends the matter for the revision") {
  ZygoteRig rig;
  const FunctionId f = rig.deploy(slow_spec());
  const WorkerId first = rig.slow_worker(f);
  rig.pass(milliseconds(150));
  const WorkerId zygote = rig.last(What::zygote).worker;
  rig.parked(zygote);
  rig.refused(zygote);
  CHECK(rig.stats().zygote_refusals == 1);
  CHECK(rig.count(What::stop, zygote) == 1);
  rig.exit(zygote, {.wait_status = 0});
  rig.exit(first);
  rig.pass(seconds(5));
  rig.slow_worker(f);
  rig.pass(seconds(5));
  CHECK(rig.count(What::zygote) == 1);
  CHECK(rig.count(What::fork) == 0);

  FunctionSpec next = slow_spec();
  next.revision = "r2";
  rig.deploy(next);
  rig.slow_worker(f);
  rig.pass(milliseconds(150));
  CHECK(rig.count(What::zygote) == 2);
}

TEST_CASE("a fork that fails is an ordinary start, and no failure of the function") {
  ZygoteRig rig;
  FunctionSpec spec = slow_spec();
  spec.concurrency.workers_max = 1;
  const FunctionId f = rig.deploy(spec);
  const WorkerId zygote = rig.zygote_alone(f);
  const InvocationId call = rig.call(f);
  const WorkerId fork = rig.last(What::fork).worker;
  const size_t starts = rig.count(What::start);
  SECTION("the spawner says so") {
    WorkerExit exit;
    exit.start_failed = true;
    rig.exit(fork, exit);
  }
  SECTION("the child dies before it is ready") { rig.exit(fork, {.wait_status = 11}); }
  SECTION("a hook of the function fails") {
    rig.core.on_worker_init_failed(fork, "{}");
    rig.settle();
  }
  SECTION("it takes too long") {
    rig.pass(rig.limits.init_timeout + milliseconds(1));
    CHECK(rig.count(What::kill, fork) == 1);
    rig.exit(fork, {.wait_status = 9});
  }
  CHECK(rig.stats().zygote_fork_failures == 1);
  CHECK(rig.count(What::stop, zygote) == 1);
  CHECK(rig.count(What::start) == starts + 1);
  CHECK_FALSE(rig.ended(call));
  CHECK(rig.core.pool().zygotes() == 0);
  // The pause: the ordinary worker is slow again, but a zygote comes a second later at the
  // earliest.
  const WorkerId next = rig.last(What::start).worker;
  rig.parked(next);
  rig.ready(next, kSlowInit);
  rig.reply(next, call);
  rig.pass(milliseconds(500));
  CHECK(rig.count(What::zygote) == 1);
}

TEST_CASE("a zygote that dies or lies is forgotten, and its children are not touched") {
  ZygoteRig rig;
  const FunctionId f = rig.deploy(slow_spec());
  const WorkerId zygote = rig.zygote_alone(f);
  const InvocationId call = rig.call(f);
  const WorkerId child = rig.last(What::fork).worker;
  rig.ready(child, 1'000);
  SECTION("it dies") { rig.exit(zygote); }
  SECTION("it breaks the protocol") {
    rig.core.on_violation(zygote, "FORKED for a fork that was not asked for");
    rig.settle();
    CHECK(rig.count(What::kill, zygote) == 1);
    rig.call(f);
    rig.pass(milliseconds(5));
    CHECK(rig.count(What::fork) == 1);  // not forked any more while its end is on the way
    rig.exit(zygote);
  }
  SECTION("it says READY, as if it were a worker") {
    rig.ready(zygote);
    CHECK(rig.count(What::kill, zygote) == 1);
    rig.exit(zygote);
  }
  SECTION("it says ZYGOTE twice") {
    rig.moulded(zygote);
    CHECK(rig.count(What::kill, zygote) == 1);
    rig.exit(zygote);
  }
  CHECK(rig.stats().zygote_failures == 1);
  CHECK(rig.reply(child, call));
  CHECK(rig.count(What::kill, child) == 0);
}

TEST_CASE("a worker that says ZYGOTE breaks the protocol") {
  ZygoteRig rig;
  const FunctionId f = rig.deploy(slow_spec());
  const WorkerId w = rig.slow_worker(f);
  const bool refusal = GENERATE(false, true);
  refusal ? rig.refused(w) : rig.moulded(w);
  CHECK(rig.count(What::kill, w) == 1);
}

TEST_CASE("a zygote is paid for, and goes before warm workers") {
  Limits limits;
  limits.memory_budget = mebibytes(128 * 4);
  ZygoteRig rig(limits);
  const FunctionId f = rig.deploy(slow_spec());
  const WorkerId zygote = rig.zygote_of(f);
  CHECK(rig.stats().memory_charged == mebibytes(256));
  FunctionSpec other = slow_spec(mebibytes(384));
  other.name = "g";
  rig.call(rig.deploy(other));
  CHECK(rig.count(What::stop) == 1);
  CHECK(rig.count(What::stop, zygote) == 1);
  CHECK(rig.stats().zygote_evictions == 1);
  CHECK(rig.stats().memory_charged == mebibytes(512));
  CHECK(rig.function(f).ready == 1);
}

TEST_CASE("a function's own zygote makes way for its last worker") {
  Limits limits;
  limits.memory_budget = mebibytes(128 * 2);
  ZygoteRig rig(limits);
  const FunctionId f = rig.deploy(slow_spec());
  const WorkerId zygote = rig.zygote_of(f);
  rig.calls(f, 2);
  rig.pass(milliseconds(50));
  CHECK(rig.count(What::stop, zygote) == 1);
  CHECK(rig.count(What::fork) == 0);
  CHECK(rig.count(What::start) == 2);
}

TEST_CASE("a zygote waits until there is memory for it, and takes nobody's") {
  Limits limits;
  limits.memory_budget = mebibytes(128);
  ZygoteRig rig(limits);
  const FunctionId f = rig.deploy(slow_spec());
  const WorkerId w = rig.slow_worker(f);
  rig.pass(seconds(3));
  CHECK(rig.count(What::zygote) == 0);
  rig.exit(w);
  rig.pass(seconds(1));
  CHECK(rig.count(What::zygote) == 1);
}

TEST_CASE("a zygote leaves with its revision, and when it is not used") {
  Limits limits;
  limits.zygote_idle = seconds(5);
  ZygoteRig rig(limits);
  const FunctionId f = rig.deploy(slow_spec());
  const WorkerId zygote = rig.zygote_of(f);
  SECTION("a new revision") {
    FunctionSpec next = slow_spec();
    next.revision = "r2";
    rig.deploy(next);
  }
  SECTION("deleted") { REQUIRE(rig.core.remove("f")); }
  SECTION("idle") {
    rig.pass(milliseconds(4'900));
    CHECK(rig.count(What::stop, zygote) == 0);
    rig.pass(milliseconds(200));
  }
  CHECK(rig.count(What::stop, zygote) == 1);
  rig.exit(zygote, {.wait_status = 0});
  CHECK(rig.stats().zygote_failures == 0);
}

TEST_CASE("a zygote has a bound of workers; more are started the ordinary way") {
  Limits limits;
  limits.memory_budget = gibibytes(64);
  ZygoteRig rig(limits);
  FunctionSpec spec = slow_spec();
  spec.concurrency.workers_max = kZygoteChildrenMax + 10;
  const FunctionId f = rig.deploy(spec);
  rig.zygote_of(f);
  rig.calls(f, kZygoteChildrenMax + 5);
  for (int i = 0; i < 200 && rig.function(f).live < kZygoteChildrenMax + 5; ++i) {
    rig.pass(milliseconds(20));
  }
  CHECK(rig.count(What::fork) == kZygoteChildrenMax);
  CHECK(rig.count(What::start) > 1);
}

}  // namespace hearth
