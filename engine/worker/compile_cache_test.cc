// CompileCaches by its calls alone: who is asked, what is taken, who gets it, what goes first.
#include "worker/compile_cache.h"

#include "tests/catch.h"
#include "worker/frame.h"

using namespace hearth;
using namespace hearth::worker;

namespace {

struct Rig {
  Rig() {
    limits.compile_cache_per_function = 3 * kPartMax;
    limits.compile_cache_total = 5 * kPartMax;
  }
  static FunctionSpecPtr function(Runtime runtime = Runtime::nodejs) {
    FunctionSpec spec;
    spec.runtime = runtime;
    return std::make_shared<FunctionSpec>(spec);
  }
  CacheShare begin(const FunctionSpecPtr& spec) {
    CacheShare share;
    caches.begin(share, spec);
    return share;
  }
  // A worker that makes a cache of so many bytes.
  void make(const FunctionSpecPtr& spec, size_t bytes, char fill = 'x') {
    CacheShare share = begin(spec);
    REQUIRE(share.asked());
    for (; bytes > kPartMax; bytes -= kPartMax)
      REQUIRE(caches.add(share, spec, std::string(kPartMax, fill), true).empty());
    REQUIRE(caches.add(share, spec, std::string(bytes, fill), false).empty());
    REQUIRE(caches.ready(share, spec, 0).empty());
    caches.gone(share);
  }

  Limits limits;
  CompileCaches caches{limits};
};

}  // namespace

TEST_CASE("one worker of a revision makes its cache and the later ones get it") {
  Rig rig;
  const FunctionSpecPtr spec = Rig::function();
  CacheShare first = rig.begin(spec);
  CHECK(first.asked());
  CacheShare meanwhile = rig.begin(spec);
  CHECK((!meanwhile.asked() && meanwhile.given == nullptr));
  CHECK(rig.caches.add(first, spec, std::string(kPartMax, 'a'), true).empty());
  CHECK(rig.caches.add(first, spec, "b", false).empty());
  CHECK(rig.caches.ready(first, spec, 0).empty());
  CacheShare later = rig.begin(spec);
  REQUIRE(later.given != nullptr);
  CHECK(later.given->parts == std::vector<std::string>{std::string(kPartMax, 'a'), "b"});
  CHECK_FALSE(later.asked());
  CHECK(rig.caches.ready(later, spec, kCacheUsed).empty());
  CHECK((rig.caches.stats().hits == 1 && rig.caches.stats().made == 1));
  CHECK((rig.caches.stats().bytes == kPartMax + 1 && rig.caches.stats().revisions == 1));
}

TEST_CASE("only Node functions have one and none has when it is off") {
  Rig rig;
  for (const Runtime runtime : {Runtime::python3, Runtime::native, Runtime::host})
    CHECK_FALSE(rig.begin(Rig::function(runtime)).asked());
  rig.limits.compile_cache_per_function = 0;
  CHECK_FALSE(rig.begin(Rig::function()).asked());
}

TEST_CASE("another version of a function gets nothing of the old one's") {
  Rig rig;
  FunctionSpecPtr spec = Rig::function();
  rig.make(spec, 10);
  CHECK(rig.begin(Rig::function()).asked());
  CHECK(rig.begin(spec).given != nullptr);
  const FunctionSpecPtr other = Rig::function();
  CacheShare kept = rig.begin(other);
  spec.reset();  // nobody refers to it any more: the next one that is kept sweeps it out
  REQUIRE(rig.caches.add(kept, other, "z", false).empty());
  CHECK((rig.caches.stats().revisions == 1 && rig.caches.stats().bytes == 1));
}

