#include "worker/memory.h"

#include <unistd.h>

#include "tests/catch.h"

namespace hearth::worker {
namespace {

TEST_CASE("what a group holds is anonymous and shared memory, not cached files") {
  CHECK(
      held_memory("cache 9000\nrss 4096\nrss_huge 2048\nshmem 100\nmapped_file 7\ntotal_rss 1\n") ==
      4196);
  CHECK(held_memory("anon 5000\nfile 70000\nkernel 3\nshmem 11\nanon_thp 9") == 5011);
  CHECK(held_memory("") == 0);
  CHECK(held_memory("anon\nanon x\n\nshmem ") == 0);
}

TEST_CASE("a process tells what it has itself") {
  CHECK(process_memory(::getpid(), "VmRSS:") > 1'000'000);
  CHECK(process_memory(::getpid(), "VmHWM:") >= process_memory(::getpid(), "VmRSS:") / 2);
  CHECK(process_memory(::getpid(), "NoSuchLine:") == 0);
  CHECK(process_memory(0, "VmRSS:") == 0);
}

TEST_CASE("a process outside of any sandbox has no group of a sandbox") {
  CHECK(sandbox_memory_group(::getpid()).empty());
  CHECK(sandbox_memory_group(-1).empty());
  CHECK(group_memory("/no/such/folder") == 0);
}

}  // namespace
}  // namespace hearth::worker
