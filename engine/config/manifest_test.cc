// function.yaml and folder detection: every key, every default, every error text that names the
// culprit.
#include "config/manifest.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/catch.h"
#include "tests/test_folder.h"

using namespace hearth;
using Catch::Matchers::Contains;
using hearth_test::FunctionFolder;

namespace {

std::string problem_of(std::string_view text) {
  const auto manifest = parse_manifest(text, "function.yaml");
  REQUIRE_FALSE(manifest);
  CHECK(manifest.error().code == Code::manifest_invalid);
  return manifest.error().detail;
}

FunctionSpec spec_of(std::string_view text) {
  auto manifest = parse_manifest(text, "function.yaml");
  if (!manifest) FAIL(manifest.error().detail);
  return manifest->spec;
}

FunctionSpec load(const FunctionFolder& folder) {
  auto spec = load_function(folder.path);
  if (!spec) FAIL(spec.error().detail);
  return *std::move(spec);
}

std::string folder_problem(const FunctionFolder& folder) {
  const auto spec = load_function(folder.path);
  REQUIRE_FALSE(spec);
  CHECK(spec.error().code == Code::manifest_invalid);
  return spec.error().detail;
}

}  // namespace

TEST_CASE("every key of function yaml reaches its field") {
  const FunctionSpec spec = spec_of(R"(
name: orders-v2
runtime: nodejs
handler: src/server.handle
timeout: 1500ms
memory: 256MB
environment: {B: "2", A: yes, PORT: 012, EMPTY: ""}
concurrency: {per_worker: 4, workers_min: 1, workers_max: 8, queue: 50}
network: none
description: takes orders
)");
  CHECK(spec.name == "orders-v2");
  CHECK(spec.runtime == Runtime::nodejs);
  CHECK(spec.handler == "src/server.handle");
  CHECK(spec.timeout == milliseconds(1500));
  CHECK(spec.memory_bytes == mebibytes(256));
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  CHECK(spec.environment == Pairs{{"A", "yes"}, {"B", "2"}, {"EMPTY", ""}, {"PORT", "012"}});
  CHECK(spec.concurrency == Concurrency{4, 1, 8, 50});
  CHECK(spec.description == "takes orders");
}

TEST_CASE("bare numbers are seconds, MB and calls of one worker") {
  const FunctionSpec spec = spec_of("timeout: 5\nmemory: 512\nconcurrency: 16\n");
  CHECK(spec.timeout == seconds(5));
  CHECK(spec.memory_bytes == mebibytes(512));
  CHECK(spec.concurrency.per_worker == 16);
}

TEST_CASE("an unknown key of function yaml comes with the nearest known one") {
  CHECK_THAT(problem_of("name: a\ntimout: 5s\n"),
             Contains("function.yaml:2") && Contains("'timout'") && Contains("'timeout'"));
  CHECK_THAT(problem_of("env: {A: b}\n"), Contains("'env'"));
  CHECK_THAT(problem_of("concurrency: {max_workers: 2}\n"),
             Contains("'max_workers'") && Contains("in concurrency"));
}

TEST_CASE("a runtime may be named as Lambda names it") {
  const auto manifest = parse_manifest("runtime: nodejs20.x", "function.yaml");
  REQUIRE(manifest);
  CHECK(manifest->spec.runtime == Runtime::nodejs);
  CHECK(manifest->spec.runtime_label == "nodejs20.x");
  CHECK(manifest->has_runtime);
}

