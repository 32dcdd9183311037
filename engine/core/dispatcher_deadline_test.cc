// Calls that end before their worker answers: deadlines in every stage, pings, and callers who go
// away.
#include "core/dispatcher.h"
#include "core/test_rig.h"

using namespace hearth;
using What = Ask::What;

// ---- deadlines

TEST_CASE("a queued call ends with queue timeout") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  rig.warm(f);
  FunctionSpec patient = one_worker();
  patient.revision = "r2";
  patient.timeout = seconds(60);
  rig.deploy(patient);
  const InvocationId running = rig.call(f);
  rig.boot_all();
  const InvocationId c = rig.call(f);
  rig.pass(rig.limits.queue_time - milliseconds(1));
  CHECK_FALSE(rig.ended(c));
  rig.pass(milliseconds(1));
  CHECK(rig.end(c).code == Code::queue_timeout);
  CHECK_FALSE(rig.ended(running));
}

TEST_CASE("a queued call ends at its caller's own deadline") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const InvocationId c = rig.call(f, rig.clock.now() + milliseconds(50));
  rig.pass(milliseconds(51));
  CHECK(rig.end(c).code == Code::deadline_exceeded);
}

TEST_CASE("a call whose caller's deadline has passed is not sent") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.call(f, rig.clock.now());
  rig.settle();
  CHECK(rig.end(c).code == Code::deadline_exceeded);
  CHECK(rig.count(What::send, w) == 1);
}

TEST_CASE("a worker that runs only the late call is killed at the deadline") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.call(f);
  const InvocationId queued = rig.call(f);
  rig.pass(milliseconds(3'000));
  CHECK(rig.end(c).code == Code::deadline_exceeded);
  CHECK(rig.end(c).detail == "Task timed out after 3.00 seconds");
  CHECK(rig.count(What::kill, w) == 1);
  rig.exit(w, {.wait_status = 9, .killed_by_engine = true});
  rig.boot_all();
  CHECK(rig.worker_of(queued));
  CHECK_FALSE(rig.worker_of(queued) == w);
}

TEST_CASE("calls behind a late one are handed back and run elsewhere") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f, 10);
  const auto ids = rig.calls(f, 3);
  rig.clock.advance(milliseconds(
      3'000));  // no time for a recall before: all three were sent in the same millisecond
  rig.timers.advance(rig.clock.now());
  rig.settle();
  CHECK(rig.end(ids[0]).code == Code::deadline_exceeded);
  CHECK_FALSE(rig.ended(ids[1]));
  CHECK(rig.count(What::ping, w) == 1);
  CHECK(rig.count(What::kill, w) == 0);
  rig.pong(w, rig.last(What::ping).sequence);
  rig.handback(w, ids[1]);
  CHECK(rig.count(What::kill, w) == 0);
  rig.handback(w, ids[2]);
  CHECK(rig.count(What::kill, w) == 1);
  rig.exit(w);
  rig.boot_all();
  CHECK_FALSE(rig.ended(ids[1]));
  CHECK(rig.worker_of(ids[2]));
}

TEST_CASE("a late worker that misses its ping is killed and what it held is lost") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f, 10);
  const auto ids = rig.calls(f, 2);
  rig.pass(milliseconds(3'000));
  CHECK(rig.count(What::kill, w) == 0);
  rig.pass(milliseconds(101));
  CHECK(rig.count(What::kill, w) == 1);
  rig.exit(w);
  CHECK(rig.end(ids[1]).code == Code::worker_lost);
  CHECK(rig.end(ids[1]).detail.find("ping") != std::string::npos);
}

TEST_CASE("a late worker that answers pings but hands nothing back does not keep calls for ever") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f, 10);
  const auto ids = rig.calls(f, 2);
  rig.pass(milliseconds(3'000));
  rig.pong(w, rig.last(What::ping).sequence);
  rig.pass(milliseconds(201));
  CHECK(rig.end(ids[1]).code == Code::worker_lost);
  CHECK(rig.count(What::kill, w) == 1);
}

TEST_CASE("a call that waited behind a slow one gets its own time") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f, 10);
  const auto ids = rig.calls(f, 2);
  rig.pass(milliseconds(2'000));
  rig.reply(w, ids[0]);
  rig.pass(milliseconds(2'900));
  CHECK_FALSE(rig.ended(ids[1]));
  rig.pass(milliseconds(101));
  CHECK(rig.end(ids[1]).code == Code::deadline_exceeded);
}

TEST_CASE("a caller's deadline that passes behind another call costs no worker") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f, 10);
  const InvocationId head = rig.call(f);
  const InvocationId c = rig.call(f, rig.clock.now() + milliseconds(5));
  CHECK(rig.worker_of(c) == w);
  rig.pass(milliseconds(6));
  CHECK(rig.end(c).code == Code::deadline_exceeded);
  CHECK(rig.recalled(c));
  CHECK(rig.handback(w, c));
  CHECK(rig.reply(w, head));
  CHECK(rig.count(What::kill) + rig.count(What::stop) == 0);
}

TEST_CASE("with several calls in a worker a late one leaves the others their time") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker(2));
  const WorkerId w = rig.warm(f);
  const InvocationId late = rig.call(f, rig.clock.now() + milliseconds(10));
  const InvocationId other = rig.call(f);
  rig.pass(milliseconds(11));
  CHECK(rig.end(late).code == Code::deadline_exceeded);
  CHECK(rig.count(What::ping, w) == 1);
  const InvocationId next = rig.call(f);
  CHECK_FALSE(rig.worker_of(next) == w);  // no new calls
  rig.pong(w, rig.last(What::ping).sequence);
  rig.pass(milliseconds(500));
  CHECK(rig.count(What::kill, w) == 0);
  rig.reply(w, other);
  CHECK(rig.end(other).kind == Outcome::Kind::reply);
  CHECK(rig.count(What::kill, w) == 1);
}

