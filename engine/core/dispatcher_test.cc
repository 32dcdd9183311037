// What happens to calls: each cell of the state table in design/0001-invoke-path.md, prefetch and
// recall, deadlines, admission, delivery.
#include "core/dispatcher.h"

#include "core/test_rig.h"

using namespace hearth;
using What = Ask::What;

// ---- reply

TEST_CASE("a reply to a sent call ends it") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const InvocationId c = rig.call(f);
  rig.boot_all();
  const WorkerId w = rig.worker_of(c);
  CHECK(rig.link.asks.back().payload == "{}");
  CHECK(rig.reply(w, c, 777, "pong"));
  const End& end = rig.end(c);
  CHECK(end.kind == Outcome::Kind::reply);
  CHECK(end.payload == "pong");
  CHECK(end.exec_us == 777);
  CHECK(end.cold);
  CHECK(end.init_us == 5'000);
  const InvocationId second = rig.call(f);
  rig.reply(w, second);
  CHECK_FALSE(rig.end(second).cold);
}

TEST_CASE("a reply for a queued call is a violation") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  const InvocationId running = rig.call(f);
  const InvocationId queued = rig.call(f);
  CHECK_FALSE(rig.reply(w, queued));
  rig.core.on_violation(w, "an unknown id");
  CHECK(rig.count(What::kill, w) == 1);
  rig.exit(w);
  CHECK(rig.end(running).code == Code::protocol_violation);
  CHECK_FALSE(rig.ended(queued));
}

TEST_CASE("a second reply and a reply for an unknown id are violations") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.call(f);
  CHECK(rig.reply(w, c));
  CHECK_FALSE(rig.reply(w, c));
  CHECK_FALSE(rig.reply(w, {9'999, 1}));
  CHECK_FALSE(rig.handback(w, c));
}

TEST_CASE("a reply for another worker's call is a violation") {
  Rig rig;
  const FunctionId f = rig.fleet(function_spec(), 2);
  const InvocationId a = rig.call(f);
  const InvocationId b = rig.call(f);
  CHECK_FALSE(rig.reply(rig.worker_of(a), b));
  CHECK_FALSE(rig.ended(b));
}

TEST_CASE("a reply that nobody waits for is dropped and counted") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.call(f);
  rig.core.abandon(c);
  rig.settle();
  CHECK(rig.count(What::cancel) == 1);
  CHECK(rig.reply(w, c));
  CHECK_FALSE(rig.ended(c));
  CHECK(rig.core.stats().dropped_replies == 1);
}

TEST_CASE(
    "a reply that is too large ends the call and its worker is freed by the end of the reply") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.call(f);
  CHECK(rig.core.on_reply_too_large(w, c, false));
  rig.settle();
  CHECK(rig.end(c).code == Code::reply_too_large);
  CHECK(rig.core.stats().replies_too_large == 1);
  CHECK(rig.reply(w, c));
  const InvocationId next = rig.call(f);
  CHECK(rig.worker_of(next) == w);
}

TEST_CASE("a reply that is too large and never ends gets its worker killed at the deadline") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  CHECK(rig.core.on_reply_too_large(w, rig.call(f), false));
  rig.pass(milliseconds(3'001));
  CHECK(rig.count(What::kill, w) == 1);
}

TEST_CASE("an error of the function keeps its payload") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.call(f);
  CHECK(rig.core.on_reply(w, c,
                          {.payload = "{\"errorType\":\"E\"}", .is_error = true, .exec_us = 5}));
  rig.settle();
  CHECK(rig.end(c).kind == Outcome::Kind::function_error);
  CHECK(rig.end(c).code == Code::function_failed);
  CHECK(rig.end(c).payload == "{\"errorType\":\"E\"}");
}

// ---- prefetch and recall

TEST_CASE("calls are prefetched only when no worker is idle and their time is known to be short") {
  Rig rig;
  const FunctionId f = rig.fleet(function_spec(), 2);
  const InvocationId a = rig.call(f);
  const InvocationId b = rig.call(f);
  CHECK(rig.worker_of(a) != rig.worker_of(b));
  const InvocationId c = rig.call(f);
  CHECK_FALSE(rig.worker_of(c));  // nothing is known yet
  rig.reply(rig.worker_of(a), a, 10);
  CHECK(rig.worker_of(c) == rig.worker_of(a));
  const InvocationId d = rig.call(f);
  CHECK(rig.worker_of(d));  // behind another one
}

TEST_CASE("long calls are not prefetched") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  rig.warm(f, 1'000);  // high estimate: 3 ms
  const auto ids = rig.calls(f, 2);
  CHECK(rig.worker_of(ids[0]));
  CHECK(rig.queued(f) == 1);
}

TEST_CASE("at most per worker and prefetch calls wait in a worker") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f, 1);
  rig.calls(f, 70);
  CHECK(rig.count(What::send, w) == 1 + 65);
  CHECK(rig.queued(f) == 5);
}

