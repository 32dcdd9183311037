// Where this process is in the machine's cgroups: version 2, version 1, or both (hybrid, where the
// controllers are on version 1). Used at the spawner's start only.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::sandbox {

enum class Controller : uint8_t { kMemory, kCpu, kPids, kIo, kFreezer, kControllersCount };
inline constexpr size_t kControllers = static_cast<size_t>(Controller::kControllersCount);
inline constexpr uint8_t bit(Controller controller) {
  return static_cast<uint8_t>(1u << static_cast<unsigned>(controller));
}

// The folder of the group that children are made in.
inline constexpr std::string_view kCgroupHostName = "hearth-host";

struct CgroupPlace {
  std::string folder;  // of our own group, as an absolute path
  bool v2 = false;
  uint8_t controllers = 0;  // bits; version 2: 0, its files say which there are
};

// `self` is the text of /proc/self/cgroup, `mounts` that of /proc/self/mountinfo. Places that no
// mount shows are left out, and so are hierarchies of version 1 without a controller that we use. A
// group named hearth-host is our own doing (see cgroup.h): its parent is the place.
std::vector<CgroupPlace> find_cgroups(std::string_view self, std::string_view mounts);

// The same for the calling process.
std::vector<CgroupPlace> find_own_cgroups();

}  // namespace hearth::sandbox
