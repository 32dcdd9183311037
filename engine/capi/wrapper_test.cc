// The C++ wrapper: it adds nothing but comfort, so each of its functions is used once.
#include <hearth/hearth.hpp>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/catch.h"

using namespace std::chrono_literals;

namespace {

hearth::Options small() {
  hearth::Options options;
  options.config_yaml = "pool: {python3: 1, nodejs: 0}";
  return options;
}

// An error like any other.
hearth_error_t* kept_by_nobody() { return hearth_engine_open(nullptr, nullptr); }

}  // namespace

TEST_CASE("a wrapped engine loads, calls, tells and closes") {
  std::mutex mutex;
  std::string lines, log;
  hearth::Options options = small();
  options.log = [&](int, std::string_view area, std::string_view) {
    const std::lock_guard<std::mutex> lock(mutex);
    log += area;
  };
  options.function_log = [&](const hearth_log_line_t& line) {
    lines.append(static_cast<const char*>(line.text.data), line.text.size);
  };
  auto engine = hearth::Engine::open(std::move(options));
  REQUIRE(engine);
  auto revision = engine->load_files(
      "f", {{"app.py", "def handler(e, c):\n    print('said')\n    return e\n"}}, "timeout: 5s");
  REQUIRE(revision);
  CHECK(revision->size() == 64);
  hearth::InvokeOptions want;
  want.want_log_tail = true;
  want.timeout = 20s;
  auto reply = engine->invoke("f", "[1]", want);
  REQUIRE(reply);
  CHECK(reply->payload() == "[1]");
  CHECK_FALSE(reply->is_error());
  CHECK(reply->outcome().cold());
  CHECK(reply->outcome().revision() == *revision);
  CHECK(reply->outcome().log_tail().find("said") != std::string_view::npos);
  CHECK(engine->metrics()->find("hearth_") != std::string::npos);
  CHECK(engine->functions()->find("\"f\"") != std::string::npos);
  CHECK(engine->logs("f", 1)->find("said") != std::string::npos);
  CHECK(engine->remove("f"));
  const auto gone = engine->invoke("f", "1");
  REQUIRE_FALSE(gone);
  CHECK(gone.error().name() == "function_unknown");
  CHECK(gone.error().http_status() == 404);
  CHECK_FALSE(gone.error().retryable());
  CHECK(engine->address().empty());
  CHECK(engine->fd() == -1);
  engine->drain();
  CHECK(engine->close(1s));
  CHECK(lines == "said");
  CHECK_FALSE(log.empty());
  CHECK(reply->payload() == "[1]");
}

TEST_CASE("lambdas are host functions and ends of calls") {
  auto opened = hearth::Engine::open(small());
  REQUIRE(opened);
  hearth::Engine engine = *std::move(opened);
  const auto alive = std::make_shared<int>(1);
  std::thread later;
  REQUIRE(engine.define("now", [alive](hearth::Incoming call) { call.reply(call.event()); },
                        {.concurrency = 4}));
  REQUIRE(engine.define("later", [&later](hearth::Incoming call) {
    later = std::thread([kept = std::make_shared<hearth::Incoming>(std::move(call))] {
      kept->write("[");
      kept->reply("2]");
    });
  }));
  REQUIRE(engine.define("never", [](hearth::Incoming) {}));
  CHECK(engine.invoke("now", "3")->payload() == "3");
  CHECK(engine.invoke("later", "0")->payload() == "[2]");
  later.join();
  CHECK(engine.invoke("never", "0")->is_error());
  std::mutex mutex;
  std::condition_variable ready;
  std::string got, parts;
  const auto call = engine.invoke_stream(
      "now", "4", [&](std::string_view part) { parts += part; },
      [&](const hearth::Outcome& outcome) {
        const std::lock_guard<std::mutex> lock(mutex);
        got = outcome.payload();
        ready.notify_one();
      });
  REQUIRE(call);
  {
    std::unique_lock<std::mutex> lock(mutex);
    REQUIRE(ready.wait_for(lock, 20s, [&] { return !got.empty(); }));
  }
  CHECK(got == "4");
  CHECK(alive.use_count() == 2);
  REQUIRE(engine.close(0ms));
  CHECK(alive.use_count() == 1);
}

TEST_CASE("a wrapped engine can be driven") {
  hearth::Options options = small();
  options.host_driven = true;
  auto engine = hearth::Engine::open(std::move(options));
  REQUIRE(engine);
  CHECK(engine->fd() >= 0);
  REQUIRE(engine->define("f", [](hearth::Incoming call) { call.reply("1"); }));
  bool done = false;
  REQUIRE(engine->invoke_async("f", "0", [&](const hearth::Outcome& o) { done = o.ok(); }));
  for (int i = 0; i < 100 && !done; ++i) REQUIRE(engine->step(100ms));
  CHECK(done);
  options = small();
  options.sandbox = "nonsense";
  const auto refused = hearth::Engine::open(std::move(options));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().name() == "config_invalid");
  hearth::Result<hearth::Engine> again = hearth::Engine::open({.sandbox = "nonsense"});
  REQUIRE_FALSE(again);
  const hearth::Failure kept = std::move(again).error();  // outlives its result
  again = hearth::Failure(kept_by_nobody());
  CHECK(kept.name() == "config_invalid");
  const auto pass_on = []() -> hearth::Status {
    auto inner = hearth::Engine::open({.config_path = "/nonexistent/hearth.yaml"});
    if (!inner) return std::move(inner).error();
    return hearth::Status(std::monostate());
  };
  CHECK(pass_on().error().name() == "io_failed");
}
