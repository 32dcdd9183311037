// How long idle workers stay: the histogram's windows, when it is believed, and what the pool makes
// of them.
#include "core/keep_alive.h"

#include "core/test_rig.h"

using namespace hearth;
using std::chrono::hours;
using std::chrono::minutes;
using What = Ask::What;

namespace {

constexpr nanoseconds kFixed = minutes(10);

IdleHistogram histogram(nanoseconds idle, int times) {
  IdleHistogram h;
  for (int i = 0; i < times; ++i) h.record(idle);
  return h;
}

// One call that ends at once.
void serve(Rig& rig, FunctionId f) {
  const InvocationId c = rig.call(f);
  rig.boot_all();
  rig.reply(rig.worker_of(c), c);
}

// Like pass(), in steps of a second: hours are long. Workers boot and end as they are asked to.
void idle(Rig& rig, nanoseconds time) {
  for (nanoseconds gone{0}; gone < time; gone += seconds(1)) {
    rig.clock.advance(seconds(1));
    rig.timers.advance(rig.clock.now());
    rig.settle();
    rig.boot_all();
    for (const WorkerId w : rig.live()) {
      if (rig.count(What::stop, w) != 0) rig.exit(w, {.wait_status = 0});
    }
  }
}

}  // namespace

TEST_CASE("a few idle times say nothing") {
  const IdleHistogram h = histogram(minutes(30), IdleHistogram::kLeast - 1);
  CHECK_FALSE(h.representative());
  CHECK(h.window(kFixed).until == kFixed);
  CHECK(h.window(kFixed).prewarm == nanoseconds(0));
}

TEST_CASE("a function that is called every half hour is loaded shortly before") {
  const IdleHistogram h = histogram(minutes(30) + seconds(20), 20);
  REQUIRE(h.representative());
  CHECK(h.window(kFixed).prewarm == minutes(27));
  CHECK(h.window(kFixed).until == seconds(31 * 66));
}

TEST_CASE(
    "a function that is called within the minute stays loaded and not for longer than needed") {
  const IdleHistogram h = histogram(seconds(10), 100);
  CHECK(h.window(kFixed).prewarm == nanoseconds(0));
  CHECK(h.window(kFixed).until == seconds(66));
}

TEST_CASE("idle times that are spread evenly say nothing") {
  IdleHistogram h;
  for (int round = 0; round < 10; ++round) {
    for (int bin = 0; bin < 240; ++bin) h.record(minutes(bin));
  }
  CHECK_FALSE(h.representative());
}

TEST_CASE("idle times beyond its end count against it") {
  IdleHistogram h = histogram(minutes(30), 10);
  for (int i = 0; i < 10; ++i) h.record(hours(5));
  CHECK(h.representative());
  h.record(hours(4));  // the first minute beyond
  CHECK_FALSE(h.representative());
}

TEST_CASE("a full counter halves all of them") {
  IdleHistogram h = histogram(minutes(3), 65'534);
  h.record(minutes(7));
  CHECK(h.count() == 65'535);
  h.record(minutes(3));
  CHECK(h.count() == 32'767);
  CHECK(h.representative());
}

TEST_CASE("the head is the 5th and the tail the 99th percentile") {
  IdleHistogram h;
  for (int i = 0; i < 4; ++i) h.record(minutes(2));
  for (int i = 0; i < 95; ++i) h.record(minutes(20));
  h.record(minutes(200));
  CHECK(h.window(kFixed).prewarm == minutes(18));
  CHECK(h.window(kFixed).until == seconds(21 * 66));
  h.record(minutes(2));
  h.record(minutes(2));
  CHECK(h.window(kFixed).prewarm == seconds(2 * 54));
}

// ---- in the pool

TEST_CASE("by default an idle worker stays for the idle time and nothing comes back") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  serve(rig, f);
  idle(rig, minutes(9));
  CHECK(rig.count(What::stop) == 0);
  idle(rig, minutes(2));
  CHECK(rig.count(What::stop) == 1);
  idle(rig, minutes(60));
  CHECK(rig.count(What::start) == 1);
}

TEST_CASE("a periodic function leaves after its call and is there again before the next") {
  Rig rig;
  rig.core.pool().set_keep_alive(KeepAlivePolicy::histogram);
  const FunctionId f = rig.deploy(one_worker());
  for (int i = 0; i < 10; ++i) {
    serve(rig, f);
    idle(rig, minutes(30));
  }
  // It has been learnt: ten minutes after its call nothing of the function is loaded.
  serve(rig, f);
  const size_t starts = rig.count(What::start);
  idle(rig, minutes(10));
  CHECK(rig.core.pool().workers() == 0);
  idle(rig, minutes(16));
  CHECK(rig.count(What::start) == starts);
  idle(rig, minutes(2));
  CHECK(rig.count(What::start) == starts + 1);
  CHECK(rig.core.pool().stats().prewarms > 0);
  CHECK(rig.function(f).ready == 1);
  const InvocationId c = rig.call(f);
  CHECK(rig.worker_of(c));  // it did not wait
  rig.reply(rig.worker_of(c), c);
}

TEST_CASE("a worker that came back and is not called leaves at the tail") {
  Rig rig;
  rig.core.pool().set_keep_alive(KeepAlivePolicy::histogram);
  const FunctionId f = rig.deploy(one_worker());
  for (int i = 0; i < 10; ++i) {
    serve(rig, f);
    idle(rig, minutes(30));
  }
  serve(rig, f);
  idle(rig, minutes(28));
  REQUIRE(rig.function(f).ready == 1);
  idle(rig, minutes(7));
  CHECK(rig.core.pool().workers() == 0);
  const size_t starts = rig.count(What::start);
  idle(rig, minutes(120));
  CHECK(rig.count(What::start) == starts);  // once for each silence
}

TEST_CASE("workers_min stays whatever the histogram says") {
  Rig rig;
  rig.core.pool().set_keep_alive(KeepAlivePolicy::histogram);
  FunctionSpec spec = one_worker();
  spec.concurrency.workers_min = 1;
  const FunctionId f = rig.fleet(spec, 1);
  for (int i = 0; i < 10; ++i) {
    serve(rig, f);
    idle(rig, minutes(30));
  }
  CHECK(rig.count(What::stop) == 0);
  CHECK(rig.function(f).ready == 1);
}
