// Replies that come in parts: who gets them, who is held, and what a stream counts for.
#include "core/test_rig.h"

using namespace hearth;
using What = Ask::What;

namespace {

constexpr ReplyPart kPart{"part", ReplyPart::Kind::body, true};

bool end_stream(Rig& rig, WorkerId w, InvocationId c) {
  WorkerReply reply;
  reply.streamed = true;
  const bool taken = rig.core.on_reply(w, c, reply);
  rig.settle();
  return taken;
}

}  // namespace

TEST_CASE("who takes streams gets their parts, and what is only large comes whole") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.stream(f);
  CHECK(rig.core.takes_parts(w, c, true));
  CHECK_FALSE(rig.core.takes_parts(w, c, false));
  CHECK(rig.core.on_reply_part(w, c, kPart) == Flow::go_on);
  CHECK(rig.parts == "part");
  CHECK(end_stream(rig, w, c));
  CHECK(rig.end(c).kind == Outcome::Kind::reply);
  const InvocationId other = rig.call(f);
  CHECK_FALSE(rig.core.takes_parts(w, other, true));
  rig.reply(w, other);
}

TEST_CASE("a held reply goes on when its caller says so, once") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.stream(f);
  rig.core.go_on(c);
  CHECK(rig.count(What::go_on) == 0);
  rig.flow = Flow::hold;
  CHECK(rig.core.on_reply_part(w, c, kPart) == Flow::hold);
  rig.core.go_on(c);
  rig.core.go_on(c);
  CHECK(rig.count(What::go_on, w) == 1);
  CHECK(rig.last(What::go_on).call == c);
  CHECK(end_stream(rig, w, c));
  rig.core.go_on(c);
  CHECK(rig.count(What::go_on, w) == 1);
}

TEST_CASE("a part that its caller takes at once ends a hold") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.stream(f);
  rig.flow = Flow::hold;
  rig.core.on_reply_part(w, c, kPart);
  rig.flow = Flow::go_on;
  CHECK(rig.core.on_reply_part(w, c, kPart) == Flow::go_on);
  rig.core.go_on(c);
  CHECK(rig.count(What::go_on) == 0);
  CHECK(end_stream(rig, w, c));
}

TEST_CASE(
    "a held reply that nobody waits for any more goes on, or its worker would never be free") {
  Rig rig;
  FunctionSpec spec = one_worker(2);
  spec.timeout = seconds(1);
  const FunctionId f = rig.deploy(spec);
  const WorkerId w = rig.warm(f);
  rig.flow = Flow::hold;
  const InvocationId c = rig.stream(f);
  rig.core.on_reply_part(w, c, kPart);
  SECTION("abandoned") {
    rig.core.abandon(c);
    CHECK(rig.count(What::cancel, w) == 1);
  }
  SECTION("past its deadline, in a worker that has another call") {
    rig.pass(milliseconds(500));
    rig.call(f);
    rig.pass(milliseconds(600));
    CHECK(rig.end(c).code == Code::deadline_exceeded);
  }
  CHECK(rig.count(What::go_on, w) == 1);
  CHECK(rig.core.on_reply_part(w, c, kPart) == Flow::go_on);
  CHECK(rig.parts == "part");
}

TEST_CASE("the time of a stream is that since its worker had it") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f, 10);
  const InvocationId first = rig.stream(f);
  const InvocationId second = rig.stream(f);  // prefetched
  rig.pass(milliseconds(30));
  CHECK(end_stream(rig, w, first));
  CHECK(rig.end(first).exec_us == 30'000);
  const WorkerId other = rig.worker_of(second);
  rig.pass(milliseconds(20));
  if (other != w) return;  // it was called back for another worker meanwhile
  if (rig.recalled(second)) rig.handback(w, second);
  rig.pass(milliseconds(5));
  CHECK(end_stream(rig, w, second));
  CHECK(rig.end(second).exec_us <= 30'000);
}

TEST_CASE("a stream beyond its limit ends with that") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const WorkerId w = rig.warm(f);
  const InvocationId c = rig.stream(f);
  CHECK(rig.core.on_reply_too_large(w, c, true));
  rig.settle();
  CHECK(rig.end(c).code == Code::reply_too_large);
  CHECK(rig.end(c).detail.find("limits.stream") != std::string::npos);
  CHECK(end_stream(rig, w, c));
}
