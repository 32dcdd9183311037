// The life of workers: starts and how many, failures and back-off, redeploys and removals, idling,
// eviction, protocol order.
#include "core/worker_pool.h"

#include "core/test_rig.h"

using namespace hearth;
using What = Ask::What;

namespace {

FunctionSpec sized(const char* name, uint64_t megabytes) {
  FunctionSpec spec = function_spec();
  spec.name = name;
  spec.memory_bytes = mebibytes(megabytes);
  return spec;
}

Limits with_budget(uint64_t megabytes) {
  Limits limits;
  limits.memory_budget = mebibytes(megabytes);
  return limits;
}

// The newest worker's start fails while its code loads.
void fail_init(Rig& rig) {
  const WorkerId w = rig.last(What::start).worker;
  rig.parked(w);
  rig.core.on_worker_init_failed(w, "{\"errorType\":\"ImportError\"}");
  rig.settle();
  rig.exit(w, {.wait_status = 1 << 8});
}

}  // namespace

// ---- how many start

TEST_CASE("a cold burst of short calls starts one worker") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const auto ids = rig.calls(f, 64);
  CHECK(rig.count(What::start) == 1);
  rig.pass(milliseconds(60));  // it takes its time to load
  rig.boot_all();
  const WorkerId w = rig.worker_of(ids[0]);
  for (const InvocationId id : ids) CHECK(rig.reply(w, id, 10));
  rig.pass(milliseconds(20));
  CHECK(rig.count(What::start) == 1);
}

TEST_CASE("200 calls that sleep start as many workers as they may and all of them execute") {
  Rig rig;
  FunctionSpec spec = function_spec();
  spec.concurrency.workers_max = 50;
  const FunctionId f = rig.deploy(spec);
  rig.calls(f, 200);
  rig.boot_all();
  for (int ms = 0; ms < 50; ++ms) {  // each worker loads within a millisecond
    rig.pass(milliseconds(1));
    rig.boot_all();
  }
  CHECK(rig.count(What::start) == 50);
  CHECK(rig.count(What::send) == 50);
  rig.pass(milliseconds(200));
  CHECK(rig.count(What::start) == 50);
}

TEST_CASE("before the first reply no more than four workers start") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  rig.calls(f, 500);
  rig.pass(milliseconds(300));
  CHECK(rig.count(What::start) == 4);
}

TEST_CASE("workers min are kept warm and restored when one dies") {
  Rig rig;
  const FunctionId f = rig.fleet(function_spec(), 2);
  CHECK(rig.function(f).ready == 2);
  rig.exit(rig.live().front());
  CHECK(rig.count(What::start) == 3);
  rig.boot_all();
  CHECK(rig.function(f).ready == 2);
}

TEST_CASE("workers min are restored after failed starts although nobody calls") {
  Rig rig;
  FunctionSpec spec = function_spec();
  spec.concurrency.workers_min = 1;
  const FunctionId f = rig.deploy(spec);
  const InvocationId waits = rig.call(f);
  rig.pass(milliseconds(1));
  fail_init(rig);
  CHECK(rig.ended(waits));
  rig.pass(milliseconds(250));
  CHECK(rig.count(What::start) == 2);
  rig.boot_all();
  CHECK(rig.function(f).ready == 1);
}

TEST_CASE("a parked worker is bound at once and another takes its place") {
  Rig rig;
  rig.core.pool().set_parked_target(Runtime::python3, 1);
  rig.boot_all();
  CHECK(rig.core.pool().parked(Runtime::python3) == 1);
  const FunctionId f = rig.deploy(function_spec());
  rig.call(f);
  CHECK(rig.count(What::bind) == 1);
  CHECK(rig.count(What::start) == 1);
  rig.pass(milliseconds(25));
  CHECK(rig.count(What::start) == 2);
  CHECK(rig.core.pool().stats().pool_hits == 1);
}

// ---- starts that fail

