// The group of a slot.
#include "sandbox/cgroup.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "sandbox/cgroup_files.h"

namespace hearth::sandbox {
namespace {

constexpr uint64_t kCpuPeriodUs = 100'000;
constexpr int kRemovePatienceMs = 1'000;

struct SlotName {
  explicit SlotName(uint32_t slot) { snprintf(text, sizeof text, "slot-%u", slot); }
  char text[16];
};

Failure failed(const char* step, int error) {
  return error == 0 ? Failure{} : Failure{step, error};
}

}  // namespace

const Cgroups::Hierarchy* Cgroups::with(Controller controller) const {
  for (size_t i = 0; i < count_; ++i)
    if ((hierarchies_[i].controllers & bit(controller)) != 0) return &hierarchies_[i];
  return nullptr;
}

Failure Cgroups::prepare(uint32_t slot, const CgroupLimits& limits, UniqueFd& clone_into) {
  const SlotName name(slot);
  for (size_t i = 0; i < count_; ++i) {
    const Hierarchy& h = hierarchies_[i];
    if (mkdirat(h.root.get(), name.text, 0755) != 0 && errno != EEXIST)
      return Failure::at("make a cgroup");
    if (slot >= slots_) slots_ = slot + 1;
    if (!h.v2 || killed_[slot]) continue;
    clone_into.reset(openat(h.root.get(), name.text, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!clone_into.valid()) return Failure::at("open a cgroup");
  }
  return limit(slot, limits);
}

void Cgroups::remove(uint32_t slot) {
  const SlotName name(slot);
  for (size_t i = 0; i < count_; ++i) {
    const Hierarchy& h = hierarchies_[i];
    if (unlinkat(h.root.get(), name.text, AT_REMOVEDIR) == 0 && h.v2) killed_[slot] = false;
  }
}

Failure Cgroups::attach(uint32_t slot, pid_t pid) {
  const SlotName name(slot);
  for (size_t i = 0; i < count_; ++i) {
    const Hierarchy& h = hierarchies_[i];
    if (h.v2 && !killed_[slot]) continue;
    const int error =
        write_cgroup_number({h.root.get(), name.text}, "cgroup.procs", static_cast<uint64_t>(pid));
    if (error != 0) return {"move the sandbox into its cgroup", error};
  }
  return {};
}

Failure Cgroups::move(uint32_t slot, pid_t pid) {
  const SlotName name(slot);
  for (size_t i = 0; i < count_; ++i) {
    const int error = write_cgroup_number({hierarchies_[i].root.get(), name.text}, "cgroup.procs",
                                          static_cast<uint64_t>(pid));
    if (error != 0) return {"move the worker into its cgroup", error};
  }
  return {};
}

Failure Cgroups::limit_memory(uint32_t slot, uint64_t bytes) {
  const Hierarchy* h = with(Controller::kMemory);
  if (h == nullptr) return {};
  const SlotName name(slot);
  const CgroupDir at{h->root.get(), name.text};
  if (h->v2) {
    // A kernel without swap has no such file.
    write_cgroup_file(at, "memory.swap.max", "0");
    if (const int error = write_cgroup_file(at, "memory.oom.group", "1"); error != 0)
      return {"let memory run out for a sandbox as a whole", error};
    return failed("limit the memory of a cgroup", write_cgroup_number(at, "memory.max", bytes));
  }
  // Memory and swap together may never be below memory alone, so that is moved out of the way
  // first. A kernel that does not count swap has no such file.
  write_cgroup_file(at, "memory.memsw.limit_in_bytes", "-1");
  const int error = write_cgroup_number(at, "memory.limit_in_bytes", bytes);
  if (error != 0) return {"limit the memory of a cgroup", error};
  write_cgroup_number(at, "memory.memsw.limit_in_bytes", bytes);
  return {};
}

Failure Cgroups::limit_cpu(uint32_t slot, uint32_t millis) {
  const Hierarchy* h = with(Controller::kCpu);
  if (h == nullptr) return {};
  const SlotName name(slot);
  const CgroupDir at{h->root.get(), name.text};
  const uint64_t quota = millis * kCpuPeriodUs / 1000;
  int error;
  if (h->v2) {
    char text[48];
    if (millis == 0)
      snprintf(text, sizeof text, "max %llu", static_cast<unsigned long long>(kCpuPeriodUs));
    else
      snprintf(text, sizeof text, "%llu %llu", static_cast<unsigned long long>(quota),
               static_cast<unsigned long long>(kCpuPeriodUs));
    error = write_cgroup_file(at, "cpu.max", text);
  } else {
    error = write_cgroup_number(at, "cpu.cfs_period_us", kCpuPeriodUs);
    if (error == 0)
      error = millis == 0 ? write_cgroup_file(at, "cpu.cfs_quota_us", "-1")
                          : write_cgroup_number(at, "cpu.cfs_quota_us", quota);
    // Version 1 refuses more than the groups above have, which bound it anyway.
    if (error == EINVAL) error = write_cgroup_file(at, "cpu.cfs_quota_us", "-1");
  }
  return failed("limit the CPU time of a cgroup", error);
}

Failure Cgroups::limit(uint32_t slot, const CgroupLimits& limits) {
  if (Failure f = limit_memory(slot, limits.memory_bytes)) return f;
  if (Failure f = limit_cpu(slot, limits.cpu_millis)) return f;
  const SlotName name(slot);
  if (const Hierarchy* h = with(Controller::kPids)) {
    const int error = write_cgroup_number({h->root.get(), name.text}, "pids.max", limits.pids);
    if (error != 0) return {"limit the processes of a cgroup", error};
  }
  if (const Hierarchy* h = with(Controller::kIo)) {
    const int error = write_cgroup_file({h->root.get(), name.text}, "io.weight", "default 100");
    if (error != 0) return {"set the I/O weight of a cgroup", error};
  }
  return {};
}

void Cgroups::freeze(uint32_t slot) {
  const Hierarchy* h = with(Controller::kFreezer);
  if (h == nullptr) return;
  const SlotName name(slot);
  const CgroupDir at{h->root.get(), name.text};
  if (h->v2)
    write_cgroup_file(at, "cgroup.freeze", "1");
  else
    write_cgroup_file(at, "freezer.state", "FROZEN");
}

void Cgroups::thaw(uint32_t slot) {
  const Hierarchy* h = with(Controller::kFreezer);
  if (h == nullptr) return;
  const SlotName name(slot);
  const CgroupDir at{h->root.get(), name.text};
  if (h->v2)
    write_cgroup_file(at, "cgroup.freeze", "0");
  else
    write_cgroup_file(at, "freezer.state", "THAWED");
}

bool Cgroups::is_frozen(uint32_t slot) const {
  const Hierarchy* h = with(Controller::kFreezer);
  if (h == nullptr) return false;
  const SlotName name(slot);
  const CgroupDir at{h->root.get(), name.text};
  if (h->v2) return read_cgroup_value(at, "cgroup.events", "frozen") == 1;
  char text[32];
  return read_cgroup_file(at, "freezer.state", text, sizeof text) &&
         strncmp(text, "FROZEN", 6) == 0;
}

bool Cgroups::kill_needs_thaw() const {
  const Hierarchy* h = with(Controller::kFreezer);
  return h != nullptr && !h->v2;
}

void Cgroups::each_process(uint32_t slot, void (*each)(void* context, pid_t pid),
                           void* context) const {
  const SlotName name(slot);
  if (const Hierarchy* h = with(Controller::kFreezer))
    each_cgroup_process({h->root.get(), name.text}, each, context);
}

void Cgroups::kill(uint32_t slot) {
  const Hierarchy* h = with(Controller::kFreezer);
  if (h == nullptr) return;
  const SlotName name(slot);
  if (h->v2 && write_cgroup_file({h->root.get(), name.text}, "cgroup.kill", "1") == 0) {
    killed_[slot] = true;
    return;
  }
  // Frozen, nothing forks while it is read who is there. On version 1 a kill of a frozen process
  // waits for its thaw.
  freeze(slot);
  kill_listed(*h, slot);
  thaw(slot);
}

void Cgroups::kill_listed(const Hierarchy& h, uint32_t slot) {
  const SlotName name(slot);
  each_cgroup_process(
      {h.root.get(), name.text}, [](void*, pid_t pid) { ::kill(pid, SIGKILL); }, nullptr);
}

CgroupEvents Cgroups::events(uint32_t slot) const {
  CgroupEvents events;
  const SlotName name(slot);
  if (const Hierarchy* h = with(Controller::kMemory))
    events.oom_kills = read_cgroup_value(
        {h->root.get(), name.text}, h->v2 ? "memory.events" : "memory.oom_control", "oom_kill");
  if (const Hierarchy* h = with(Controller::kPids))
    events.pids_refused = read_cgroup_value({h->root.get(), name.text}, "pids.events", "max");
  return events;
}

void Cgroups::remove_all() {
  for (size_t i = 0; i < count_; ++i) {
    Hierarchy& h = hierarchies_[i];
    for (uint32_t slot = 0; slot < slots_; ++slot)
      remove_cgroup({h.root.get(), SlotName(slot).text}, kRemovePatienceMs);
    remove_cgroup({h.parent.get(), h.name}, kRemovePatienceMs);
    h = Hierarchy{};
  }
  count_ = 0;
  controllers_ = 0;
  slots_ = 0;
}

}  // namespace hearth::sandbox