TEST_CASE("a wrong value of function yaml is named with what is allowed") {
  CHECK_THAT(problem_of("name: \"a b\""),
             Contains("name") && Contains("'a b'") && Contains("letters, digits"));
  CHECK_THAT(problem_of("name: \"\""), Contains("name") && Contains("''"));
  CHECK_THAT(problem_of("runtime: python"), Contains("'python'") && Contains("nodejsN.x, native") &&
                                                Contains("nearest is 'python3'"));
  CHECK_THAT(problem_of("timeout: 0"), Contains("timeout") && Contains("'0'") && Contains("1ms"));
  CHECK_THAT(problem_of("timeout: 5 seconds"), Contains("timeout") && Contains("'5 seconds'"));
  CHECK_THAT(problem_of("memory: 8"), Contains("memory") && Contains("'8'") && Contains("64MB"));
  CHECK_THAT(problem_of("memory: 64.5MB"), Contains("memory") && Contains("whole number of MB"));
  CHECK_THAT(problem_of("memory: 128mb"), Contains("memory") && Contains("'128mb'"));
  CHECK_THAT(problem_of("environment: [A]"), Contains("environment") && Contains("map"));
  CHECK_THAT(problem_of("environment:\n  A: {x: 1}"),
             Contains("function.yaml:2") && Contains("environment.A"));
  CHECK_THAT(problem_of("environment:\n  A:\n"), Contains("environment.A") && Contains("\"\""));
  CHECK_THAT(problem_of("concurrency: 0"), Contains("concurrency") && Contains("'0'"));
  CHECK_THAT(problem_of("concurrency: {workers_min: 3, workers_max: 2}"),
             Contains("workers_min") && Contains("workers_max"));
  CHECK_THAT(problem_of("network: internet"),
             Contains("network") && Contains("'internet'") && Contains("none, egress or host"));
  // Whether an engine gives it is asked at the deploy.
  CHECK(spec_of("name: f\nnetwork: host").network == Network::host);
  CHECK_THAT(problem_of("name: a\nname: b"), Contains("'name'") && Contains("twice"));
}

TEST_CASE("without function yaml the files tell name, runtime and handler") {
  struct {
    const char* file;
    Runtime runtime;
    const char* handler;
  } const cases[] = {{"app.py", Runtime::python3, "app.handler"},
                     {"lambda_function.py", Runtime::python3, "lambda_function.lambda_handler"},
                     {"index.mjs", Runtime::nodejs, "index.handler"},
                     {"index.cjs", Runtime::nodejs, "index.handler"},
                     {"index.js", Runtime::nodejs, "index.handler"}};
  for (const auto& c : cases) {
    INFO(c.file);
    FunctionFolder folder;
    folder.write(c.file);
    const FunctionSpec spec = load(folder);
    CHECK(spec.name == "hello");
    CHECK(spec.runtime == c.runtime);
    CHECK(spec.handler == c.handler);
    CHECK(spec.timeout == seconds(3));
    CHECK(spec.memory_bytes == mebibytes(128));
  }
}

