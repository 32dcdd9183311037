// After a call: what the function left behind in its sandbox is killed, or counted. Bounded in
// rounds and in time, since the spawner has one thread; engine/design/0009-warm-workers.md.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>

#include "sandbox/spawner.h"
#include "sandbox/spawner_tags.h"
#include "sandbox/tree.h"

namespace hearth::sandbox {
namespace {

constexpr int kLookMs = 1;

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

// Nothing in a frozen group ends by itself, so the number is still its own.
void meet_in_group(void* context, pid_t pid) {
  Leftovers& found = *static_cast<Leftovers*>(context);
  if (found.spares(pid)) return;
  ++found.present;
  if (found.note(pid) && found.kill) ::kill(pid, SIGKILL);
}

void meet_in_tree(void* context, pid_t pid, pid_t parent) {
  Leftovers& found = *static_cast<Leftovers*>(context);
  if (found.spares(pid)) return;
  ++found.present;
  if (found.note(pid) && found.kill) signal_child(pid, parent, SIGKILL);
}

}  // namespace

bool Leftovers::note(pid_t pid) {
  if (std::find(seen, seen + count, pid) != seen + count) return false;
  if (count == kLeftoversMax) {
    full = true;
    return true;
  }
  seen[count++] = pid;
  ++fresh;
  append_process_name(pid, names);
  return true;
}

void append_process_name(pid_t pid, char (&names)[kDetailMax]) {
  char path[32], name[32];
  snprintf(path, sizeof path, "/proc/%d/comm", pid);
  const UniqueFd fd(open(path, O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return;
  const ssize_t n = read(fd.get(), name, sizeof name - 1);
  if (n <= 1) return;
  name[n - 1] = '\0';  // over its newline
  for (char* c = name; *c != '\0'; ++c)
    if (!is_plain(*c)) *c = '?';
  const size_t length = strlen(names);
  if (length + strlen(name) + 3 > sizeof names) return;
  snprintf(names + length, sizeof names - length, "%s%s", length == 0 ? "" : ", ", name);
}

void Spawner::clear_leftovers(Slot& slot, bool kill) {
  static Leftovers found;
  found.kill = kill;
  found.spared[0] = slot.init;
  found.spared[1] = slot.worker;
  found.spared[2] = slot.agent;
  found.count = found.fresh = found.present = 0;
  found.full = false;
  found.names[0] = '\0';
  Failure failure;
  if (slot.zygote)
    failure = {"a zygote runs no calls", EINVAL};
  else if (cgroups_.has(Controller::kFreezer)) {
    freeze(slot, true);
    failure = clear_group(slot, found);
  } else if (slot.family != kNone) {
    failure = {"workers of a zygote can't be told apart without a freezer", ENOTSUP};
  } else {
    failure = clear_tree(slot, found);
  }
  Outgoing& out = push(MessageType::kLeftovers, &slot, index_of(slot));
  out.error = failure.error;
  out.leftovers = found.count;
  copy_text(out.detail, failure ? failure.step : found.names);
  if (failure.error == EAGAIN) request_kill(slot);
}

// Frozen, nothing forks: once all stand still, one look finds everything.
Failure Spawner::clear_group(const Slot& slot, Leftovers& found) {
  const uint32_t group = index_of(slot);
  const int64_t until = now_ms() + kLeftoverWaitMs;
  for (int round = 0; round < kLeftoverRounds;) {
    const bool still = cgroups_.is_frozen(group);
    const bool late = now_ms() >= until;
    found.fresh = found.present = 0;
    if (still || late) cgroups_.each_process(group, meet_in_group, &found);
    if (found.full) break;
    if (late && !still) {
      // Not all stand still: what forks could have slipped away from the look.
      if (found.present == 0 || !found.kill) return {};
      break;
    }
    if (found.fresh > 0) ++round;
    if (found.kill && found.present > 0 && still && cgroups_.kill_needs_thaw()) {
      cgroups_.thaw(group);  // they die on their way out
      poll(nullptr, 0, kLookMs);
      cgroups_.freeze(group);
    }
    // Those that were killed run no code any more, however long the kernel takes over them.
    const bool gone = found.present == 0 || !found.kill;
    if (found.fresh == 0 && still && (gone || late)) return {};
    if (found.fresh == 0) poll(nullptr, 0, kLookMs);
  }
  return {"its processes forked faster than they could be killed", EAGAIN};
}

// All of a sandbox descends from its init. The worker is stopped meanwhile, so that the race is
// with what it left behind alone.
Failure Spawner::clear_tree(const Slot& slot, Leftovers& found) {
  const int64_t until = now_ms() + kLeftoverWaitMs;
  const bool stopped = found.kill && signal_child(slot.worker, slot.init, SIGSTOP);
  Failure failure{"its processes forked faster than they could be killed", EAGAIN};
  for (int round = 0; round < kLeftoverRounds && !found.full;) {
    found.fresh = found.present = 0;
    each_descendant(slot.init, meet_in_tree, &found);
    if (found.fresh > 0) ++round;
    if (!found.kill || (found.fresh == 0 && (found.present == 0 || now_ms() >= until))) {
      failure = {};
      break;
    }
    if (found.fresh == 0) poll(nullptr, 0, kLookMs);
  }
  if (stopped) signal_child(slot.worker, slot.init, SIGCONT);
  return failure;
}

}  // namespace hearth::sandbox
