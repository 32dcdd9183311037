// Calls that have ended for their callers while their workers still have them.
#include "core/test_rig.h"

using namespace hearth;
using What = Ask::What;

namespace {

bool linger(Rig& rig, WorkerId w, InvocationId c, std::string_view payload = "ok") {
  WorkerReply reply;
  reply.payload = payload;
  reply.exec_us = 100'000;
  reply.lingers = true;
  const bool taken = rig.core.on_reply(w, c, reply);
  rig.settle();
  return taken;
}

}  // namespace

TEST_CASE("a reply that lingers reaches its caller, and the worker gets no call before its end") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  const InvocationId first = rig.call(f);
  const InvocationId second = rig.call(f);
  CHECK(linger(rig, w, first, "early"));
  CHECK(rig.end(first).payload == "early");
  CHECK(rig.end(first).exec_us == 100'000);
  CHECK(rig.queued(f) == 1);
  CHECK(rig.reply(w, first));
  CHECK(rig.worker_of(second) == w);
  CHECK(rig.core.stats().dropped_replies == 0);
  CHECK_FALSE(rig.reply(w, first));
}

TEST_CASE(
    "a worker that lingers beyond its call's deadline is killed, and the call has its reply") {
  Rig rig;
  FunctionSpec spec = one_worker();
  spec.timeout = seconds(1);
  const FunctionId f = rig.deploy(spec);
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.call(f);
  const InvocationId next = rig.call(f);
  rig.pass(milliseconds(500));
  CHECK(linger(rig, w, c));
  rig.pass(milliseconds(600));
  CHECK(rig.count(What::kill, w) == 1);
  CHECK(rig.end(c).kind == Outcome::Kind::reply);
  CHECK(rig.ends.size() == 2);  // with that of warm()
  rig.exit(w);
  rig.boot_all();
  CHECK(rig.worker_of(next) != w);
  CHECK(rig.reply(rig.worker_of(next), next));
}

TEST_CASE("the end of a worker that lingers is no end of the call that it answered") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.call(f);
  CHECK(linger(rig, w, c));
  rig.exit(w);
  CHECK(rig.end(c).kind == Outcome::Kind::reply);
  CHECK(rig.ends.size() == 2);
}

TEST_CASE("of a call that was given up, both replies are taken, and one counts as dropped") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.call(f);
  rig.core.abandon(c);
  CHECK(linger(rig, w, c));
  CHECK(rig.reply(w, c));
  CHECK_FALSE(rig.ended(c));
  CHECK(rig.core.stats().dropped_replies == 1);
}
