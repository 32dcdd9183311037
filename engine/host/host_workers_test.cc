#include "host/host_workers.h"

#include <string>
#include <vector>

#include "core/dispatcher.h"
#include "host/link_switch.h"
#include "tests/catch.h"

using namespace hearth;

namespace {

struct Handler final : HostHandler {
  explicit Handler(HostWorkers& w) : workers(w) {}
  void on_call(HostCallId call, std::string_view event, const RequestId&, Deadline) override {
    calls.push_back(call);
    if (at_once) workers.answer(call, "re:" + std::string(event), false);
  }
  void on_given_up(HostCallId call) override { given_up.push_back(call); }
  HostWorkers& workers;
  std::vector<HostCallId> calls;
  std::vector<HostCallId> given_up;
  bool at_once = true;
};

// The core over host functions only.
struct Rig {
  Rig() : core(links, loop.timers(), loop.clock(), buffers, limits) { host.attach(core); }
  ~Rig() {
    core.close();
    core.deliver();
    for (int i = 0; i < 10 && core.pool().workers() != 0; ++i) loop.step(milliseconds(0));
    CHECK(core.pool().workers() == 0);
  }
  FunctionId define(uint32_t per_worker, milliseconds timeout = seconds(3)) {
    auto spec = std::make_shared<FunctionSpec>();
    spec->name = "f";
    spec->runtime = Runtime::host;
    spec->memory_bytes = 0;
    spec->timeout = timeout;
    spec->concurrency.per_worker = per_worker;
    spec->concurrency.workers_max = 1;
    spec->host = handler = std::make_shared<Handler>(host);
    spec->revision = std::to_string(++revisions);
    return core.upsert(spec);
  }
  InvocationId call(FunctionId function, std::string_view event, bool parts = false) {
    CallRequest request;
    request.function = function;
    request.payload.bytes = event;
    request.done = DoneFn::to<&Rig::on_done>(this);
    if (parts) request.on_part = PartFn::to<&Rig::on_part>(this);
    const auto id = core.submit(std::move(request));
    REQUIRE(id);
    return *id;
  }
  void on_done(InvocationId, const Outcome& outcome) {
    const bool reply = outcome.kind != Outcome::Kind::platform_error;
    ends.emplace_back(reply ? outcome.payload : name(outcome.code));
  }
  Flow on_part(InvocationId, const ReplyPart& part) {
    parts.emplace_back(part.bytes);
    return Flow::go_on;
  }
  void turns(int count = 3) {
    for (int i = 0; i < count; ++i) loop.step(milliseconds(0));
  }

  ManualClock clock;
  Loop loop{clock};
  Limits limits;
  BufferPool buffers{limits.buffers_max};
  HostWorkers host{loop, buffers};
  LinkSwitch links{host, host, limits.workers_max};
  Dispatcher core;
  std::shared_ptr<Handler> handler;
  int revisions = 0;
  std::vector<std::string> ends;
  std::vector<std::string> parts;
};

}  // namespace

TEST_CASE("a host function answers inside its handler, one call after the other") {
  Rig rig;
  const FunctionId f = rig.define(1);
  rig.call(f, "a");
  rig.call(f, "b");
  CHECK(rig.ends.empty());  // never inside submit
  rig.turns();
  CHECK(rig.ends == std::vector<std::string>{"re:a", "re:b"});
}

TEST_CASE("a host function answers later, and as many calls run as it allows") {
  Rig rig;
  const FunctionId f = rig.define(2);
  rig.handler->at_once = false;
  for (const char* event : {"a", "b", "c"}) rig.call(f, event);
  rig.turns();
  REQUIRE(rig.handler->calls.size() == 2);
  rig.host.answer(rig.handler->calls[1], "second", true);
  rig.host.answer(rig.handler->calls[1], "again", false);  // dropped
  rig.turns();
  CHECK(rig.ends == std::vector<std::string>{"second"});
  REQUIRE(rig.handler->calls.size() == 3);
  rig.host.answer(rig.handler->calls[0], "first", false);
  rig.host.answer(rig.handler->calls[2], "third", false);
  rig.turns();
  CHECK(rig.ends == std::vector<std::string>{"second", "first", "third"});
}

TEST_CASE("parts are handed on as they come, or kept for a caller who takes none") {
  Rig rig;
  const FunctionId f = rig.define(1);
  rig.handler->at_once = false;
  rig.call(f, "a", true);
  rig.call(f, "b");
  rig.turns();
  rig.host.part(rig.handler->calls[0], "1");
  CHECK(rig.parts == std::vector<std::string>{"1"});
  rig.host.part(rig.handler->calls[0], "2");
  rig.host.answer(rig.handler->calls[0], "3", false);
  rig.turns();
  rig.host.part(rig.handler->calls[1], "4");
  rig.host.answer(rig.handler->calls[1], "5", false);
  rig.turns();
  CHECK(rig.parts == std::vector<std::string>{"1", "2"});
  CHECK(rig.ends == std::vector<std::string>{"3", "45"});
}

TEST_CASE("a call that passes its time ends, and the function goes on") {
  Rig rig;
  const FunctionId f = rig.define(1, milliseconds(100));
  rig.handler->at_once = false;
  rig.call(f, "slow");
  rig.turns();
  rig.clock.advance(milliseconds(200));
  rig.turns(5);
  CHECK(rig.ends == std::vector<std::string>{"deadline_exceeded"});
  REQUIRE(rig.handler->given_up.size() == 1);
  rig.host.answer(rig.handler->calls[0], "too late", false);
  rig.handler->at_once = true;
  rig.call(f, "next");
  rig.turns(5);
  CHECK(rig.ends == std::vector<std::string>{"deadline_exceeded", "re:next"});
}

TEST_CASE("a new revision takes over while calls of the old one end") {
  Rig rig;
  const FunctionId f = rig.define(1);
  rig.handler->at_once = false;
  const std::shared_ptr<Handler> old = rig.handler;
  rig.call(f, "a");
  rig.turns();
  rig.define(1);
  rig.call(f, "b");
  rig.turns();
  CHECK(rig.ends == std::vector<std::string>{"re:b"});
  rig.host.answer(old->calls[0], "old", false);
  rig.turns(5);
  CHECK(rig.ends == std::vector<std::string>{"re:b", "old"});
  CHECK(old.use_count() == 1);  // nothing of the engine refers to it any more
}
