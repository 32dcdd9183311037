#include "worker/function_log.h"

#include <vector>

#include "tests/catch.h"
#include "worker/init_json.h"
#include "worker/line_splitter.h"

#include <nlohmann/json.hpp>

using namespace hearth;
using namespace hearth::worker;

TEST_CASE("lines pass up to the burst, then at the rate, and what was dropped is told once") {
  ManualClock clock;
  RateLimit limit(1'000, 5'000);
  uint64_t dropped = 0;
  for (int i = 0; i < 5; ++i) CHECK(limit.pass(1'000, clock.now(), dropped));
  CHECK_FALSE(limit.pass(1'000, clock.now(), dropped));
  CHECK_FALSE(limit.pass(1'000, clock.now(), dropped));
  clock.advance(milliseconds(500));
  CHECK_FALSE(limit.pass(1'000, clock.now(), dropped));
  clock.advance(milliseconds(500));
  CHECK(limit.pass(1'000, clock.now(), dropped));
  CHECK(dropped == 3);
  CHECK(limit.dropped_total() == 3);
  clock.advance(seconds(3'600));
  CHECK(limit.pass(5'000, clock.now(), dropped));
  CHECK(dropped == 0);
  CHECK_FALSE(limit.pass(1, clock.now(), dropped));
}

TEST_CASE("a low rate gains in small steps too") {
  ManualClock clock;
  RateLimit limit(100, 100);
  uint64_t dropped = 0;
  CHECK(limit.pass(100, clock.now(), dropped));
  for (int i = 0; i < 10'000; ++i) {
    clock.advance(std::chrono::microseconds(100));
    (void)limit.pass(1'000, clock.now(), dropped);
  }
  CHECK(limit.pass(90, clock.now(), dropped));
}

TEST_CASE("the tail keeps the last 4 KiB of one call") {
  LogTail tail;
  const InvocationId a{1, 1};
  const InvocationId b{2, 1};
  tail.add(a, "first\n");
  CHECK(tail.view(a) == "first\n");
  for (int i = 0; i < 1'000; ++i) tail.add(a, "0123456789abcde\n");
  CHECK(tail.view(a).size() == LogTail::kSize);
  CHECK(tail.view(a).substr(LogTail::kSize - 16) == "0123456789abcde\n");
  tail.add(b, "second\n");
  CHECK(tail.view(a).empty());
  CHECK(tail.view(b) == "second\n");
  CHECK(tail.view({}) == "second\n");
  tail.add(b, std::string(10'000, 'x'));
  CHECK(tail.view(b) == std::string(LogTail::kSize, 'x'));
}

TEST_CASE("lines are cut at newlines and at the limit, whatever the pieces") {
  const std::string text = "one\n\ntwo two two two\nlast";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    LineSplitter splitter(8);
    std::vector<std::string> lines;
    const auto emit = [&](std::string_view line, bool continued) {
      lines.push_back(std::string(line) + (continued ? "+" : ""));
    };
    for (size_t at = 0; at < text.size(); at += piece)
      splitter.feed(std::string_view(text).substr(at, piece), emit);
    splitter.end(emit);
    CHECK(lines == std::vector<std::string>{"one", "", "two two +", "two two", "last"});
  }
}

TEST_CASE("INIT carries the function and Lambda's environment") {
  FunctionSpec spec;
  spec.name = "hello";
  spec.handler = "app.handler";
  spec.revision = std::string(64, 'a');
  spec.environment = {{"AWS_LAMBDA_FUNCTION_NAME", "lie"},
                      {"GREETING", "gr\xC3\xBC\xC3\x9F \"x\""},
                      {"TZ", "Europe/Berlin"}};
  const auto json = nlohmann::json::parse(init_json(spec, "/var/task", Limits{}));
  CHECK(json["protocol"] == 1);
  CHECK(json["function"] == "hello");
  CHECK(json["memory_mb"] == 128);
  CHECK(json["timeout_ms"] == 3'000);
  CHECK(json["environment"]["GREETING"] == "gr\xC3\xBC\xC3\x9F \"x\"");
  CHECK(json["environment"]["TZ"] == "Europe/Berlin");
  CHECK(json["environment"]["AWS_LAMBDA_FUNCTION_NAME"] == "hello");
  CHECK(json["environment"]["LAMBDA_TASK_ROOT"] == "/var/task");
}
