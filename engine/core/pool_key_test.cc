// Which parked workers fit which function, how many are kept of each kind, and that they are made
// off the path of calls.
#include "core/pool_key.h"

#include "core/test_rig.h"

using namespace hearth;
using What = Ask::What;

namespace {

FunctionSpec node(uint64_t megabytes) {
  FunctionSpec spec = function_spec();
  spec.runtime = Runtime::nodejs;
  spec.memory_bytes = mebibytes(megabytes);
  return spec;
}

PoolKey key_of(const FunctionSpec& spec) {
  const auto key = pool_key(spec);
  REQUIRE(key);
  return *key;
}

// A burst of cold functions, each with one call.
void burst(Rig& rig, FunctionSpec spec, uint32_t count) {
  static uint32_t next = 0;
  for (uint32_t i = 0; i < count; ++i) {
    spec.name = "burst-" + std::to_string(++next);
    rig.call(rig.deploy(spec));
  }
}

}  // namespace

// ---- keys

TEST_CASE("every key has its index and back") {
  for (size_t i = 0; i < kPoolKeyCount; ++i) CHECK(PoolKey::at(i).index() == i);
}

TEST_CASE("python of every size shares a pool and node has one for each class") {
  FunctionSpec python = function_spec();
  const size_t index = key_of(python).index();
  python.memory_bytes = mebibytes(300);
  CHECK(key_of(python).index() == index);
  CHECK(key_of(python).memory_bytes() == 0);
  for (const uint64_t size : kMemoryClasses) CHECK(key_of(node(size >> 20)).memory_bytes() == size);
  CHECK(key_of(node(128)).index() == PoolKey::standard(Runtime::nodejs).index());
  CHECK_FALSE(key_of(node(256)).index() == key_of(node(512)).index());
  CHECK_FALSE(pool_key(node(300)));
  CHECK(fresh_start_reason(node(300)).find("300 MB") != std::string::npos);
  CHECK(fresh_start_reason(node(256)).empty());
}

TEST_CASE("the network mode is part of the key") {
  FunctionSpec spec = function_spec();
  const size_t none = key_of(spec).index();
  spec.network = Network::egress;
  CHECK_FALSE(key_of(spec).index() == none);
  CHECK(key_of(spec).shape().network == Network::egress);
}

TEST_CASE("a /tmp of another size and native functions fit no pool") {
  FunctionSpec spec = function_spec();
  spec.tmp_bytes = mebibytes(128);
  CHECK_FALSE(pool_key(spec));
  CHECK(fresh_start_reason(spec).find("/tmp") != std::string::npos);
  spec = function_spec();
  spec.runtime = Runtime::native;
  CHECK_FALSE(pool_key(spec));
  CHECK(fresh_start_reason(spec).empty());
}

TEST_CASE("a booting process can load another revision only if it was started alike") {
  const FunctionSpec a = function_spec();
  FunctionSpec b = a;
  b.memory_bytes = mebibytes(256);
  CHECK(same_start(a, b));
  CHECK_FALSE(same_start(node(128), node(256)));
  CHECK_FALSE(same_start(a, node(128)));
  b.network = Network::host;
  CHECK_FALSE(same_start(a, b));
  b = a;
  b.tmp_bytes = mebibytes(1);
  CHECK_FALSE(same_start(a, b));
}

// ---- demand

TEST_CASE("demand counts at once and fades by a half in a minute") {
  PoolDemand demand;
  CHECK(demand.wanted() == 0);
  for (int i = 0; i < 8; ++i) demand.took(i < 2);
  CHECK(demand.wanted() == 8);
  CHECK(demand.tick());
  CHECK(demand.wanted() == 8);
  for (int i = 0; i < 60; ++i) CHECK(demand.tick());
  CHECK(demand.wanted() == 4);
  int seconds = 0;
  while (demand.tick()) ++seconds;
  CHECK(seconds < 240);
  CHECK(demand.wanted() == 0);
}

