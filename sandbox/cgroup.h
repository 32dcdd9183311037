// The sandboxes' cgroups: below the group that this process was started in, hearth-<pid>/slot-<n>
// in every hierarchy that can be written (version 1, version 2, or a hybrid of both: the freezer
// and the kill of version 2, the controllers of version 1). Groups are opened before the host's
// tree is left and are reached by descriptor from then on. A slot's group is kept and reused, since
// a removed memory group lives on in the kernel as long as a page is charged to it.
//
// hearth-<pid> is locked (flock) as long as its spawner lives: what has a free lock is left over
// from one that was killed, and is removed by the next that starts. On version 2 a group with
// processes can't hand controllers down; where the engine and the spawner are alone in theirs, they
// move to hearth-host below it.
//
// All but open() works without heap memory.
#pragma once
#include <sys/types.h>

#include <bitset>

#include "base/unique_fd.h"
#include "sandbox/cgroup_find.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/sys.h"

namespace hearth::sandbox {

struct CgroupLimits {
  uint64_t memory_bytes;  // of all processes together, /tmp and /dev/shm included; no swap
  uint32_t cpu_millis;    // 0 = no quota
  uint32_t pids;          // processes and threads
};

// Counters that only grow, over all lives of a slot.
struct CgroupEvents {
  uint64_t oom_kills = 0;
  uint64_t pids_refused = 0;
};

class Cgroups {
 public:
  Cgroups() = default;
  Cgroups(const Cgroups&) = delete;
  Cgroups& operator=(const Cgroups&) = delete;
  ~Cgroups() { remove_all(); }

  // Makes the folder of this spawner, and removes those of dead ones. What can't be had stays off;
  // why_not() has the reason.
  void open();
  // Off for this reason; at the start only.
  void give_up(const char* reason);

  bool has(Controller controller) const { return (controllers_ & bit(controller)) != 0; }
  const char* why_not(Controller controller) const {
    return reasons_[static_cast<size_t>(controller)];
  }
  bool in_use() const { return count_ > 0; }

  // The group of a slot (numbers from slots_max on: of a family's init), made or reused, with its
  // limits. `clone_into` is a descriptor for CLONE_INTO_CGROUP, or invalid; attach() does the rest.
  Failure prepare(uint32_t slot, const CgroupLimits& limits, UniqueFd& clone_into);
  // Puts the process into the groups that it was not born in. It must not have forked yet.
  Failure attach(uint32_t slot, pid_t pid);
  // The same for one that was born in another slot's groups.
  Failure move(uint32_t slot, pid_t pid);
  Failure limit(uint32_t slot, const CgroupLimits& limits);

  void freeze(uint32_t slot);
  void thaw(uint32_t slot);
  // Does everything in the group stand still, after freeze()?
  bool is_frozen(uint32_t slot) const;
  // Version 1: what is killed while it is frozen dies when it is thawed.
  bool kill_needs_thaw() const;
  // Calls `each` for every process of the group as it is now; nothing where there is no freezer.
  void each_process(uint32_t slot, void (*each)(void* context, pid_t pid), void* context) const;
  // Kills everything in the group, frozen or not; nothing where there is no freezer.
  void kill(uint32_t slot);
  CgroupEvents events(uint32_t slot) const;

  // A slot's groups, if they are empty; else they stay for its next use.
  void remove(uint32_t slot);
  // The groups must be empty, or become so within a second.
  void remove_all();

 private:
  struct Hierarchy {
    UniqueFd parent, root;
    char name[32] = {};  // of root in parent
    bool v2 = false;
    uint8_t controllers = 0;
  };
  static constexpr size_t kHierarchiesMax = 8;

  void open_place(const CgroupPlace& place);
  uint8_t hand_down(const Hierarchy& h);
  void note(uint8_t controllers, const char* format, const char* detail);
  const Hierarchy* with(Controller controller) const;
  Failure limit_memory(uint32_t slot, uint64_t bytes);
  Failure limit_cpu(uint32_t slot, uint32_t millis);
  void kill_listed(const Hierarchy& h, uint32_t slot);

  Hierarchy hierarchies_[kHierarchiesMax];
  size_t count_ = 0;
  uint8_t controllers_ = 0;
  uint32_t slots_ = 0;  // one above the highest that was ever prepared
  // Slots whose group of version 2 was killed once: Linux 6.18 kills at once whatever is born into
  // such a group from another one, so processes are moved into it instead.
  std::bitset<2 * kSlotsMax> killed_;
  char reasons_[kControllers][95] = {};
};

}  // namespace hearth::sandbox
