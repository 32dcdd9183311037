// Workers that a function's short calls don't keep busy are let go, one at a time.
#include "core/surplus.h"

#include "core/test_rig.h"
#include "core/worker_pool.h"

using namespace hearth;
using What = Ask::What;

namespace {

constexpr milliseconds kLook{50};

// A function that is called all the time, looked at every 50 ms.
struct Load {
  SurplusWatch watch;
  SurplusWatch::Now now{.time = MonotonicTime(seconds(1)), .workers = 2};
  uint32_t let_go = 0;
  void pass(milliseconds time, uint64_t calls_each_look, uint64_t us_each_call) {
    for (milliseconds gone{0}; gone < time; gone += kLook) {
      now.time += kLook;
      now.calls += calls_each_look;
      now.short_in_a_row += calls_each_look;
      now.busy_us += calls_each_look * us_each_call;
      if (watch.one_too_many(now)) {
        ++let_go;
        --now.workers;
      }
    }
  }
};

}  // namespace

TEST_CASE("a second worker goes after half a second in which one would have done") {
  Load load;
  load.pass(milliseconds(500), 1'000, 10);
  CHECK(load.let_go == 0);
  load.pass(milliseconds(50), 1'000, 10);
  CHECK(load.let_go == 1);
  load.pass(seconds(5), 1'000, 10);
  CHECK(load.let_go == 1);
}

TEST_CASE("workers that the calls need stay") {
  Load load;
  SECTION("one alone would be busy for more than half of the time") {
    load.pass(seconds(5), 1'000, 30);
  }
  SECTION("workers_min") {
    load.now.workers_min = 2;
    load.pass(seconds(5), 1'000, 10);
  }
  SECTION("too few calls to tell") { load.pass(seconds(5), 20, 10); }
  SECTION("calls wait, or a worker is on its way, again and again") {
    for (int i = 0; i < 20; ++i) {
      load.pass(milliseconds(400), 1'000, 10);
      load.now.settled = false;
      load.pass(kLook, 1'000, 10);
      load.now.settled = true;
    }
  }
  SECTION("a long call now and then") {
    for (int i = 0; i < 20; ++i) {
      load.pass(milliseconds(400), 1'000, 10);
      load.now.short_in_a_row = 0;
    }
  }
  SECTION("bursts with pauses between") {
    for (int i = 0; i < 20; ++i) {
      load.pass(milliseconds(100), 1'000, 10);
      load.now.time += seconds(10);
    }
  }
  CHECK(load.let_go == 0);
}

TEST_CASE("several at once are measured against what several can do") {
  Load load;
  load.now.per_worker = 8;
  load.pass(seconds(1), 1'000, 100);  // two calls at once, all the time
  CHECK(load.let_go == 1);
}

TEST_CASE("a worker that is missed soon stays for longer the next time") {
  Load load;
  const nanoseconds longest = seconds(3);
  load.pass(seconds(1), 1'000, 10);
  REQUIRE(load.let_go == 1);
  load.watch.on_start(load.now.time, longest);
  CHECK(load.watch.window() == seconds(1));
  load.now.workers = 2;
  load.pass(milliseconds(1'000), 1'000, 10);
  CHECK(load.let_go == 1);
  load.pass(milliseconds(100), 1'000, 10);
  CHECK(load.let_go == 2);
  for (int i = 0; i < 3; ++i) load.watch.on_start(load.now.time, longest);
  CHECK(load.watch.window() == longest);
  load.watch.on_start(load.now.time + seconds(60), longest);
  CHECK(load.watch.window() == SurplusWatch::kWindow);
}

TEST_CASE("the pool lets the surplus worker go, and its calls run in the other") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  // A pause: one call runs, the other waits, until there is a second worker.
  const auto first = rig.calls(f, 2);
  rig.boot_all();
  rig.pass(milliseconds(30));
  rig.boot_all();
  for (const InvocationId c : first) rig.reply(rig.worker_of(c), c, 20);
  REQUIRE(rig.function(f).ready == 2);
  for (int i = 0; i < 700; ++i) {
    for (const InvocationId c : rig.calls(f, 2)) rig.reply(rig.worker_of(c), c, 20);
    rig.pass(milliseconds(1));
  }
  CHECK(rig.count(What::stop) == 1);
  CHECK(rig.core.pool().stats().surplus == 1);
  CHECK(rig.function(f).ready == 1);
  for (const InvocationId c : rig.calls(f, 2)) {
    rig.reply(rig.worker_of(c), c, 20);
    CHECK(rig.end(c).kind == Outcome::Kind::reply);
  }
}
