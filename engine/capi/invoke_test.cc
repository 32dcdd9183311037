// Calls: blocking, with a callback, in parts, given up; and the ends that they come to.
#include <atomic>
#include <thread>

#include "capi/test_rig.h"

using namespace hearth_test;

namespace {

constexpr const char* kSlow =
    "import time\ndef handler(e, c):\n    time.sleep(e)\n    return 'slept'\n";

}  // namespace

TEST_CASE("a blocking call gets the reply, and an error of the function as a reply") {
  Engine engine;
  REQUIRE(engine.load("f", "def handler(e, c):\n    return 10 // e\n") == "");
  CHECK(engine.invoke("f", "5") == "2");
  CHECK_THAT(engine.invoke("f", "0"), Catch::StartsWith("?") && Catch::Contains("ZeroDivision"));
  CHECK(engine.invoke("nobody", "0") == "!function_unknown");
  CHECK(engine.invoke(std::string(200, 'x').c_str(), "0") == "!function_unknown");
}

TEST_CASE("an outcome tells of the call") {
  Engine engine;
  REQUIRE(engine.load("f",
                      "def handler(e, c):\n    print('said')\n"
                      "    return [c.aws_request_id, c.client_context.custom]\n") == "");
  hearth_request_t request;
  HEARTH_INIT(&request);
  request.function = "f";
  request.payload = bytes("{}");
  request.flags = HEARTH_WANT_LOG_TAIL;
  request.client_context_json = "{\"custom\": {\"a\": 1}}";
  hearth_reply_t* reply = nullptr;
  REQUIRE(take(hearth_invoke(engine.handle, &request, &reply)) == "");
  const hearth_outcome_t* outcome = hearth_reply_outcome(reply);
  CHECK(outcome->struct_size == sizeof *outcome);
  CHECK(outcome->kind == HEARTH_REPLY);
  CHECK(outcome->cold == 1);
  CHECK(std::string(outcome->error_name) == "");
  CHECK(std::string(outcome->revision) == engine.revision);
  CHECK_THAT(text(outcome->log_tail), Catch::Contains("said"));
  CHECK_THAT(text(outcome->payload), Catch::Contains(outcome->request_id));
  engine.close();
  CHECK_THAT(text(hearth_reply_payload(reply)), Catch::Contains(outcome->request_id));
  hearth_reply_release(reply);
  hearth_reply_release(nullptr);
}

TEST_CASE("a call with a callback ends once, with its own request id") {
  Engine engine;
  REQUIRE(engine.load("f", kEcho) == "");
  std::vector<Ended> ended(50);
  for (size_t i = 0; i < ended.size(); ++i)
    REQUIRE(submit(engine, "f", std::to_string(i), ended[i]) == "");
  for (size_t i = 0; i < ended.size(); ++i) {
    REQUIRE(ended[i].wait());
    CHECK(ended[i].payload == std::to_string(i));
    CHECK(ended[i].request_id.size() == 36);
  }
  engine.close();
  for (const Ended& one : ended) CHECK(one.count == 1);
}

TEST_CASE("from another thread the queue's refusal ends the call") {
  Engine engine;
  Ended ended;
  REQUIRE(submit(engine, "nobody", "1", ended) == "");
  REQUIRE(ended.wait());
  CHECK(ended.kind == HEARTH_PLATFORM_ERROR);
  CHECK(ended.error == "function_unknown");
}

