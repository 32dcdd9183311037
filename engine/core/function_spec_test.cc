// The one validator of functions: each rule from both sides of its edge.
#include "core/function_spec.h"

#include "tests/catch.h"

using namespace hearth;

namespace {

FunctionSpec good() {
  FunctionSpec spec;
  spec.name = "hello";
  spec.handler = "app.handler";
  return spec;
}

bool valid(const FunctionSpec& spec) { return static_cast<bool>(validate(spec, Limits{})); }

// What is wrong, in the validator's words; empty when nothing is.
std::string wrong(const FunctionSpec& spec) {
  const Status status = validate(spec, Limits{});
  if (status) return {};
  CHECK(status.error().code == Code::invalid_parameter);
  return status.error().detail;
}

}  // namespace

TEST_CASE("the defaults are valid") { CHECK(valid(good())); }

TEST_CASE("runtime names go both ways") {
  for (const Runtime runtime : {Runtime::python3, Runtime::nodejs, Runtime::native}) {
    CHECK(runtime_from_name(runtime_name(runtime)) == runtime);
  }
  CHECK_FALSE(runtime_from_name("python2"));
  CHECK_FALSE(runtime_from_name(""));
}

TEST_CASE("a function name has 1 to 64 letters, digits, dashes and underscores") {
  CHECK(valid_function_name("a-B_9"));
  CHECK(valid_function_name(std::string(64, 'a')));
  for (const std::string& name : {std::string(), std::string(65, 'a'), std::string("a b"),
                                  std::string("a/b"), std::string("..")}) {
    CHECK_FALSE(valid_function_name(name));
  }
  FunctionSpec spec = good();
  spec.name = "a b";
  CHECK(wrong(spec).find("'a b'") != std::string::npos);
}

TEST_CASE("a handler is a relative path that names a function") {
  FunctionSpec spec = good();
  for (const char* handler : {"app.handler", "src/app.handler", "a.b.c"}) {
    spec.handler = handler;
    CHECK(valid(spec));
  }
  for (const std::string& handler :
       {std::string(), std::string("app"), std::string("/etc/app.handler"),
        std::string("../app.handler"), std::string("a//b.c"), std::string("a/./b.c"),
        std::string("a.b/"), std::string("a.\nb"), "a." + std::string(127, 'b')}) {
    spec.handler = handler;
    CHECK_FALSE(valid(spec));
  }
  spec.runtime = Runtime::native;
  spec.handler = "hello";
  CHECK(valid(spec));
}

TEST_CASE("the handler of a custom function is anything that its bootstrap understands") {
  FunctionSpec spec = good();
  spec.runtime = Runtime::custom;
  for (const char* handler : {"bootstrap", "not.used", "com.example.App::handle", "/abs", "a b"}) {
    spec.handler = handler;
    CHECK(valid(spec));
  }
  for (const std::string& handler : {std::string(), std::string("a\nb"), std::string(129, 'b')}) {
    spec.handler = handler;
    CHECK_FALSE(valid(spec));
  }
}

TEST_CASE("a custom function needs a sandbox with a network of its own") {
  FunctionSpec spec = good();
  const NetworkProblems none;
  const auto fits = [&](SandboxLeast mode) {
    return static_cast<bool>(check_confinement(spec, mode, none));
  };
  CHECK(fits(SandboxLeast::any));
  spec.runtime = Runtime::custom;
  CHECK(fits(SandboxLeast::strict));
  CHECK(fits(SandboxLeast::user));
  CHECK_FALSE(fits(SandboxLeast::degraded));
  CHECK_FALSE(fits(SandboxLeast::any));
  spec.network = Network::egress;
  CHECK(fits(SandboxLeast::strict));
  spec.network = Network::host;
  const Status refused = check_confinement(spec, SandboxLeast::strict, none);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().detail.find("network: none or egress") != std::string::npos);
}

TEST_CASE("a timeout is between 1 ms and 900 s") {
  FunctionSpec spec = good();
  for (const int64_t ms : {1, 900'000}) {
    spec.timeout = milliseconds(ms);
    CHECK(valid(spec));
  }
  for (const int64_t ms : {-1, 0, 900'001}) {
    spec.timeout = milliseconds(ms);
    CHECK_FALSE(valid(spec));
  }
}

TEST_CASE("memory is between 64 MB and 10 GB") {
  FunctionSpec spec = good();
  for (const uint64_t bytes : {mebibytes(64), gibibytes(10)}) {
    spec.memory_bytes = bytes;
    CHECK(valid(spec));
  }
  for (const uint64_t bytes : {uint64_t{0}, mebibytes(64) - 1, gibibytes(10) + 1}) {
    spec.memory_bytes = bytes;
    CHECK_FALSE(valid(spec));
  }
}

TEST_CASE("an environment has at most 4 KB, plain names, no NUL and no doubles") {
  FunctionSpec spec = good();
  spec.environment = {{"A", ""}, {"_b9", "x"}};
  CHECK(valid(spec));
  spec.environment = {{"A", std::string(4'095, 'x')}};
  CHECK(valid(spec));
  spec.environment = {{"A", std::string(4'096, 'x')}};
  CHECK_FALSE(valid(spec));
  for (const char* key : {"", "9A", "A-B", "A=B", "A B"}) {
    spec.environment = {{key, "x"}};
    CHECK_FALSE(valid(spec));
  }
  spec.environment = {{"A", std::string("x\0y", 3)}};
  CHECK_FALSE(valid(spec));
  spec.environment = {{"A", "1"}, {"A", "2"}};
  CHECK(wrong(spec).find("twice") != std::string::npos);
}

TEST_CASE("concurrency stays within the limits of the engine") {
  FunctionSpec spec = good();
  spec.concurrency = {.per_worker = 64, .workers_min = 100, .workers_max = 512, .queue = 10'000};
  CHECK(valid(spec));
  for (const Concurrency c :
       {Concurrency{.per_worker = 0}, Concurrency{.per_worker = 65},
        Concurrency{.workers_max = 513}, Concurrency{.workers_min = 3, .workers_max = 2},
        Concurrency{.workers_min = 101}, Concurrency{.queue = 10'001}}) {
    spec.concurrency = c;
    CHECK_FALSE(valid(spec));
  }
}

TEST_CASE("a description has at most 256 bytes and no control characters") {
  FunctionSpec spec = good();
  spec.description = std::string(256, 'd');
  CHECK(valid(spec));
  spec.description += 'd';
  CHECK_FALSE(valid(spec));
  spec.description = "a\tb";
  CHECK_FALSE(valid(spec));
}