TEST_CASE("a failed init is answered to everyone who waits with its payload") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const auto ids = rig.calls(f, 3);
  fail_init(rig);
  for (const InvocationId id : ids) {
    CHECK(rig.end(id).kind == Outcome::Kind::function_error);
    CHECK(rig.end(id).code == Code::init_failed);
    CHECK(rig.end(id).payload == "{\"errorType\":\"ImportError\"}");
  }
  const InvocationId between = rig.call(f);  // at once, with the same cause
  rig.settle();
  CHECK(rig.end(between).code == Code::init_failed);
  CHECK(rig.count(What::start) == 1);
}

TEST_CASE(
    "failed starts back off from 100 ms by doubling up to 30 s and a new revision forgets them") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  milliseconds wait{100};
  for (size_t failures = 1; failures <= 11; ++failures) {
    const InvocationId c = rig.call(f);
    REQUIRE(rig.count(What::start) == failures);
    fail_init(rig);
    CHECK(rig.ended(c));
    rig.clock.advance(wait - milliseconds(1));
    rig.timers.advance(rig.clock.now());
    rig.call(f);
    rig.settle();
    REQUIRE(rig.count(What::start) == failures);
    rig.clock.advance(milliseconds(1));
    wait = std::min(wait * 2, milliseconds(30'000));
  }
  rig.call(f);
  fail_init(rig);
  rig.deploy(function_spec("r2"));
  const InvocationId fresh = rig.call(f);
  CHECK(rig.count(What::start) == 13);
  rig.boot_all();
  CHECK(rig.worker_of(fresh));
}

TEST_CASE(
    "a function's own time for its init goes before that of all, and its calls wait as long") {
  Rig rig;
  FunctionSpec spec = function_spec();
  spec.init_timeout = rig.limits.queue_time + seconds(5);
  const FunctionId slow = rig.deploy(spec);
  const InvocationId call = rig.call(slow);
  const WorkerId w = rig.last(What::start).worker;
  rig.parked(w);
  rig.pass(rig.limits.queue_time + seconds(4));
  CHECK_FALSE(rig.ended(call));
  CHECK(rig.count(What::kill) == 0);
  rig.ready(w);
  CHECK(rig.worker_of(call) == w);
  rig.reply(w, call);

  spec = function_spec("r2");
  spec.name = "quick";
  spec.init_timeout = milliseconds(50);
  const FunctionId quick = rig.deploy(spec);
  const InvocationId late = rig.call(quick);
  rig.parked(rig.last(What::start).worker);
  rig.pass(milliseconds(51));
  CHECK(rig.count(What::kill) == 1);
  rig.exit(rig.last(What::start).worker, {.wait_status = 9});
  CHECK(rig.end(late).code == Code::init_timeout);
  CHECK(rig.end(late).detail.find("within 50 ms (its init_timeout)") != std::string::npos);
}

TEST_CASE("a start fails with the cause that fits") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const InvocationId dead = rig.call(f);
  rig.exit(rig.last(What::start).worker, {.start_failed = true, .detail = "no such file"});
  CHECK(rig.end(dead).code == Code::worker_start_failed);
  CHECK(rig.end(dead).detail == "no such file");
  rig.pass(milliseconds(101));
  const InvocationId slow_boot = rig.call(f);
  rig.pass(rig.limits.boot_timeout);
  CHECK(rig.count(What::kill) == 1);
  rig.exit(rig.last(What::start).worker, {.wait_status = 9});
  CHECK(rig.end(slow_boot).code == Code::worker_start_failed);
  rig.pass(milliseconds(201));
  const InvocationId slow_init = rig.call(f);
  rig.parked(rig.last(What::start).worker);
  rig.pass(rig.limits.init_timeout);
  rig.core.on_worker_ready(rig.last(What::start).worker, 1);  // its READY and the kill cross
  rig.settle();
  CHECK_FALSE(rig.worker_of(slow_init));
  rig.exit(rig.last(What::start).worker, {.wait_status = 9});
  CHECK(rig.end(slow_init).code == Code::init_timeout);
  CHECK(rig.core.pool().stats().init_timeouts == 1);
  CHECK(rig.core.pool().stats().boot_timeouts == 1);
  rig.pass(milliseconds(401));
  const InvocationId crash = rig.call(f);
  rig.parked(rig.last(What::start).worker);
  rig.exit(rig.last(What::start).worker, {.wait_status = 11});
  CHECK(rig.end(crash).code == Code::init_failed);
  CHECK(rig.end(crash).detail.find("signal: segmentation fault") != std::string::npos);
}