TEST_CASE("a worker that sends what it should not is told of by name") {
  Rig rig;
  const FunctionSpecPtr spec = Rig::function();
  CacheShare share = rig.begin(spec);
  SECTION("not asked") {
    CacheShare other = rig.begin(spec);
    CHECK(rig.caches.add(other, spec, "x", false) ==
          "CACHE of a worker that was not asked for one");
  }
  SECTION("twice") {
    CHECK(rig.caches.add(share, spec, "x", false).empty());
    CHECK(rig.caches.add(share, spec, "x", false) == "CACHE came twice");
  }
  SECTION("after READY") {
    CHECK(rig.caches.ready(share, spec, 0).empty());
    CHECK(rig.caches.add(share, spec, "x", false) == "CACHE came after READY");
  }
  SECTION("READY within it") {
    CHECK(rig.caches.add(share, spec, std::string(kPartMax, 'x'), true).empty());
    CHECK(rig.caches.ready(share, spec, 0) == "READY came within CACHE");
  }
  SECTION("too large") {
    for (int i = 0; i < 3; ++i)
      CHECK(rig.caches.add(share, spec, std::string(kPartMax, 'x'), true).empty());
    CHECK(rig.caches.add(share, spec, "x", false) ==
          "CACHE is larger than limits.compile_cache_per_function");
  }
  SECTION("READY tells of one that it was not given") {
    CHECK(rig.caches.ready(share, spec, kCacheUsed) == "READY tells of a CACHE that was not sent");
  }
  SECTION("READY with bits that mean nothing") {
    CHECK(rig.caches.ready(share, spec, 4) == "READY has not the right form");
  }
  rig.caches.gone(share);
  CHECK(rig.caches.stats().bytes == (rig.caches.stats().made == 0 ? 0 : 1));
}

TEST_CASE("a worker that makes nothing or ends of it is the last one that is asked") {
  Rig rig;
  const FunctionSpecPtr spec = Rig::function();
  CacheShare share = rig.begin(spec);
  SECTION("READY without a cache") { CHECK(rig.caches.ready(share, spec, 0).empty()); }
  SECTION("it ended in the midst of it") {
    CHECK(rig.caches.add(share, spec, std::string(kPartMax, 'x'), true).empty());
    rig.caches.failed(share, spec);
    rig.caches.gone(share);
  }
  CHECK(rig.caches.stats().bytes == 0);
  CacheShare next = rig.begin(spec);
  CHECK((!next.asked() && next.given == nullptr));
}

TEST_CASE("after an init that failed another worker is asked") {
  Rig rig;
  const FunctionSpecPtr spec = Rig::function();
  CacheShare share = rig.begin(spec);
  rig.caches.failed(share, spec);
  rig.caches.gone(share);
  CHECK(rig.begin(spec).asked());
}

TEST_CASE("a cache that is refused is dropped and made anew, but not one that followed it") {
  Rig rig;
  const FunctionSpecPtr spec = Rig::function();
  rig.make(spec, 10);
  CacheShare one = rig.begin(spec);
  CacheShare two = rig.begin(spec);
  CHECK(rig.caches.ready(one, spec, kCacheUsed | kCacheRejected).empty());
  CHECK((rig.caches.stats().rejects == 1 && rig.caches.stats().bytes == 0));
  CacheShare maker = rig.begin(spec);
  CHECK(maker.asked());
  CHECK(rig.caches.ready(two, spec, kCacheRejected).empty());  // of the old one, in the midst of it
  CHECK(rig.caches.add(maker, spec, "new", false).empty());
  CHECK(rig.begin(spec).given->parts.front() == "new");
}

TEST_CASE("the least used revision loses its cache first") {
  Rig rig;
  const FunctionSpecPtr a = Rig::function(), b = Rig::function(), c = Rig::function();
  rig.make(a, 2 * kPartMax);
  rig.make(b, 2 * kPartMax);
  CHECK(rig.begin(a).given != nullptr);
  rig.make(c, 2 * kPartMax);
  CHECK(rig.caches.stats().evictions == 1);
  CHECK(rig.caches.stats().bytes == 4 * kPartMax);
  CHECK(rig.begin(a).given != nullptr);
  CHECK(rig.begin(c).given != nullptr);
  CHECK(rig.begin(b).asked());
}

TEST_CASE("what is coming from many workers at once stays below the total") {
  Rig rig;
  const FunctionSpecPtr a = Rig::function(), b = Rig::function(), c = Rig::function();
  CacheShare one = rig.begin(a), two = rig.begin(b), three = rig.begin(c);
  const std::string part(kPartMax, 'x');
  for (int i = 0; i < 2; ++i) {
    CHECK(rig.caches.add(one, a, part, true).empty());
    CHECK(rig.caches.add(two, b, part, true).empty());
    CHECK(rig.caches.add(three, c, part, true).empty());  // the second one finds no room
  }
  CHECK(rig.caches.stats().bytes == 4 * kPartMax);
  CHECK(rig.caches.add(three, c, "end", false).empty());
  CHECK(rig.caches.ready(three, c, 0).empty());
  CHECK(rig.caches.stats().made == 0);
  CHECK(rig.begin(c).asked());
  rig.caches.gone(one);
  rig.caches.gone(two);
  CHECK(rig.caches.stats().bytes == 0);
}
