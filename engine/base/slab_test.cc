#include "base/slab.h"

#include <memory>

#include "tests/catch.h"

using namespace hearth;

TEST_CASE("a slab finds what it holds and nothing that is gone") {
  Slab<int, InvocationId> slab(2);
  const auto a = slab.add(1);
  const auto b = slab.add(2);
  REQUIRE(a);
  REQUIRE(b);
  CHECK_FALSE(slab.add(3));
  CHECK(*slab.find(a) == 1);
  slab.remove(a);
  CHECK(slab.find(a) == nullptr);
  const auto c = slab.add(4);
  CHECK(c.slot == a.slot);
  CHECK(c.generation != a.generation);
  CHECK(slab.find(a) == nullptr);
  CHECK(*slab.find(c) == 4);
  CHECK(slab.find({77, 1}) == nullptr);
  CHECK(slab.find({}) == nullptr);
}

TEST_CASE("a slab destroys its elements") {
  auto counter = std::make_shared<int>(0);
  {
    Slab<std::shared_ptr<int>, WorkerId> slab(3);
    slab.add(counter);
    const auto id = slab.add(counter);
    CHECK(counter.use_count() == 3);
    slab.remove(id);
    CHECK(counter.use_count() == 2);
  }
  CHECK(counter.use_count() == 1);
}