TEST_CASE("the main of package json is a candidate, and may be the same file as another") {
  FunctionFolder folder;
  folder.write("src/server.js");
  folder.write("package.json", R"({"main": "./src/server.js"})");
  CHECK(load(folder).handler == "src/server.handler");
  folder.write("package.json", R"({"main": "src/server"})");
  CHECK(load(folder).handler == "src/server.handler");
  folder.write("index.js");
  CHECK_THAT(folder_problem(folder), Contains("index.js") && Contains("src/server.js"));
  folder.write("package.json", R"({"main": "index.js"})");
  CHECK(load(folder).handler == "index.handler");
  folder.write("package.json", R"({"main": "gone.js"})");
  CHECK_THAT(folder_problem(folder), Contains("package.json") && Contains("'gone.js'"));
  folder.write("package.json", R"({"main": "../out.js"})");
  CHECK_THAT(folder_problem(folder), Contains("package.json") && Contains("inside"));
  folder.write("package.json", "{");
  CHECK_THAT(folder_problem(folder), Contains("package.json") && Contains("JSON"));
  folder.write("package.json", std::string(100'000, '['));
  CHECK_THAT(folder_problem(folder), Contains("package.json"));
  folder.write("package.json", R"({"name": "no main"})");
  CHECK(load(folder).handler == "index.handler");
}

TEST_CASE("two candidates are an error that names both") {
  FunctionFolder folder;
  folder.write("app.py");
  folder.write("index.mjs");
  CHECK_THAT(folder_problem(folder),
             Contains("app.py") && Contains("index.mjs") && Contains("function.yaml"));
  FunctionFolder python;
  python.write("app.py");
  python.write("lambda_function.py");
  CHECK_THAT(folder_problem(python), Contains("app.py") && Contains("lambda_function.py"));
}

TEST_CASE("no candidate is an error that says what was looked for") {
  FunctionFolder folder;
  folder.write("main.py");
  CHECK_THAT(folder_problem(folder), Contains("app.py") && Contains("lambda_function.py") &&
                                         Contains("index.mjs") && Contains("package.json"));
  folder.write("function.yaml", "runtime: python3");
  CHECK_THAT(folder_problem(folder), Contains("app.py") && !Contains("index.mjs"));
}

TEST_CASE("what function yaml leaves out is filled from the files") {
  FunctionFolder folder;
  folder.write("app.py");
  folder.write("index.js");
  folder.write("function.yaml", "runtime: nodejs");
  CHECK(load(folder).handler == "index.handler");
  folder.write("function.yaml", "handler: app.main");
  CHECK(load(folder).runtime == Runtime::python3);
  folder.write("function.yaml", "handler: gone.main");
  CHECK_THAT(folder_problem(folder), Contains("'gone.main'") && Contains("gone.py"));
  folder.write("index.py");
  folder.write("function.yaml", "handler: index.main");
  CHECK_THAT(folder_problem(folder), Contains("index.py") && Contains("index.js"));
}

TEST_CASE("a native function names an executable") {
  FunctionFolder folder;
  folder.write("function.yaml", "runtime: native");
  CHECK_THAT(folder_problem(folder), Contains("handler is missing"));
  folder.write("function.yaml", "runtime: native\nhandler: bin/hello");
  CHECK_THAT(folder_problem(folder), Contains("bin/hello") && Contains("not there"));
  folder.write("bin/hello");
  CHECK_THAT(folder_problem(folder), Contains("not executable"));
  REQUIRE(::chmod((folder.path + "/bin/hello").c_str(), 0755) == 0);
  CHECK(load(folder).handler == "bin/hello");
}

TEST_CASE("a custom function is an executable bootstrap") {
  FunctionFolder folder;
  folder.write("bootstrap");
  CHECK_THAT(folder_problem(folder), Contains("holds no function"));  // some other script
  folder.write("function.yaml", "runtime: provided.al2023");
  CHECK_THAT(folder_problem(folder), Contains("bootstrap is not executable"));
  REQUIRE(::chmod((folder.path + "/bootstrap").c_str(), 0755) == 0);
  CHECK(load(folder).runtime == Runtime::custom);
  CHECK(load(folder).runtime_label == "provided.al2023");
  CHECK(load(folder).handler == "bootstrap");
  folder.write("function.yaml", "handler: app.Main::run");
  CHECK(load(folder).runtime == Runtime::custom);
  CHECK(load(folder).handler == "app.Main::run");
  folder.write("function.yaml", "{}");
  CHECK(load(folder).runtime == Runtime::custom);
  folder.write("app.py");
  CHECK_THAT(folder_problem(folder), Contains("app.py") && Contains("bootstrap"));
  folder.write("function.yaml", "runtime: custom");
  CHECK(load(folder).handler == "bootstrap");
  std::filesystem::remove(folder.path + "/bootstrap");
  CHECK_THAT(folder_problem(folder), Contains("bootstrap"));
}

TEST_CASE("names and handlers that no server takes are refused with the folder") {
  FunctionFolder folder;
  folder.write("app.py");
  std::filesystem::create_directory(folder.path + "/my function");
  std::ofstream(folder.path + "/my function/app.py") << "";
  const auto spec = load_function(folder.path + "/my function");
  REQUIRE_FALSE(spec);
  CHECK_THAT(spec.error().detail, Contains("'my function'"));
  folder.write("function.yaml", "runtime: python3\nhandler: ../evil.handler");
  CHECK_THAT(folder_problem(folder), Contains("../evil.handler"));
  CHECK(load_function(folder.path + "/").error().code == Code::manifest_invalid);
  CHECK(load_function(folder.root + "/gone").error().code == Code::io_failed);
}