TEST_CASE("bad requests are refused before anything is sent") {
  Engine engine(0, "pool: {python3: 0, nodejs: 0}\nlimits: {invoke_body: 1KB}\n");
  Ended ended;
  const auto refused = [&](auto change) {
    hearth_request_t request;
    HEARTH_INIT(&request);
    request.function = "f";
    change(request);
    return take(hearth_invoke_async(engine.handle, &request, Ended::done, &ended, nullptr));
  };
  CHECK(refused([](auto& r) { r.function = nullptr; }) == "invalid_parameter");
  CHECK(refused([](auto& r) { r.flags = 64; }) == "invalid_parameter");
  CHECK(refused([](auto& r) { r.payload.size = 3; }) == "invalid_parameter");
  CHECK(refused([](auto& r) { r.struct_size = 1; }) == "invalid_parameter");
  CHECK(refused([](auto& r) { r.client_context_json = "[]"; }) == "invalid_parameter");
  CHECK(refused([](auto& r) { r.client_context_json = "{\"a\":1}}"; }) == "invalid_parameter");
  const std::string large(2'000, ' ');
  CHECK(refused([&](auto& r) { r.payload = bytes(large); }) == "invalid_parameter");
  CHECK(take(hearth_invoke_async(engine.handle, nullptr, Ended::done, &ended, nullptr)) ==
        "invalid_parameter");
  engine.close();
  CHECK(ended.count == 0);
}

TEST_CASE("more calls than limits.calls are refused") {
  Engine engine(0, "pool: {python3: 0, nodejs: 0}\nlimits: {calls: 2}\n");
  Kept kept;
  REQUIRE(engine.define("f", Kept::handler, &kept, 8) == "");
  Ended a, b, c;
  REQUIRE(submit(engine, "f", "1", a) == "");
  REQUIRE(submit(engine, "f", "2", b) == "");
  REQUIRE(kept.wait(2));
  CHECK(submit(engine, "f", "3", c) == "calls_full");
  for (hearth_incoming_t* call : kept.calls) hearth_incoming_reply(call, bytes("0"));
  CHECK((a.wait() && b.wait()));
  CHECK(submit(engine, "f", "3", c) == "");
  REQUIRE(kept.wait(3));
  hearth_incoming_reply(kept.calls[2], bytes("0"));
  CHECK(c.wait());
}

TEST_CASE("a large reply comes in parts, and whole without them") {
  Engine engine;
  REQUIRE(engine.load("f", "def handler(e, c):\n    return 'x' * e\n") == "");
  Ended ended;
  REQUIRE(submit(engine, "f", "3000000", ended, nullptr, 0, true) == "");
  REQUIRE(ended.wait());
  size_t total = ended.payload.size();
  for (const std::string& part : ended.parts) total += part.size();
  CHECK(total == 3'000'002);
  CHECK(ended.parts.size() > 1);
  CHECK(engine.invoke("f", "3000000").size() == 3'000'002);
}

TEST_CASE("a cancelled call ends once, whether it ran, waited or was over") {
  Engine engine;
  REQUIRE(engine.load("f", kSlow, "concurrency: {workers_max: 1}") == "");
  hearth_call_t* call = nullptr;
  for (const char* seconds : {"30", "30"}) {
    Ended ended;
    REQUIRE(submit(engine, "f", seconds, ended, &call) == "");
    hearth_call_cancel(call);
    hearth_call_cancel(call);
    REQUIRE(ended.wait());
    CHECK(ended.error == "cancelled");
    hearth_call_release(call);
    CHECK(ended.count == 1);
  }
  Engine other;
  REQUIRE(other.define("g", echo) == "");
  Ended over;
  REQUIRE(submit(other, "g", "1", over, &call) == "");
  REQUIRE(over.wait());
  hearth_call_cancel(call);
  other.close();
  CHECK(over.count == 1);
  CHECK(over.kind == HEARTH_REPLY);
  hearth_call_cancel(call);  // the engine is gone, the handle is not
  hearth_call_release(call);
  hearth_call_release(nullptr);
}

TEST_CASE("a caller's time limit ends its call") {
  Engine engine;
  REQUIRE(engine.load("f", kSlow, "timeout: 30s") == "");
  CHECK(engine.invoke("f", "0") == "\"slept\"");
  const auto start = std::chrono::steady_clock::now();
  CHECK(engine.invoke("f", "20", 300) == "!deadline_exceeded");
  CHECK(std::chrono::steady_clock::now() - start < 10s);
}

TEST_CASE("closing ends what runs with shutting_down, and draining lets it end") {
  Engine engine;
  REQUIRE(engine.load("f", kSlow) == "");
  REQUIRE(engine.invoke("f", "0") == "\"slept\"");
  Ended drained;
  REQUIRE(submit(engine, "f", "0.3", drained) == "");
  CHECK(engine.close(20'000) == "");
  CHECK(drained.count == 1);
  CHECK(drained.payload == "\"slept\"");

  Engine other;
  Kept kept;
  REQUIRE(other.define("g", Kept::handler, &kept) == "");
  Ended running, waiting;
  REQUIRE(submit(other, "g", "1", running) == "");
  REQUIRE(kept.wait(1));
  REQUIRE(submit(other, "g", "2", waiting) == "");
  CHECK(other.close(50) == "");
  CHECK((running.count == 1 && waiting.count == 1));
  CHECK(running.error == "shutting_down");
  CHECK(waiting.error == "shutting_down");
  CHECK(kept.size() == 1);
  hearth_incoming_reply(kept.calls[0], bytes("1"));  // late: dropped
}

TEST_CASE("after a drain new calls are refused") {
  Engine engine;
  REQUIRE(engine.define("g", echo) == "");
  hearth_engine_drain(engine.handle);
  hearth_engine_drain(engine.handle);
  CHECK(engine.invoke("g", "1") == "!shutting_down");
  CHECK(engine.define("h", echo) == "shutting_down");
}

TEST_CASE("what blocks is refused inside a callback, and what does not is taken") {
  struct Chain {
    static void done(void* ctx, const hearth_outcome_t*) {
      auto& self = *static_cast<Chain*>(ctx);
      hearth_request_t request;
      HEARTH_INIT(&request);
      request.function = "g";
      request.payload = bytes("7");
      hearth_reply_t* reply = nullptr;
      hearth_text_t* out = nullptr;
      self.errors.push_back(take(hearth_invoke(self.engine, &request, &reply)));
      self.errors.push_back(take(hearth_engine_metrics(self.engine, 0, &out)));
      self.errors.push_back(take(hearth_function_remove(self.engine, "g", 0)));
      self.errors.push_back(take(hearth_engine_close(self.engine, 0)));
      self.errors.push_back(take(hearth_engine_step(self.engine, 0)));
      request.function = "nobody";
      self.refused =
          take(hearth_invoke_async(self.engine, &request, Ended::done, &self.next, nullptr));
      request.function = "g";
      self.taken =
          take(hearth_invoke_async(self.engine, &request, Ended::done, &self.next, nullptr));
    }
    hearth_engine_t* engine = nullptr;
    std::vector<std::string> errors;
    std::string refused, taken;
    Ended next;
  } chain;
  Engine engine;
  REQUIRE(engine.define("g", echo) == "");
  chain.engine = engine.handle;
  hearth_request_t request;
  HEARTH_INIT(&request);
  request.function = "g";
  REQUIRE(take(hearth_invoke_async(engine.handle, &request, Chain::done, &chain, nullptr)) == "");
  REQUIRE(chain.next.wait());
  engine.close();
  CHECK(chain.errors == std::vector<std::string>{"would_deadlock", "would_deadlock",
                                                 "would_deadlock", "would_deadlock",
                                                 "not_supported"});
  CHECK(chain.refused == "function_unknown");
  CHECK(chain.taken == "");
  CHECK(chain.next.payload == "7");
}

TEST_CASE("many threads call at once") {
  Engine engine;
  REQUIRE(engine.load("f", kEcho) == "");
  REQUIRE(engine.define("g", echo, nullptr, 8) == "");
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < scaled(2'000, 100); ++i) {
        const std::string payload = std::to_string(t * 1'000'000 + i);
        Ended ended;
        hearth_call_t* call = nullptr;
        if (submit(engine, i % 2 != 0 ? "f" : "g", payload, ended, &call) != "") ++wrong;
        if (i % 7 == 0) hearth_call_cancel(call);
        hearth_call_release(call);
        if (!ended.wait()) ++wrong;
        if (ended.payload != payload && ended.error != "cancelled") ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}