TEST_CASE("a late call that answers after all lets its worker stop in peace") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker(2));
  const WorkerId w = rig.warm(f);
  const InvocationId late = rig.call(f, rig.clock.now() + milliseconds(10));
  const InvocationId other = rig.call(f);
  rig.pass(milliseconds(11));
  rig.reply(w, late);
  rig.reply(w, other);
  CHECK(rig.count(What::stop, w) == 1);
  CHECK(rig.count(What::kill, w) == 0);
}

// ---- the caller goes away

TEST_CASE("an abandoned queued call is gone") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const InvocationId c = rig.call(f);
  rig.core.abandon(c);
  rig.core.abandon(c);
  rig.settle();
  CHECK(rig.queued(f) == 0);
  CHECK(rig.core.idle());
  rig.boot_all();
  CHECK_FALSE(rig.worker_of(c));
  CHECK_FALSE(rig.ended(c));
}

TEST_CASE("an abandoned call that never ends gets its worker killed at its deadline") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.call(f);
  rig.core.abandon(c);
  rig.pass(milliseconds(3'000));
  CHECK(rig.count(What::kill, w) == 1);
  CHECK_FALSE(rig.ended(c));
}

TEST_CASE("an abandoned call that is handed back is gone") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f, 10);
  const auto ids = rig.calls(f, 2);
  rig.core.abandon(ids[1]);
  rig.pass(milliseconds(25));
  CHECK(rig.handback(w, ids[1]));
  CHECK(rig.queued(f) == 0);
}

TEST_CASE("a call may be abandoned while its completion waits to be delivered") {
  Rig rig;
  const FunctionId f = rig.fleet(function_spec(), 2);
  const InvocationId a = rig.call(f);
  const InvocationId b = rig.call(f);
  CHECK(rig.core.on_reply(rig.worker_of(a), a, {.payload = "x"}));
  rig.core.abandon(a);
  rig.settle();
  CHECK_FALSE(rig.ended(a));
  // and inside another call's `done`
  const InvocationId c = rig.call(f);
  CHECK(rig.core.on_reply(rig.worker_of(b), b, {.payload = "x"}));
  CHECK(rig.core.on_reply(rig.worker_of(c), c, {.payload = "x"}));
  rig.abandon_in_done = c;
  rig.settle();
  CHECK(rig.ended(b));
  CHECK_FALSE(rig.ended(c));
}
