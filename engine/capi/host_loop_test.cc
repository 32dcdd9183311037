// A host with a loop of its own: only what the descriptor says is done, and everything gets done.
#include <poll.h>

#include <thread>

#include "capi/test_rig.h"

using namespace hearth_test;

namespace {

bool readable(int fd, int wait_ms) {
  pollfd watched{fd, POLLIN, 0};
  return ::poll(&watched, 1, wait_ms) == 1;
}

// Steps only when the descriptor says so. False: nothing for 20 s.
bool drive_until(Engine& engine, const int& count) {
  const int fd = hearth_engine_fd(engine.handle);
  while (count == 0) {
    if (!readable(fd, 20'000)) return false;
    if (take(hearth_engine_step(engine.handle, 0)) != "") return false;
  }
  return true;
}

struct Driven : Engine {
  Driven() : Engine(HEARTH_HOST_DRIVEN) { REQUIRE(hearth_engine_fd(handle) >= 0); }
};

}  // namespace

TEST_CASE("the descriptor wakes the host for everything that has to be done") {
  Driven engine;
  REQUIRE(engine.load("f", kEcho) == "");
  Ended ended;
  REQUIRE(submit(engine, "f", "[5]", ended) == "");
  REQUIRE(drive_until(engine, ended.count));
  CHECK(ended.payload == "[5]");
  Ended host;
  REQUIRE(engine.define("g", echo) == "");
  REQUIRE(submit(engine, "g", "6", host) == "");
  CHECK(host.count == 0);
  REQUIRE(drive_until(engine, host.count));
  CHECK(host.payload == "6");
}

TEST_CASE("the descriptor is quiet when there is nothing to do") {
  Driven engine;
  REQUIRE(engine.define("g", echo) == "");
  CHECK(engine.invoke("g", "1") == "1");
  const int fd = hearth_engine_fd(engine.handle);
  // The pool's worker starts meanwhile; then only a rare timer is left.
  const auto end = std::chrono::steady_clock::now() + 20s;
  int quiet = 0;
  int turns = 0;
  while (quiet < 2 && std::chrono::steady_clock::now() < end) {
    if (readable(fd, 100)) {
      REQUIRE(take(hearth_engine_step(engine.handle, 0)) == "");
      quiet = 0;
      ++turns;
    } else {
      ++quiet;
    }
  }
  CHECK(quiet == 2);
  CHECK(turns < 2'000);
}

TEST_CASE("a time limit fires when the host does nothing but poll") {
  Driven engine;
  Kept kept;
  REQUIRE(engine.define("f", Kept::handler, &kept, 1, 300) == "");
  Ended ended;
  REQUIRE(submit(engine, "f", "1", ended) == "");
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(drive_until(engine, ended.count));
  CHECK(ended.error == "deadline_exceeded");
  CHECK(std::chrono::steady_clock::now() - start < 5s);
  hearth_incoming_reply(kept.calls[0], bytes("late"));
}

TEST_CASE("an answer and a call from another thread wake the host") {
  Driven engine;
  Kept kept;
  REQUIRE(engine.define("f", Kept::handler, &kept) == "");
  Ended ended;
  std::thread other([&] {
    CHECK(submit(engine, "f", "1", ended) == "");
    CHECK(kept.wait(1));
    hearth_incoming_reply(kept.calls[0], bytes("2"));
  });
  const bool driven = drive_until(engine, ended.count);
  other.join();
  REQUIRE(driven);
  CHECK(ended.payload == "2");
}

TEST_CASE("a blocking call from another thread waits for the host, at most its time limit") {
  Driven engine;
  REQUIRE(engine.define("f", echo) == "");
  std::string waited;
  std::thread other([&] { waited = engine.invoke("f", "1", 100); });
  other.join();  // nobody drives
  CHECK(waited == "!deadline_exceeded");
  int done = 0;
  std::string reply;
  Ended tick;
  std::thread third([&] {
    reply = engine.invoke("f", "3", 20'000);
    CHECK(submit(engine, "f", "0", tick) == "");
  });
  const bool driven = drive_until(engine, tick.count);
  third.join();
  REQUIRE(driven);
  CHECK(reply == "3");
  static_cast<void>(done);
}

TEST_CASE("who may drive, and when") {
  struct Inside {
    static void done(void* ctx, const hearth_outcome_t*) {
      auto& self = *static_cast<Inside*>(ctx);
      self.step = take(hearth_engine_step(self.engine, 0));
      self.close = take(hearth_engine_close(self.engine, 0));
    }
    hearth_engine_t* engine;
    std::string step, close;
  };
  Driven engine;
  REQUIRE(engine.define("f", echo) == "");
  Inside inside{engine.handle, "", ""};
  hearth_request_t request;
  HEARTH_INIT(&request);
  request.function = "f";
  REQUIRE(take(hearth_invoke_async(engine.handle, &request, Inside::done, &inside, nullptr)) == "");
  for (int i = 0; i < 100 && inside.close.empty(); ++i)
    REQUIRE(take(hearth_engine_step(engine.handle, 10)) == "");
  CHECK(inside.step == "would_deadlock");
  CHECK(inside.close == "would_deadlock");
  std::string other;
  std::thread([&] { other = take(hearth_engine_step(engine.handle, 0)); }).join();
  CHECK(other == "wrong_thread");
  Engine own;
  CHECK(take(hearth_engine_step(own.handle, 0)) == "not_supported");
}

TEST_CASE("a step waits for its time and no longer") {
  Driven engine;
  REQUIRE(engine.define("f", echo) == "");
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) REQUIRE(take(hearth_engine_step(engine.handle, 10)) == "");
  CHECK(std::chrono::steady_clock::now() - start < 10s);
}

TEST_CASE("a driven engine drains and closes") {
  Driven engine;
  Ended ended;
  REQUIRE(engine.load(
              "f", "import time\ndef handler(e, c):\n    time.sleep(0.2)\n    return 1\n") == "");
  REQUIRE(submit(engine, "f", "0", ended) == "");
  CHECK(engine.close(20'000) == "");
  CHECK(ended.count == 1);
  CHECK(ended.payload == "1");
  Driven second;
  Ended dropped;
  Kept kept;
  REQUIRE(second.define("g", Kept::handler, &kept) == "");
  REQUIRE(submit(second, "g", "0", dropped) == "");
  CHECK(second.close() == "");
  CHECK(dropped.count == 1);
  CHECK(dropped.error == "shutting_down");
  for (hearth_incoming_t* call : kept.calls) hearth_incoming_reply(call, bytes("1"));
}
