// What ready workers do between calls: they stand still, and they are replaced. One case a cell of
// the table in design/0009-warm-workers.md.
#include "core/test_rig.h"
#include "core/worker_pool.h"

using namespace hearth;
using What = Ask::What;

namespace {

constexpr milliseconds kFreeze{50};

FunctionSpec recycling(Recycle recycle, uint32_t per_worker = 1) {
  FunctionSpec spec = one_worker(per_worker);
  spec.recycle = recycle;
  return spec;
}

uint64_t recycled(Rig& rig, RecycleReason reason) {
  return rig.core.pool().stats().recycled[static_cast<size_t>(reason)];
}

}  // namespace

// ---- standing still

TEST_CASE("an idle worker is frozen after 50 ms and thawed before the next call") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  rig.pass(kFreeze - milliseconds(1));
  CHECK(rig.count(What::freeze) == 0);
  rig.pass(milliseconds(2));
  CHECK(rig.count(What::freeze, w) == 1);
  CHECK(rig.core.pool().stats().frozen == 1);
  const InvocationId c = rig.call(f);
  REQUIRE(rig.count(What::thaw, w) == 1);
  // Before it, not after.
  const auto& asks = rig.link.asks;
  CHECK(asks[asks.size() - 2].what == What::thaw);
  CHECK(asks.back().what == What::send);
  CHECK(rig.core.pool().stats().frozen == 0);
  rig.reply(w, c);
  CHECK(rig.core.pool().stats().freezes == 1);
  CHECK(rig.core.pool().stats().thaws == 1);
}

TEST_CASE("back-to-back calls never freeze their worker") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  for (int i = 0; i < 20; ++i) {
    const InvocationId c = rig.call(f);
    rig.pass(milliseconds(20));
    rig.reply(w, c);
    rig.pass(milliseconds(40));
  }
  CHECK(rig.count(What::freeze) == 0);
}

TEST_CASE("a call that takes long is not frozen in its midst") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.call(f);
  rig.pass(milliseconds(500));
  CHECK(rig.count(What::freeze) == 0);
  rig.reply(w, c);
  rig.pass(2 * kFreeze + milliseconds(2));
  CHECK(rig.count(What::freeze) == 1);
}

TEST_CASE("a worker that is frozen again and again still idles out, thawed first") {
  Limits limits;
  limits.idle_timeout = seconds(2);
  Rig rig(limits);
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  rig.pass(milliseconds(500));
  rig.reply(w, rig.call(f));
  rig.pass(milliseconds(1'990));
  CHECK(rig.count(What::freeze, w) == 2);
  CHECK(rig.count(What::stop) == 0);
  rig.pass(milliseconds(70));
  CHECK(rig.count(What::stop, w) == 1);
  const auto& asks = rig.link.asks;
  CHECK(asks[asks.size() - 2].what == What::thaw);
}

TEST_CASE(
    "a frozen worker is thawed before it is stopped for a new revision or killed at the end") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  rig.warm(f);
  rig.pass(2 * kFreeze);
  FunctionSpec next = one_worker();
  next.revision = "r2";
  rig.deploy(next);
  CHECK(rig.count(What::thaw) == 1);
  CHECK(rig.count(What::stop) == 1);
  const WorkerId second = rig.warm(f);
  rig.pass(2 * kFreeze);
  CHECK(rig.count(What::freeze, second) == 1);
  rig.core.close();
  CHECK(rig.count(What::thaw, second) == 1);
  CHECK(rig.count(What::kill, second) == 1);
}

TEST_CASE("a worker that dies while it is frozen is counted out") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  rig.pass(2 * kFreeze);
  REQUIRE(rig.core.pool().stats().frozen == 1);
  rig.exit(w);
  CHECK(rig.core.pool().stats().frozen == 0);
  CHECK(rig.count(What::thaw) == 0);
}

TEST_CASE("parked workers and a limit of zero are not frozen") {
  Limits limits;
  SECTION("parked") {
    Rig rig(limits);
    rig.core.pool().set_parked_target(Runtime::python3, 2);
    rig.boot_all();
    rig.pass(milliseconds(300));
    CHECK(rig.count(What::freeze) == 0);
  }
  SECTION("freeze_after: 0") {
    limits.freeze_after = milliseconds(0);
    Rig rig(limits);
    rig.warm(rig.deploy(one_worker()));
    rig.pass(milliseconds(300));
    CHECK(rig.count(What::freeze) == 0);
  }
}

TEST_CASE("a worker whose leftovers are killed gets no call before the answer") {
  Rig rig;
  FunctionSpec spec = one_worker();
  spec.leftovers = Leftovers::kill;
  const FunctionId f = rig.deploy(spec);
  const WorkerId w = rig.warm(f);
  rig.pass(2 * kFreeze);
  CHECK(rig.count(What::freeze) == 0);
  REQUIRE(rig.count(What::clear, w) == 1);
  const size_t sent = rig.count(What::send, w);
  const InvocationId c = rig.call(f);
  CHECK(rig.count(What::send, w) == sent);
  CHECK(rig.count(What::thaw, w) == 0);
  rig.core.on_leftovers(w, 3, false);
  CHECK(rig.count(What::thaw, w) == 1);
  CHECK(rig.count(What::send, w) == sent + 1);
  CHECK(rig.core.pool().stats().leftovers_killed == 3);
  rig.reply(w, c);
  rig.core.check_invariants();
}

