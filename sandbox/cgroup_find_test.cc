// Where a process is in the cgroups, from texts of machines of every kind.
#include "sandbox/cgroup_find.h"

#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

constexpr uint8_t kCpuBit = bit(Controller::kCpu);

constexpr const char* kV1Mounts =
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime - cgroup cgroup rw,freezer\n"
    "39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
    "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n";
constexpr const char* kUnified =
    "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

}  // namespace

TEST_CASE("a machine of version 1 has a place for each controller") {
  const auto places = find_cgroups(
      "9:name=systemd:/x\n8:pids:/\n6:freezer:/\n4:memory:/user/7\n2:cpu,cpuacct:/a\n", kV1Mounts);
  REQUIRE(places.size() == 4);
  CHECK(places[0].folder == "/sys/fs/cgroup/pids");
  CHECK(places[0].controllers == bit(Controller::kPids));
  CHECK(places[1].folder == "/sys/fs/cgroup/freezer");
  CHECK(places[2].folder == "/sys/fs/cgroup/memory/user/7");
  CHECK(places[3].folder == "/sys/fs/cgroup/cpu,cpuacct/a");
  CHECK(places[3].controllers == kCpuBit);
  CHECK(!places[3].v2);
}

TEST_CASE("a hybrid machine has version 2 beside version 1") {
  const auto places =
      find_cgroups("4:memory:/\n0::/s/h.service\n", std::string(kV1Mounts) + kUnified);
  REQUIRE(places.size() == 2);
  CHECK(!places[0].v2);
  CHECK(places[1].v2);
  CHECK(places[1].folder == "/sys/fs/cgroup/unified/s/h.service");
}

TEST_CASE("a machine of version 2 has one place") {
  const auto places = find_cgroups(
      "0::/system.slice/hearth.service/hearth-host\n",
      "26 21 0:23 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  REQUIRE(places.size() == 1);
  CHECK(places[0].v2);
  CHECK(places[0].folder == "/sys/fs/cgroup/system.slice/hearth.service");
}

TEST_CASE("a container sees its own part of the hierarchy only") {
  constexpr const char* mounts =
      "26 21 0:23 /docker/ab /sys/fs/cg\\040roup ro - cgroup2 cgroup rw\n";
  auto places = find_cgroups("0::/docker/ab/x\n", mounts);
  REQUIRE(places.size() == 1);
  CHECK(places[0].folder == "/sys/fs/cg roup/x");
  CHECK(find_cgroups("0::/docker/abc\n", mounts).empty());
  CHECK(find_cgroups("0::/other\n", mounts).empty());
  CHECK(find_cgroups("0::/../other\n", mounts).empty());
}

TEST_CASE("a machine without cgroups has no place") {
  CHECK(find_cgroups("", "").empty());
  CHECK(find_cgroups("0::/\n", "").empty());
  CHECK(find_cgroups("4:memory:/\n", kUnified).empty());
  CHECK(find_cgroups("garbage\n:::\n0:\n", "more garbage\n- cgroup2\n").empty());
}

}  // namespace hearth::sandbox