TEST_CASE("a worker that falls idle calls back what waits behind a long call elsewhere") {
  Rig rig;
  const FunctionId f = rig.fleet(function_spec(), 2);
  const InvocationId a = rig.call(f);
  const InvocationId b = rig.call(f);
  rig.reply(rig.worker_of(a), a, 300);  // high: 900 us, two ahead
  const WorkerId other = rig.worker_of(a);
  const WorkerId slow = rig.worker_of(b);
  const InvocationId c = rig.call(f);
  CHECK(rig.worker_of(c) == other);
  const InvocationId d = rig.call(f);
  const InvocationId waiting = rig.worker_of(d) == slow ? d : rig.call(f);
  REQUIRE(rig.worker_of(waiting) == slow);
  for (const InvocationId id : {c, d}) {
    if (rig.worker_of(id) == other) rig.reply(other, id, 300);
  }
  CHECK(rig.recalled(waiting));
  CHECK(rig.handback(slow, waiting));
  CHECK(rig.worker_of(waiting) == other);
}

TEST_CASE("a stalled worker hands back what waits and gets no more until its call ends") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f, 10);
  const auto ids = rig.calls(f, 3);
  rig.pass(milliseconds(25));
  CHECK_FALSE(rig.recalled(ids[0]));
  CHECK(rig.recalled(ids[1]));
  CHECK(rig.recalled(ids[2]));
  CHECK(rig.handback(w, ids[1]));
  CHECK(rig.handback(w, ids[2]));
  CHECK(rig.queued(f) == 2);  // not back into the same worker
  const InvocationId later = rig.call(f);
  CHECK_FALSE(rig.worker_of(later));
  rig.reply(w, ids[0], 30'000);
  CHECK(rig.count(What::send, w) == 5);
}

TEST_CASE("calls that are handed back take their old place in the queue") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f, 10);
  const auto ids = rig.calls(f, 4);
  rig.pass(milliseconds(25));
  const InvocationId last = rig.call(f);
  for (const InvocationId id : {ids[3], ids[1], ids[2]}) CHECK(rig.handback(w, id));
  std::vector<InvocationId> order;
  Function& function = const_cast<Function&>(rig.function(f));
  for (Call* c = function.queue.front(); c != nullptr; c = function.queue.next(*c))
    order.push_back(c->id);
  CHECK(order == std::vector<InvocationId>{ids[1], ids[2], ids[3], last});
}

TEST_CASE("a second handback of the same call is a violation") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f, 10);
  const auto ids = rig.calls(f, 2);
  rig.pass(milliseconds(25));
  CHECK(rig.handback(w, ids[1]));
  CHECK_FALSE(rig.handback(w, ids[1]));
}

TEST_CASE("a worker that hands back unasked gets nothing more and its calls run elsewhere") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f, 10);
  const auto ids = rig.calls(f, 2);
  CHECK(rig.handback(w, ids[1]));
  CHECK(rig.reply(w, ids[0]));
  CHECK(rig.count(What::stop, w) == 1);
  rig.boot_all();
  CHECK(rig.worker_of(ids[1]));
  CHECK_FALSE(rig.worker_of(ids[1]) == w);
}

TEST_CASE("a call that one worker after the other hands back unasked ends") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const InvocationId c = rig.call(f);
  for (int returns = 1; returns <= 4; ++returns) {
    rig.boot_all();
    CHECK_FALSE(rig.ended(c));
    const WorkerId w = rig.worker_of(c);
    CHECK(rig.handback(w, c));
    CHECK(rig.count(What::stop, w) == 1);
  }
  CHECK(rig.end(c).code == Code::worker_lost);
}

TEST_CASE("a worker gets no call after a reply that it calls its last") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.call(f);
  const InvocationId queued = rig.call(f);
  CHECK(rig.core.on_reply(w, c, {.payload = "x", .last = true}));
  rig.settle();
  CHECK(rig.end(c).kind == Outcome::Kind::reply);
  CHECK(rig.count(What::stop, w) == 1);
  rig.boot_all();
  CHECK_FALSE(rig.worker_of(queued) == w);
}

TEST_CASE("a call handed back by one worker goes to another that has room") {
  Rig rig;
  FunctionSpec spec = function_spec();
  spec.concurrency.per_worker = 2;
  spec.concurrency.workers_max = 2;
  const FunctionId f = rig.fleet(spec, 2);
  const auto ids = rig.calls(f, 4);  // both workers are full
  rig.reply(rig.worker_of(ids[0]), ids[0], 10);
  const InvocationId refill = rig.call(f);
  const InvocationId ahead = rig.call(f);
  const WorkerId crowded = rig.worker_of(ahead);
  REQUIRE(crowded);
  rig.pass(milliseconds(25));
  REQUIRE(rig.recalled(ahead));
  const WorkerId other =
      rig.worker_of(ids[0]) == crowded
          ? (rig.worker_of(ids[1]) == crowded ? rig.worker_of(ids[2]) : rig.worker_of(ids[1]))
          : rig.worker_of(ids[0]);
  for (const InvocationId id : {ids[1], ids[2], ids[3], refill}) {
    if (rig.worker_of(id) == other && !rig.ended(id)) {
      rig.reply(other, id, 10);
      break;
    }
  }
  CHECK(rig.handback(crowded, ahead));
  CHECK(rig.worker_of(ahead) == other);
}