TEST_CASE("a worker that dies while it loads code that has loaded before is replaced at once") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId first = rig.warm(f);
  rig.exit(first, {.wait_status = 9});
  const auto waiting = rig.calls(f, 3);
  const auto loading = [&] {
    const WorkerId w = rig.last(What::start).worker;
    rig.parked(w);
    return w;
  };
  rig.exit(loading(), {.wait_status = 9});
  CHECK(rig.count(What::start) == 3);
  for (const InvocationId id : waiting) CHECK_FALSE(rig.ended(id));

  SECTION("and who waits is served") {
    const WorkerId next = loading();
    rig.ready(next);
    CHECK(rig.worker_of(waiting[0]) == next);
    CHECK(rig.function(f).failure.count == 0);
  }
  SECTION("and the second that dies is told") {
    rig.exit(loading(), {.wait_status = 9});
    for (const InvocationId id : waiting) CHECK(rig.end(id).code == Code::init_failed);
    CHECK(rig.count(What::start) == 3);
  }
  SECTION("but not once more for code that says no") {
    fail_init(rig);
    for (const InvocationId id : waiting) CHECK(rig.end(id).code == Code::init_failed);
  }
  CHECK(rig.core.pool().stats().start_failures >= 1);
}

TEST_CASE("a new revision has not loaded before") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  rig.exit(rig.warm(f), {.wait_status = 9});
  rig.deploy(function_spec("r2"));
  const InvocationId waits = rig.call(f);
  rig.parked(rig.last(What::start).worker);
  rig.exit(rig.last(What::start).worker, {.wait_status = 9});
  CHECK(rig.end(waits).code == Code::init_failed);
}

TEST_CASE("five crashes without a reply make the next start wait") {
  Rig rig;
  FunctionSpec spec = function_spec();
  spec.concurrency.workers_max = 1;
  const FunctionId f = rig.deploy(spec);
  for (size_t crashes = 1; crashes <= 5; ++crashes) {
    const InvocationId c = rig.call(f);
    REQUIRE(rig.count(What::start) == crashes);
    rig.boot_all();
    rig.exit(rig.worker_of(c));
    CHECK(rig.end(c).code == Code::worker_lost);
  }
  rig.call(f);
  CHECK(rig.count(What::start) == 5);
  rig.pass(milliseconds(9));
  CHECK(rig.count(What::start) == 5);
  rig.pass(milliseconds(6));
  CHECK(rig.count(What::start) == 6);
}

// ---- deploying anew, removing

TEST_CASE("a booting worker loads the revision that is current when it says hello") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const InvocationId c = rig.call(f);
  rig.deploy(function_spec("r2"));
  CHECK(rig.count(What::start) == 1);
  rig.boot_all();
  CHECK(rig.last(What::bind).spec->revision == "r2");
  rig.reply(rig.worker_of(c), c);
  CHECK(rig.end(c).revision == "r2");
}

TEST_CASE("a native worker that boots an old revision is killed and its late hello is ignored") {
  Rig rig;
  FunctionSpec spec = function_spec();
  spec.runtime = Runtime::native;
  const FunctionId f = rig.deploy(spec);
  const InvocationId c = rig.call(f);
  const WorkerId old = rig.last(What::start).worker;
  spec.revision = "r2";
  rig.deploy(spec);
  CHECK(rig.count(What::kill, old) == 1);
  rig.parked(old);
  CHECK(rig.count(What::bind, old) == 0);
  rig.exit(old, {.wait_status = 9});
  CHECK_FALSE(rig.ended(c));
  rig.boot_all();
  CHECK(rig.worker_of(c));
}

