// What a debugger changes of a function.
#include "dev/debugger.h"

#include "tests/catch.h"
#include "tests/test_folder.h"

namespace hearth::dev {

using hearth_test::TestFolder;

TEST_CASE("a function under a debugger has one worker no timeout and the port in its environment") {
  FunctionSpec spec;
  spec.environment = {{"Z", "1"}};
  Limits limits;
  limits.timeout_max = std::chrono::hours(24);
  REQUIRE(prepare_for_debugger(spec, 9229, limits));
  CHECK(spec.timeout == std::chrono::hours(24));
  CHECK(spec.concurrency.workers_max == 1);
  CHECK(spec.concurrency.per_worker == 1);
  CHECK(spec.environment[0] == std::pair<std::string, std::string>("HEARTH_DEBUG_PORT", "9229"));
}

TEST_CASE("a native function has no debugger of ours") {
  FunctionSpec spec;
  spec.runtime = Runtime::native;
  CHECK_FALSE(prepare_for_debugger(spec, 9229, Limits()));
}

TEST_CASE("debugpy in the function's folder is enough and node needs nothing") {
  const TestFolder folder;
  FunctionSpec spec;
  spec.runtime = Runtime::nodejs;
  CHECK(debugger_problem(spec, folder.path()).empty());
  spec.runtime = Runtime::python3;
  folder.write("debugpy/__init__.py", "");
  CHECK(debugger_problem(spec, folder.path()).empty());
}

}  // namespace hearth::dev