TEST_CASE("a worker that left processes behind is replaced with leftovers: recycle") {
  Rig rig;
  FunctionSpec spec = one_worker();
  spec.leftovers = Leftovers::recycle;
  const FunctionId f = rig.deploy(spec);
  const WorkerId w = rig.warm(f);
  rig.reply(w, rig.call(f));
  rig.pass(2 * kFreeze + milliseconds(2));
  REQUIRE(rig.count(What::clear, w) == 1);
  SECTION("none: it stays") {
    rig.core.on_leftovers(w, 0, false);
    CHECK(rig.count(What::stop) == 0);
    CHECK(rig.core.pool().stats().frozen == 1);
  }
  SECTION("one: it leaves") {
    rig.core.on_leftovers(w, 1, false);
    CHECK(rig.count(What::stop, w) == 1);
    CHECK(recycled(rig, RecycleReason::leftovers) == 1);
  }
  SECTION("more than could be looked at: it is killed") {
    rig.core.on_leftovers(w, 0, true);
    CHECK(rig.count(What::kill, w) == 1);
    CHECK(recycled(rig, RecycleReason::leftovers) == 1);
  }
  rig.core.check_invariants();
}

TEST_CASE("leftovers are cleared where nothing is to stand still, and once a pause") {
  Limits limits;
  limits.freeze_after = milliseconds(0);
  Rig rig(limits);
  FunctionSpec spec = one_worker();
  spec.leftovers = GENERATE(Leftovers::kill, Leftovers::recycle);
  const FunctionId f = rig.deploy(spec);
  const WorkerId w = rig.warm(f);
  for (size_t pauses = 1; pauses <= 2; ++pauses) {
    rig.pass(milliseconds(60));
    REQUIRE(rig.count(What::clear) == pauses);
    rig.core.on_leftovers(w, 0, false);
    rig.settle();
    CHECK(rig.count(What::thaw) == pauses);
    CHECK(rig.core.pool().stats().frozen == 0);
    rig.pass(seconds(2));
    CHECK(rig.count(What::clear) == pauses);
    REQUIRE(rig.reply(w, rig.call(f)));
  }
  CHECK(rig.count(What::freeze) == 0);
  CHECK(rig.core.pool().stats().thaws == rig.core.pool().stats().freezes);
}

TEST_CASE("a worker that was never called is neither frozen nor replaced by a limit of zero") {
  Limits limits;
  limits.freeze_after = milliseconds(0);
  Rig rig(limits);
  FunctionSpec spec = one_worker();
  spec.leftovers = Leftovers::recycle;
  rig.fleet(spec, 1);
  rig.pass(seconds(2));
  CHECK(rig.count(What::clear) + rig.count(What::freeze) + rig.count(What::stop) == 0);
}

TEST_CASE("with several calls at once a worker is frozen only when it has none") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker(4));
  const WorkerId w = rig.warm(f);
  const auto ids = rig.calls(f, 2);
  rig.reply(w, ids[0]);
  rig.pass(milliseconds(300));
  CHECK(rig.count(What::freeze) == 0);
  rig.reply(w, ids[1]);
  rig.pass(2 * kFreeze + milliseconds(2));
  CHECK(rig.count(What::freeze) == 1);
}

// ---- max_calls

TEST_CASE("a worker is replaced after exactly max_calls calls, between calls") {
  Rig rig;
  const FunctionId f = rig.deploy(recycling({.max_calls = 3}));
  const WorkerId w = rig.warm(f);
  rig.reply(w, rig.call(f));
  CHECK(rig.count(What::stop) == 0);
  const InvocationId third = rig.call(f);
  CHECK(rig.count(What::stop) == 0);  // never in its midst
  CHECK(rig.worker_of(third) == w);
  rig.reply(w, third);
  CHECK(rig.count(What::stop, w) == 1);
  CHECK(recycled(rig, RecycleReason::calls) == 1);
  const InvocationId next = rig.call(f);
  rig.boot_all();
  CHECK(rig.worker_of(next));
  CHECK_FALSE(rig.worker_of(next) == w);
}

TEST_CASE("prefetch does not pass max_calls and what waits goes to the next worker") {
  Rig rig;
  const FunctionId f = rig.deploy(recycling({.max_calls = 5}));
  const WorkerId w = rig.warm(f, 10);  // short calls: 64 could be sent ahead
  const auto ids = rig.calls(f, 10);
  CHECK(rig.count(What::send, w) == 5);
  CHECK(rig.count(What::recall) == 0);
  for (int i = 0; i < 4; ++i) rig.reply(w, ids[static_cast<size_t>(i)], 10);
  CHECK(rig.count(What::stop, w) == 1);
  rig.boot_all();
  CHECK_FALSE(rig.worker_of(ids[4]) == w);
}

