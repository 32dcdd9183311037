// Functions of the host: answers from inside and from other threads, limits, parts, late answers.
#include <atomic>
#include <thread>

#include "capi/test_rig.h"

using namespace hearth_test;

TEST_CASE("a handler answers at once, or fails with Lambda's words") {
  Engine engine;
  REQUIRE(engine.define("f", echo) == "");
  CHECK(engine.invoke("f", "{\"a\": 1}") == "{\"a\": 1}");
  const auto fails = [](void*, hearth_incoming_t* call, hearth_bytes_t) {
    hearth_incoming_fail(call, "Teapot", "short \"and\" stout");
  };
  REQUIRE(engine.define("g", fails) == "");
  CHECK(engine.invoke("g", "1") ==
        "?{\"errorType\":\"Teapot\",\"errorMessage\":\"short \\\"and\\\" stout\"}");
}

TEST_CASE("a call can be answered later, from another thread; its event stays until then") {
  Engine engine;
  Kept kept;
  REQUIRE(engine.define("f", Kept::handler, &kept, 2) == "");
  Ended a, b, c;
  REQUIRE(submit(engine, "f", "\"first\"", a) == "");
  REQUIRE(submit(engine, "f", "\"second\"", b) == "");
  REQUIRE(submit(engine, "f", "\"third\"", c) == "");
  REQUIRE(kept.wait(2));
  CHECK(kept.size() == 2);  // the third waits: concurrency is 2
  CHECK(std::string(hearth_incoming_request_id(kept.calls[0])).size() == 36);
  CHECK(hearth_incoming_remaining_ms(kept.calls[0]) <= 3'000);
  hearth_incoming_reply(kept.calls[1], kept.events[1]);
  REQUIRE(b.wait());
  CHECK(b.payload == "\"second\"");
  REQUIRE(kept.wait(3));
  hearth_incoming_reply(kept.calls[0], kept.events[0]);
  hearth_incoming_reply(kept.calls[2], kept.events[2]);
  REQUIRE((a.wait() && c.wait()));
  CHECK(a.payload == "\"first\"");
  CHECK(c.payload == "\"third\"");
}

TEST_CASE("a handler that does not answer in time has lost its caller") {
  Engine engine;
  Kept kept;
  REQUIRE(engine.define("f", Kept::handler, &kept, 1, 200) == "");
  CHECK(engine.invoke("f", "1") == "!deadline_exceeded");
  REQUIRE(kept.size() == 1);
  CHECK(hearth_incoming_remaining_ms(kept.calls[0]) == 0);
  hearth_incoming_reply(kept.calls[0], bytes("1"));
  Ended next;  // the function goes on
  REQUIRE(submit(engine, "f", "2", next) == "");
  REQUIRE(kept.wait(2));
  hearth_incoming_reply(kept.calls[1], bytes("22"));
  REQUIRE(next.wait());
  CHECK(next.payload == "22");
}

TEST_CASE("a reply in parts reaches who wants parts, and is put together for others") {
  Engine engine;
  const auto parts = [](void*, hearth_incoming_t* call, hearth_bytes_t) {
    hearth_incoming_write(call, bytes("[1,"));
    hearth_incoming_write(call, bytes("2,"));
    hearth_incoming_reply(call, bytes("3]"));
  };
  REQUIRE(engine.define("inside", parts) == "");
  Kept kept;
  REQUIRE(engine.define("outside", Kept::handler, &kept, 4) == "");
  CHECK(engine.invoke("inside", "0") == "[1,2,3]");
  Ended inside, outside, whole;
  REQUIRE(submit(engine, "inside", "0", inside, nullptr, 0, true) == "");
  REQUIRE(inside.wait());
  CHECK(inside.parts == std::vector<std::string>{"[1,", "2,"});
  CHECK(inside.payload == "3]");
  REQUIRE(submit(engine, "outside", "0", outside, nullptr, 0, true) == "");
  REQUIRE(submit(engine, "outside", "0", whole) == "");
  REQUIRE(kept.wait(2));
  for (hearth_incoming_t* call : kept.calls) hearth_incoming_write(call, bytes("[1,"));
  REQUIRE(outside.wait_parts(1));  // before the end
  for (hearth_incoming_t* call : kept.calls) hearth_incoming_reply(call, bytes("2]"));
  REQUIRE((outside.wait() && whole.wait()));
  CHECK(outside.parts == std::vector<std::string>{"[1,"});
  CHECK(outside.payload == "2]");
  CHECK(whole.payload == "[1,2]");
}

TEST_CASE("threads answer while the engine closes") {
  for (int round = 0; round < scaled(60, 3); ++round) {
    struct Workers {
      static void handler(void* ctx, hearth_incoming_t* call, hearth_bytes_t) {
        auto& self = *static_cast<Workers*>(ctx);
        const std::lock_guard<std::mutex> lock(self.mutex);
        self.calls.push_back(call);
      }
      std::mutex mutex;
      std::vector<hearth_incoming_t*> calls;
    } workers;
    Engine engine(0, "pool: {python3: 0, nodejs: 0}\n");
    REQUIRE(engine.define("f", Workers::handler, &workers, 32) == "");
    std::vector<Ended> ended(200);
    for (Ended& one : ended) REQUIRE(submit(engine, "f", "1", one) == "");
    std::atomic<bool> stop{false};
    std::thread answers([&] {
      while (!stop) {
        std::vector<hearth_incoming_t*> now;
        {
          const std::lock_guard<std::mutex> lock(workers.mutex);
          now.swap(workers.calls);
        }
        for (hearth_incoming_t* call : now) hearth_incoming_reply(call, bytes("2"));
        std::this_thread::yield();
      }
      for (hearth_incoming_t* call : workers.calls) hearth_incoming_reply(call, bytes("2"));
    });
    engine.close(round % 2 == 0 ? 0 : 10'000);
    stop = true;
    answers.join();
    for (const Ended& one : ended) CHECK(one.count == 1);
  }
}