TEST_CASE("a worker that loads an old revision is killed and the calls wait for the new one") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const InvocationId c = rig.call(f);
  const WorkerId old = rig.last(What::start).worker;
  rig.parked(old);
  rig.deploy(function_spec("r2"));
  CHECK(rig.count(What::kill, old) == 1);
  CHECK(rig.count(What::start) == 2);
  rig.exit(old, {.wait_status = 9});
  CHECK_FALSE(rig.ended(c));
}

TEST_CASE("after a deploy idle workers stop and busy ones finish their call first") {
  Rig rig;
  const FunctionId f = rig.fleet(function_spec(), 2);
  const InvocationId c = rig.call(f);
  const WorkerId busy = rig.worker_of(c);
  rig.deploy(function_spec("r2"));
  CHECK(rig.count(What::stop) == 1);
  CHECK(rig.count(What::stop, busy) == 0);
  const InvocationId fresh = rig.call(f);
  CHECK_FALSE(rig.worker_of(fresh));
  rig.reply(busy, c);
  CHECK(rig.end(c).revision == "r1");
  CHECK(rig.count(What::stop, busy) == 1);
}

TEST_CASE("removing a function ends its queued calls and lets running ones finish") {
  Rig rig;
  FunctionSpec spec = function_spec();
  spec.concurrency.workers_max = 1;
  const FunctionId f = rig.deploy(spec);
  const WorkerId w = rig.warm(f);
  const InvocationId running = rig.call(f);
  const InvocationId queued = rig.call(f);
  CHECK(rig.core.remove("f"));
  CHECK_FALSE(rig.core.remove("f"));
  rig.settle();
  CHECK(rig.end(queued).code == Code::function_unknown);
  CHECK_FALSE(rig.core.find("f"));
  CHECK(rig.submit(f).error().code == Code::function_unknown);
  rig.reply(w, running);
  CHECK(rig.end(running).kind == Outcome::Kind::reply);
  rig.exit(w, {.wait_status = 0});
  CHECK(rig.core.spec(f) == nullptr);
}

// ---- idling, the budget