TEST_CASE("a call that is handed back does not count") {
  Rig rig;
  const FunctionId f = rig.deploy(recycling({.max_calls = 3}));
  const WorkerId w = rig.warm(f, 10);
  const auto ids = rig.calls(f, 2);
  CHECK(rig.count(What::send, w) == 3);
  rig.pass(milliseconds(15));  // the first takes long: the second is called back
  REQUIRE(rig.recalled(ids[1]));
  rig.handback(w, ids[1]);
  rig.reply(w, ids[0], 15'000);
  CHECK(rig.worker_of(ids[1]) == w);
  CHECK(rig.count(What::stop) == 0);
  rig.reply(w, ids[1], 10);
  CHECK(rig.count(What::stop, w) == 1);
}

TEST_CASE("with several calls at once the last ones end in the worker that has them") {
  Rig rig;
  const FunctionId f = rig.deploy(recycling({.max_calls = 3}, 2));
  const WorkerId w = rig.warm(f);
  const auto ids = rig.calls(f, 3);
  CHECK(rig.count(What::send, w) == 3);  // one before, two now
  rig.reply(w, ids[0]);
  CHECK(rig.count(What::stop) == 0);
  CHECK(rig.core.pool().find(w)->state == Worker::State::retiring);
  rig.reply(w, ids[1]);
  CHECK(rig.count(What::stop, w) == 1);
}

TEST_CASE("workers_min is restored when a worker is recycled") {
  Rig rig;
  FunctionSpec spec = function_spec();
  spec.recycle.max_calls = 1;
  const FunctionId f = rig.fleet(spec, 1);
  const InvocationId c = rig.call(f);
  rig.reply(rig.worker_of(c), c);
  CHECK(rig.count(What::start) == 2);
}

// ---- max_age and max_rss

TEST_CASE("a worker that is too old is replaced although nobody calls") {
  Rig rig;
  const FunctionId f = rig.deploy(recycling({.max_age = seconds(3)}));
  const WorkerId w = rig.warm(f);
  rig.pass(milliseconds(2'900));
  CHECK(rig.count(What::stop) == 0);
  rig.pass(milliseconds(1'200));
  CHECK(rig.count(What::stop, w) == 1);
  CHECK(recycled(rig, RecycleReason::age) == 1);
}

TEST_CASE("a worker that is too old ends its call first") {
  Rig rig;
  FunctionSpec spec = recycling({.max_age = seconds(1)});
  spec.timeout = seconds(30);
  const FunctionId f = rig.deploy(spec);
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.call(f);
  rig.pass(milliseconds(3'000));
  CHECK(rig.count(What::stop) == 0);
  CHECK(rig.core.pool().find(w)->state == Worker::State::retiring);
  rig.reply(w, c);
  CHECK(rig.end(c).kind == Outcome::Kind::reply);
  CHECK(rig.count(What::stop, w) == 1);
}

TEST_CASE("a worker that holds too much memory is replaced within a patrol") {
  Rig rig;
  const FunctionId f = rig.deploy(recycling({.max_rss = mebibytes(64)}));
  const WorkerId w = rig.warm(f);
  rig.pass(milliseconds(2'100));
  CHECK(rig.count(What::stop) == 0);
  const uint32_t figures = rig.link.figures;
  CHECK(figures == 2);  // one a second, whatever is called
  for (int i = 0; i < 50; ++i) rig.reply(w, rig.call(f));
  CHECK(rig.link.figures == figures);
  rig.link.rss = mebibytes(65);
  rig.pass(milliseconds(1'000));
  CHECK(rig.count(What::stop, w) == 1);
  CHECK(recycled(rig, RecycleReason::memory) == 1);
}

TEST_CASE("a figure that can't be known replaces nobody") {
  Rig rig;
  rig.link.rss = 0;
  rig.warm(rig.deploy(recycling({.max_rss = mebibytes(16)})));
  rig.pass(milliseconds(3'000));
  CHECK(rig.count(What::stop) == 0);
}

TEST_CASE("a patrol reads 64 figures at most and the next goes on from there") {
  Rig rig;
  FunctionSpec spec = function_spec();
  spec.recycle.max_rss = mebibytes(64);
  spec.concurrency.workers_max = 100;
  rig.fleet(spec, 100);
  rig.link.figures = 0;
  rig.pass(milliseconds(1'001));
  CHECK(rig.link.figures == 64);
  rig.pass(milliseconds(1'000));
  CHECK(rig.link.figures == 100);
  rig.pass(milliseconds(1'000));
  CHECK(rig.link.figures == 164);
}

TEST_CASE("without such limits nobody patrols") {
  Rig rig;
  rig.warm(rig.deploy(one_worker()));
  rig.pass(milliseconds(5'000));
  CHECK(rig.link.figures == 0);
}