TEST_CASE("hits alone ask for nothing more") {
  PoolDemand demand;
  for (int i = 0; i < 50; ++i) demand.took(true);
  CHECK_FALSE(demand.tick());
  CHECK(demand.wanted() == 0);
}

// ---- in the pool

TEST_CASE("misses make the pool grow but not in the turn that needed a worker") {
  Rig rig;
  rig.core.pool().set_parked_target(Runtime::python3, 2);
  rig.boot_all();
  burst(rig, function_spec(), 6);
  CHECK(rig.core.pool().stats().pool_hits == 2);
  CHECK(rig.core.pool().stats().pool_misses == 4);
  CHECK(rig.count(What::start) == 6);  // two parked, four of their own: nothing for the pool yet
  rig.pass(milliseconds(25));
  CHECK(rig.count(What::start) == 12);
  rig.boot_all();
  CHECK(rig.core.pool().parked(Runtime::python3) == 6);
  rig.pass(seconds(240));
  CHECK(rig.core.pool().parked(Runtime::python3) == 2);  // demand has faded, the base stays
}

TEST_CASE("a pool without a base appears where functions miss it") {
  Rig rig;
  rig.core.pool().set_parked_target(Runtime::nodejs, 1);
  FunctionSpec spec = node(512);
  burst(rig, spec, 1);
  CHECK(rig.core.pool().parked_target(key_of(spec)) == 1);
  rig.pass(milliseconds(25));
  REQUIRE(rig.count(What::start) == 3);
  const WorkerShape shape = rig.last(What::start).shape;
  CHECK(shape.runtime == Runtime::nodejs);
  CHECK(shape.memory_bytes == mebibytes(512));
  rig.boot_all();
  CHECK(rig.core.pool().parked(key_of(spec)) == 1);
  burst(rig, spec, 1);
  CHECK(rig.core.pool().stats().pool_hits == 1);
  burst(rig, node(256), 1);  // another class finds nothing there
  CHECK(rig.core.pool().stats().pool_misses == 2);
}

TEST_CASE("demand stops at max_per_key") {
  Limits limits;
  limits.pool_key_max = 3;
  Rig rig(limits);
  rig.core.pool().set_parked_target(Runtime::python3, 1);
  burst(rig, function_spec(), 20);
  CHECK(rig.core.pool().parked_target(PoolKey{}) == 3);
}

TEST_CASE("a pool that is off by configuration stays off whatever the demand") {
  Rig rig;
  burst(rig, function_spec(), 20);
  rig.pass(milliseconds(100));
  CHECK(rig.count(What::start) == 20);
  CHECK(rig.core.pool().parked_target(PoolKey{}) == 0);
}

TEST_CASE("demand stops at its share of the memory budget over all keys") {
  Limits limits;
  limits.memory_budget = mebibytes(3'200);
  limits.pool_memory_share = 5;  // 160 MB: five workers of 32
  Rig rig(limits);
  rig.core.pool().set_parked_target(Runtime::python3, 1);
  rig.core.pool().set_parked_target(Runtime::nodejs, 1);
  rig.boot_all();
  burst(rig, function_spec(), 6);
  burst(rig, node(128), 6);
  rig.pass(milliseconds(25));
  rig.boot_all();
  const auto& pool = rig.core.pool();
  CHECK(pool.parked(Runtime::python3) + pool.parked(Runtime::nodejs) == 2 + 5);
}

TEST_CASE("functions that fit no pool are counted apart and leave it alone") {
  Rig rig;
  rig.core.pool().set_parked_target(Runtime::python3, 1);
  rig.boot_all();
  FunctionSpec spec = function_spec();
  spec.tmp_bytes = mebibytes(128);
  rig.call(rig.deploy(spec));
  CHECK(rig.core.pool().parked(Runtime::python3) == 1);
  CHECK(rig.core.pool().stats().pool_fresh == 1);
  CHECK(rig.core.pool().stats().pool_misses == 0);
}