// ---- worker exit

TEST_CASE("a worker's exit ends its sent calls and requeues the unsent ones in their order") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f, 10);
  const auto ids = rig.calls(f, 4);
  rig.link.unsent = {ids[2], ids[3]};
  rig.exit(w);
  CHECK(rig.end(ids[0]).code == Code::worker_lost);
  CHECK(rig.end(ids[0]).tail == "last words");
  CHECK(rig.end(ids[0]).detail.find("signal: segmentation fault") != std::string::npos);
  CHECK(rig.end(ids[1]).code == Code::worker_lost);
  CHECK_FALSE(rig.ended(ids[2]));
  rig.link.unsent.clear();
  rig.boot_all();
  const WorkerId next = rig.worker_of(ids[2]);
  CHECK(next != w);
  CHECK(rig.last(What::send).call == ids[3]);
}

TEST_CASE("the way in which a worker dies names the error") {
  struct Case {
    WorkerExit exit;
    std::string tail;
    Code code;
    Runtime runtime = Runtime::python3;
  };
  const std::string cut_short =
      "terminate called after throwing an instance of 'terminate called recursively\n";
  const auto [exit, tail, code, runtime] = GENERATE_COPY(values<Case>(
      {{{.wait_status = 9, .out_of_memory = true}, "", Code::out_of_memory},
       {{.wait_status = 31}, "", Code::sandbox_violation},
       {{.wait_status = 6}, "FATAL: JavaScript heap out of memory", Code::out_of_memory},
       {{.wait_status = 6}, cut_short, Code::out_of_memory, Runtime::nodejs},
       {{.wait_status = 6}, cut_short, Code::worker_lost},
       {{.wait_status = 6}, "", Code::worker_lost},
       {{.wait_status = 1 << 8}, "", Code::worker_lost},
       {{.lost = true}, "", Code::spawner_lost}}));
  Rig rig;
  rig.link.tail = tail;
  FunctionSpec spec = function_spec();
  spec.runtime = runtime;
  const FunctionId f = rig.deploy(spec);
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.call(f);
  rig.exit(w, exit);
  CHECK(rig.end(c).code == code);
}

// ---- admission and delivery

TEST_CASE("limits refuse a call at the door and name themselves") {
  Limits limits;
  limits.calls_max = 3;
  Rig rig(limits);
  FunctionSpec spec = function_spec();
  spec.concurrency.queue = 2;
  const FunctionId f = rig.deploy(spec);
  rig.calls(f, 2);
  CHECK(rig.submit(f).error().code == Code::queue_full);
  spec.name = "g";
  const FunctionId g = rig.deploy(spec);
  rig.call(g);
  CHECK(rig.submit(g).error().code == Code::calls_full);
  CHECK(rig.submit({77, 3}).error().code == Code::function_unknown);
  CHECK(rig.core.stats().refused == 3);
}

TEST_CASE("a payload beyond the buffers is refused and leaves nothing behind") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const std::string large(65 << 20, 'x');
  CHECK(rig.submit(f, {}, large).error().code == Code::buffers_full);
  CHECK(rig.core.idle());
  CHECK(rig.buffers.bytes_taken() == 0);
}

TEST_CASE("done runs in deliver only and may submit again") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.call(f);
  rig.resubmit = f;
  rig.resubmissions = 1;
  CHECK(rig.core.on_reply(w, c, {.payload = "x"}));
  CHECK_FALSE(rig.ended(c));
  rig.settle();
  CHECK(rig.ended(c));
  CHECK(rig.core.stats().in_flight == 1);
  CHECK(rig.count(What::send, w) == 3);
}

// ---- the end

TEST_CASE("a drain refuses new calls and lets those in flight end") {
  Rig rig;
  const FunctionId f = rig.deploy(function_spec());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.call(f);
  rig.core.begin_drain();
  CHECK(rig.submit(f).error().code == Code::shutting_down);
  CHECK_FALSE(rig.core.idle());
  rig.reply(w, c);
  CHECK(rig.ended(c));
  CHECK(rig.core.idle());
}

TEST_CASE("close ends queued and sent calls and kills every worker") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  const InvocationId sent = rig.call(f);
  const InvocationId queued = rig.call(f);
  rig.core.close();
  rig.settle();
  CHECK(rig.end(sent).code == Code::shutting_down);
  CHECK(rig.end(queued).code == Code::shutting_down);
  CHECK(rig.count(What::kill, w) == 1);
  CHECK(rig.reply(w, sent));  // its reply and the kill crossed
  rig.exit(w);
  CHECK(rig.ends.size() == 3);
  CHECK(rig.count(What::start) == 1);
}