TEST_CASE("the most recently used worker is taken and the others age out down to workers min") {
  Limits limits;
  limits.idle_timeout = seconds(2);
  Rig rig(limits);
  const FunctionId f = rig.fleet(function_spec(), 3);
  FunctionSpec spec = function_spec("r2");
  spec.concurrency.workers_min = 1;
  const auto burst = rig.calls(f, 3);
  const WorkerId last = rig.worker_of(burst[0]);
  for (const InvocationId id : {burst[1], burst[2], burst[0]}) rig.reply(rig.worker_of(id), id);
  const InvocationId c = rig.call(f);
  CHECK(rig.worker_of(c) == last);
  rig.reply(last, c);
  rig.pass(milliseconds(4'100));
  CHECK(rig.count(What::stop) == 0);  // workers_min is 3
  rig.deploy(spec);
  rig.boot_all();
  CHECK(rig.function(f).ready == 1);
}

TEST_CASE("an idle worker leaves after the idle timeout") {
  Limits limits;
  limits.idle_timeout = seconds(2);
  Rig rig(limits);
  const FunctionId f = rig.deploy(function_spec());
  const WorkerId w = rig.warm(f);
  rig.pass(milliseconds(1'999));
  CHECK(rig.count(What::stop, w) == 0);
  rig.pass(milliseconds(2'002));
  CHECK(rig.count(What::stop, w) == 1);
}

TEST_CASE(
    "idle workers of other functions make way in the memory budget, the longest unused first") {
  Rig rig(with_budget(400));
  const FunctionId a = rig.deploy(sized("a", 128));
  const FunctionId b = rig.deploy(sized("b", 128));
  const WorkerId oldest = rig.warm(a);
  rig.pass(milliseconds(2));
  const WorkerId newer = rig.warm(b);
  const FunctionId c = rig.deploy(sized("c", 200));
  const InvocationId call = rig.call(c);
  CHECK(rig.count(What::stop, oldest) == 1);
  CHECK(rig.count(What::stop, newer) == 0);
  CHECK(rig.core.pool().stats().memory_charged == mebibytes(328));
  rig.boot_all();
  CHECK(rig.worker_of(call));
}

TEST_CASE("a parked worker that is about to be bound is not evicted for itself") {
  Rig rig(with_budget(128));
  rig.core.pool().set_parked_target(Runtime::python3, 1);
  rig.boot_all();
  const FunctionId f = rig.deploy(sized("a", 128));
  rig.call(f);
  CHECK(rig.count(What::bind) == 1);
  CHECK(rig.count(What::stop) == 0);
}

TEST_CASE("a function that can never be afforded evicts nobody and its calls name the budget") {
  Rig rig(with_budget(256));
  const FunctionId small = rig.deploy(sized("small", 128));
  const WorkerId w = rig.warm(small);
  const FunctionId big = rig.deploy(sized("big", 512));
  const InvocationId c = rig.call(big);
  rig.pass(rig.limits.queue_time + milliseconds(1));
  CHECK(rig.count(What::stop, w) == 0);
  CHECK(rig.end(c).code == Code::memory_budget);
}

TEST_CASE("when every slot is taken one idle worker at a time makes way") {
  Limits limits;
  limits.workers_max = 3;
  Rig rig(limits);
  const FunctionId a = rig.fleet(function_spec(), 3);
  FunctionSpec relaxed = function_spec("r1");
  CHECK(rig.function(a).ready == 3);
  const FunctionId b = rig.deploy(sized("b", 128));
  const InvocationId c = rig.call(b);
  rig.pass(milliseconds(50));
  CHECK(rig.count(What::stop) == 0);  // workers_min holds all three
  rig.core.remove("f");
  rig.exit(rig.live().front(), {.wait_status = 0});
  rig.pass(milliseconds(10));
  rig.boot_all();
  CHECK(rig.worker_of(c));
}

// ---- protocol order

TEST_CASE("hello and ready twice are violations") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  rig.call(f);
  const WorkerId w = rig.last(What::start).worker;
  rig.parked(w);
  rig.ready(w);
  SECTION("hello") { rig.parked(w); }
  SECTION("ready") { rig.ready(w); }
  SECTION("init error after ready") {
    rig.core.on_worker_init_failed(w, "{}");
    rig.settle();
  }
  CHECK(rig.count(What::kill, w) == 1);
  CHECK(rig.core.pool().stats().violations == 1);
  rig.exit(w, {.wait_status = 9});
  CHECK(rig.ends.back().code == Code::protocol_violation);
}

TEST_CASE("ready before init is a violation") {
  Rig rig;
  rig.core.pool().set_parked_target(Runtime::nodejs, 1);
  const WorkerId w = rig.last(What::start).worker;
  SECTION("while booting") { rig.ready(w); }
  SECTION("while parked") {
    rig.parked(w);
    rig.ready(w);
  }
  CHECK(rig.count(What::kill, w) == 1);
}

TEST_CASE("a worker that does not exit is killed again") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const WorkerId w = rig.warm(f);
  rig.core.on_violation(w, "nonsense");
  rig.settle();
  rig.pass(milliseconds(1'001));
  CHECK(rig.count(What::kill, w) == 2);
}

TEST_CASE("events of a worker that has exited are ignored") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const WorkerId w = rig.warm(f);
  rig.exit(w);
  rig.parked(w);
  rig.ready(w);
  rig.pong(w, 0);
  rig.exit(w);
  CHECK_FALSE(rig.reply(w, {0, 1}));
  CHECK(rig.core.pool().workers() == 0);
}
