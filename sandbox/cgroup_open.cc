// The spawner's folder in each hierarchy, and what dead spawners left behind.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "sandbox/cgroup.h"
#include "sandbox/cgroup_files.h"

namespace hearth::sandbox {
namespace {

constexpr const char* kPrefix = "hearth-";
constexpr int kStalePatienceMs = 1'000;
constexpr int kLockTries = 200;
constexpr int kLockTryMs = 5;
constexpr int kNamesMax = 16;

struct ControllerName {
  Controller controller;
  const char* name;
};
constexpr ControllerName kHandedDown[] = {{Controller::kMemory, "memory"},
                                          {Controller::kCpu, "cpu"},
                                          {Controller::kPids, "pids"},
                                          {Controller::kIo, "io"}};

bool names_group(const char* text, const char* prefix) {
  const size_t length = strlen(prefix);
  return strncmp(text, prefix, length) == 0 && text[length] >= '0' && text[length] <= '9';
}

template <class Each>
void each_folder(int at, const char* prefix, const Each& each) {
  const int copy = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* dir = copy < 0 ? nullptr : fdopendir(copy);
  if (dir == nullptr) {
    if (copy >= 0) close(copy);
    return;
  }
  while (const dirent* entry = readdir(dir))
    if (names_group(entry->d_name, prefix)) each(entry->d_name);
  closedir(dir);
}

// Whatever runs in a slot of a dead spawner is about to die, or was frozen by it.
void empty_group(CgroupDir at) {
  if (write_cgroup_file(at, "cgroup.kill", "1") != 0)
    each_cgroup_process(
        at, [](void*, pid_t pid) { kill(pid, SIGKILL); }, nullptr);
  write_cgroup_file(at, "freezer.state", "THAWED");
}

void remove_stale(int parent) {
  each_folder(parent, kPrefix, [&](const char* name) {
    const UniqueFd root(openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!root.valid() || flock(root.get(), LOCK_EX | LOCK_NB) != 0) return;
    each_folder(root.get(), "slot-", [&](const char* slot) { empty_group({root.get(), slot}); });
    each_folder(root.get(), "slot-", [&](const char* slot) {
      remove_cgroup({root.get(), slot}, kStalePatienceMs);
    });
    remove_cgroup({parent, name}, 0);
  });
}

// Others that start at the same time must not take the new folder for a stale one before it is
// locked. Goes on without after a while: the lock is no more than good manners.
void lock_with_patience(int fd) {
  for (int i = 0; i < kLockTries && flock(fd, LOCK_EX | LOCK_NB) != 0; ++i)
    poll(nullptr, 0, kLockTryMs);
}

struct Members {
  int count = 0;
  bool only_ours = true;
  bool has_parent = false;
};

// A group other than the root's has to be empty before it hands controllers down: with processes in
// it, its children could take none in. So the spawner, and the engine if it is there too, move
// below. Not where others are in the group. False: it is not empty.
bool empty_for_children(int parent) {
  const CgroupDir group{parent, ""};
  if (!cgroup_file_exists(group, "cgroup.type")) return true;  // the root
  Members members;
  each_cgroup_process(
      group,
      [](void* context, pid_t pid) {
        auto& m = *static_cast<Members*>(context);
        ++m.count;
        if (pid == getppid()) m.has_parent = true;
        if (pid != getpid() && pid != getppid()) m.only_ours = false;
      },
      &members);
  if (members.count == 0) return true;
  if (!members.only_ours) return false;
  const char* host = kCgroupHostName.data();
  if (mkdirat(parent, host, 0755) != 0 && errno != EEXIST) return false;
  const CgroupDir at{parent, host};
  if (members.has_parent &&
      write_cgroup_number(at, "cgroup.procs", static_cast<uint64_t>(getppid())) != 0)
    return false;
  return write_cgroup_number(at, "cgroup.procs", static_cast<uint64_t>(getpid())) == 0;
}

bool lists_word(const char* text, const char* word) {
  const size_t length = strlen(word);
  for (const char* at = text; (at = strstr(at, word)) != nullptr; at += length)
    if ((at == text || at[-1] == ' ') &&
        (at[length] == '\0' || at[length] == ' ' || at[length] == '\n'))
      return true;
  return false;
}

}  // namespace

void Cgroups::note(uint8_t controllers, const char* format, const char* detail) {
  for (size_t i = 0; i < kControllers; ++i)
    if ((controllers & (1u << i)) != 0) snprintf(reasons_[i], sizeof reasons_[i], format, detail);
}

// Which controllers the children of h.root have.
uint8_t Cgroups::hand_down(const Hierarchy& h) {
  char present[512], down[512];
  const CgroupDir parent{h.parent.get(), ""}, root{h.root.get(), ""};
  if (!read_cgroup_file(parent, "cgroup.controllers", present, sizeof present)) return 0;
  uint8_t got = 0;
  for (const ControllerName& c : kHandedDown) {
    if (has(c.controller)) continue;  // on version 1
    if (!lists_word(present, c.name)) {
      note(bit(c.controller), "the group of the engine has no such controller%s", "");
      continue;
    }
    char text[16];
    snprintf(text, sizeof text, "+%s", c.name);
    if (!read_cgroup_file(parent, "cgroup.subtree_control", down, sizeof down)) down[0] = '\0';
    int error = 0;
    if (!lists_word(down, c.name))
      error = empty_for_children(h.parent.get())
                  ? write_cgroup_file(parent, "cgroup.subtree_control", text)
                  : EBUSY;
    if (error == 0) error = write_cgroup_file(root, "cgroup.subtree_control", text);
    if (error == 0)
      got |= bit(c.controller);
    else
      note(bit(c.controller), "not delegated to the engine (%s): give it a group of its own",
           strerror(error));
  }
  return got;
}

void Cgroups::open_place(const CgroupPlace& place) {
  uint8_t wanted = place.controllers & static_cast<uint8_t>(~controllers_);
  if (count_ == kHierarchiesMax || (!place.v2 && wanted == 0)) return;
  const uint8_t all = place.v2 ? static_cast<uint8_t>(~controllers_) : wanted;
  Hierarchy h;
  h.v2 = place.v2;
  h.parent.reset(::open(place.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!h.parent.valid()) return note(all, "its cgroup can't be opened: %s", strerror(errno));
  const UniqueFd& lock = h.parent;
  lock_with_patience(lock.get());
  remove_stale(h.parent.get());
  int error = EEXIST;
  for (int i = 0; i < kNamesMax && error == EEXIST; ++i) {
    // Another pid namespace may have a spawner of the same number here.
    snprintf(h.name, sizeof h.name, i == 0 ? "%s%d" : "%s%d-%d", kPrefix, getpid(), i);
    error = mkdirat(h.parent.get(), h.name, 0755) == 0 ? 0 : errno;
  }
  if (error == 0) {
    h.root.reset(openat(h.parent.get(), h.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (h.root.valid()) flock(h.root.get(), LOCK_EX | LOCK_NB);
  }
  flock(lock.get(), LOCK_UN);
  if (error != 0) return note(all, "its cgroup can't be written: %s", strerror(error));
  h.controllers = wanted;
  if (h.v2) {
    h.controllers = hand_down(h);
    if (cgroup_file_exists({h.root.get(), ""}, "cgroup.freeze"))
      h.controllers |= bit(Controller::kFreezer);
    if ((h.controllers & bit(Controller::kIo)) != 0 &&
        !cgroup_file_exists({h.root.get(), ""}, "io.weight")) {
      h.controllers &= static_cast<uint8_t>(~bit(Controller::kIo));
      note(bit(Controller::kIo), "the kernel has no I/O weights%s", "");
    }
  }
  if (!h.root.valid() || h.controllers == 0) {
    remove_cgroup({h.parent.get(), h.name}, 0);
    return;
  }
  controllers_ |= h.controllers;
  hierarchies_[count_++] = std::move(h);
}

void Cgroups::open() {
  note(static_cast<uint8_t>(~0u), "no cgroups are mounted here%s", "");
  const std::vector<CgroupPlace> places = find_own_cgroups();
  // The freezer of version 2 comes first: what is frozen by it can still be killed.
  for (const bool v2 : {true, false})
    for (const CgroupPlace& place : places)
      if (place.v2 == v2) open_place(place);
  for (const CgroupPlace& place : places)
    if (!place.v2 && !has(Controller::kIo))
      note(bit(Controller::kIo), "shares of I/O need cgroup version 2%s", "");
}

void Cgroups::give_up(const char* reason) {
  remove_all();
  note(static_cast<uint8_t>(~0u), "%.94s", reason);
}

}  // namespace hearth::sandbox
