// Which variables count only when a process starts, and what follows for a function that has one.
#include "core/start_environment.h"

#include "core/pool_key.h"
#include "core/test_rig.h"
#include "core/zygote.h"
#include "tests/catch.h"

using namespace hearth;
using Catch::Contains;

namespace {

FunctionSpec with(Runtime runtime, const char* name) {
  FunctionSpec spec = function_spec();
  spec.runtime = runtime;
  spec.environment = {{"A", "1"}, {name, "2"}};
  return spec;
}

}  // namespace

TEST_CASE("variables count at the start by their names and the runtime") {
  for (const char* name : {"LD_PRELOAD", "LD_LIBRARY_PATH", "GLIBC_TUNABLES", "MALLOC_ARENA_MAX"})
    for (const Runtime runtime : {Runtime::python3, Runtime::nodejs, Runtime::native})
      CHECK(counts_at_start(runtime, name));
  for (const char* name : {"PYTHONPATH", "PYTHONHASHSEED", "PYTHONOPTIMIZE"}) {
    CHECK(counts_at_start(Runtime::python3, name));
    CHECK_FALSE(counts_at_start(Runtime::nodejs, name));
  }
  for (const char* name :
       {"NODE_OPTIONS", "NODE_PATH", "NODE_EXTRA_CA_CERTS", "UV_THREADPOOL_SIZE"}) {
    CHECK(counts_at_start(Runtime::nodejs, name));
    CHECK_FALSE(counts_at_start(Runtime::python3, name));
  }
  for (const char* name : {"NODE_ENV", "PATH", "TZ", "LD", "MY_LD_PRELOAD", "PYTHO", "ld_preload"})
    for (const Runtime runtime : {Runtime::python3, Runtime::nodejs, Runtime::native})
      CHECK_FALSE(counts_at_start(runtime, name));
}

TEST_CASE("a function with such a variable fits no pool and no zygote and a deploy can say so") {
  for (const auto& [runtime, name] :
       {std::pair(Runtime::python3, "PYTHONHASHSEED"), std::pair(Runtime::nodejs, "NODE_OPTIONS"),
        std::pair(Runtime::python3, "LD_PRELOAD")}) {
    const FunctionSpec spec = with(runtime, name);
    CHECK(starts_with_environment(spec));
    CHECK(start_variable(spec) == name);
    CHECK_FALSE(pool_key(spec));
    CHECK_THAT(fresh_start_reason(spec), Contains(name) && Contains("only when a process starts"));
    CHECK_FALSE(same_start(spec, spec));
    FunctionSpec plain = spec;
    plain.environment = {{"A", "1"}};
    CHECK_FALSE(starts_with_environment(plain));
    CHECK(pool_key(plain));
    CHECK_FALSE(same_start(plain, spec));
    CHECK_FALSE(same_start(spec, plain));
  }
  const Limits limits;
  const FunctionSpec python = with(Runtime::python3, "PYTHONPATH");
  CHECK_FALSE(ZygotePlan().wants(python, limits.zygote_min_init, MonotonicTime{}, limits));
}

TEST_CASE("a custom function has its environment from its start, also without variables") {
  FunctionSpec spec = with(Runtime::custom, "ANY");
  CHECK(starts_with_environment(spec));
  spec.environment.clear();
  CHECK(starts_with_environment(spec));
  CHECK(fresh_start_reason(spec).empty());
  CHECK_FALSE(pool_key(spec));
}

TEST_CASE("a native function has its environment from its start") {
  FunctionSpec spec = with(Runtime::native, "ANY");
  CHECK(starts_with_environment(spec));
  CHECK(start_variable(spec).empty());
  CHECK(fresh_start_reason(spec).empty());
  spec.environment.clear();
  CHECK_FALSE(starts_with_environment(spec));
}
