// The keys of function.yaml about a function's sandbox and the life of its workers: each reaches
// its field, and what is not allowed is named with its line.
#include "config/manifest_isolation.h"

#include "config/manifest.h"
#include "tests/catch.h"

using namespace hearth;
using Catch::Contains;

namespace {

FunctionSpec spec_of(std::string_view text) {
  auto manifest = parse_manifest(text, "function.yaml");
  if (!manifest) FAIL(manifest.error().detail);
  return manifest->spec;
}

std::string problem_of(std::string_view text) {
  const auto manifest = parse_manifest(text, "function.yaml");
  REQUIRE_FALSE(manifest);
  CHECK(manifest.error().code == Code::manifest_invalid);
  return manifest.error().detail;
}

}  // namespace

TEST_CASE("every isolation key reaches its field") {
  const FunctionSpec spec = spec_of(R"(
cpu: 0.5
network: none
sandbox: strict
leftovers: freeze
recycle: {max_calls: 100, max_age: 90m, max_rss: 200MB}
zygote: off
tmp: 16
init_timeout: 90s
)");
  CHECK(spec.cpu_millis == 500);
  CHECK(spec.network == Network::none);
  CHECK(spec.least_sandbox == SandboxLeast::strict);
  CHECK(spec.leftovers == Leftovers::freeze);
  CHECK(spec.recycle == Recycle{100, std::chrono::minutes(90), mebibytes(200)});
  CHECK(spec.zygote == Zygote::off);
  CHECK(spec.tmp_bytes == mebibytes(16));
  CHECK(spec.init_timeout == seconds(90));
}

TEST_CASE("a time for loading is between 1 ms and 15 minutes") {
  CHECK(spec_of("init_timeout: 15m").init_timeout == kInitTimeoutMost);
  CHECK(spec_of("init_timeout: 2").init_timeout == seconds(2));
  for (const char* wrong : {"0", "-1", "16m", "soon"})
    CHECK_THAT(problem_of(std::string("init_timeout: ") + wrong), Contains("init_timeout"));
}

TEST_CASE("without isolation keys a function has their defaults") {
  CHECK(static_cast<const Isolation&>(spec_of("name: f")) == Isolation{});
  CHECK(spec_of("zygote: auto\nleftovers: freeze").zygote == Zygote::automatic);
}

TEST_CASE("cpu is exact to the thousandth") {
  CHECK(spec_of("cpu: 2").cpu_millis == 2'000);
  CHECK(spec_of("cpu: 0.01").cpu_millis == 10);
  CHECK(spec_of("cpu: 1.125").cpu_millis == 1'125);
  for (const char* wrong : {"0", "0.001", "0.0005", "-1", "1.", ".5", "1e3", "1025", "half", "[1]"})
    CHECK_THAT(problem_of(std::string("cpu: ") + wrong), Contains("function.yaml:1: cpu"));
}

TEST_CASE("a name that no key knows comes with those that it knows") {
  CHECK_THAT(problem_of("sandbox: off"), Contains("degraded, user or strict"));
  CHECK_THAT(problem_of("name: f\nleftovers: ignore"),
             Contains("function.yaml:2: leftovers") && Contains("freeze, kill or recycle"));
  CHECK(spec_of("leftovers: kill").leftovers == Leftovers::kill);
  CHECK_THAT(problem_of("zygote: on"), Contains("auto or off"));
}

TEST_CASE("limits of recycling and of tmp are named") {
  CHECK_THAT(problem_of("recycle: {max_calls: 0}"), Contains("recycle.max_calls"));
  CHECK_THAT(problem_of("recycle: {max_age: 10ms}"), Contains("recycle.max_age"));
  CHECK_THAT(problem_of("recycle: {max_rss: 1MB}"), Contains("recycle.max_rss"));
  CHECK_THAT(problem_of("recycle: {max_age: 1h, max_rsss: 64MB}"), Contains("'max_rss'"));
  CHECK_THAT(problem_of("tmp: 100KB"), Contains("tmp"));
  CHECK_THAT(problem_of("tmp: 17GB"), Contains("16GB"));
}

TEST_CASE("a list of addresses belongs to the mode egress and names what is wrong in it") {
  CHECK_THAT(problem_of("network: {mode: none, allow: [\"a.org:443\"]}"),
             Contains("network.allow is for the mode egress"));
  CHECK_THAT(problem_of("name: f\nnetwork: {mode: egress, allow: [\"http://a.org\"]}"),
             Contains("function.yaml:2: network") && Contains("'http://a.org'"));
  CHECK_THAT(problem_of("network: {mod: egress}"), Contains("'mode'"));
}
