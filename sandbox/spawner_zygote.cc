// Starts by the generic zygote: a sandbox whose first process is the zygote's clone and our child.
// Until that says so on its report socket a start has no process that we know of; whatever goes
// wrong until the worker runs, it is started once more by an exec.
#include <stdio.h>
#include <sys/wait.h>

#include "sandbox/spawner.h"
#include "sandbox/spawner_tags.h"

namespace hearth::sandbox {

// The zygote's network namespace is not the host's, and its environment is nobody's.
bool Spawner::may_start_warm(const Request& request) {
  return request.runtime == zygotes_.runtime() && zygotes_.available() && !request.family &&
         request.network != Network::kHost && !request.own_environment &&
         zygotes_.state() != ZygoteKeeper::State::kNone;
}

// There is room: each start has one, and no more than kStartingMax are on their way.
Failure Spawner::start_warm(Slot& slot, const Request& request) {
  uint32_t index = 0;
  while (index + 1 < kStartingMax && warm_[index].taken) ++index;
  WarmStart& start = warm_[index];
  if (start.taken) return {"too many starts", EAGAIN};
  if (Failure f = open_sandbox(slot, request, start.ends)) {
    start = WarmStart{};
    return f;
  }
  start.taken = true;
  start.slot = index_of(slot);
  start.request = request;
  slot.warm = index;
  return {};
}

// What waits for a zygote, as soon as it is clear whether one comes.
void Spawner::hand_warm_starts() {
  const ZygoteKeeper::State state = zygotes_.state();
  if (state == ZygoteKeeper::State::kBooting) return;
  for (uint32_t i = 0; i < kStartingMax; ++i) {
    WarmStart& start = warm_[i];
    if (!start.taken || start.handed) continue;
    Slot& slot = slots_[start.slot];
    if (state == ZygoteKeeper::State::kNone || !hand_warm_start(slot, start)) start_anew(slot);
  }
}

bool Spawner::hand_warm_start(const Slot& slot, WarmStart& start) {
  const Request& request = start.request;
  ZygoteStart message{};
  message.uid = uid_of(slot.uid_index);
  message.memory_bytes = request.memory_bytes;
  message.data_bytes = data_limit(request, slot.runtime, slot.tmp_bytes);
  message.tmp_bytes = request.tmp_bytes;
  message.nproc = nproc_limit(slot.uid_index);
  message.network = request.network;
  message.has_code = request.has_code ? 1 : 0;
  if (request.has_code) copy_text(message.code, request.code);
  int fds[kStartFds];
  for (int i = 0; i < kStartFds; ++i) fds[i] = start.ends[i].get();
  if (!zygotes_.hand(message, fds)) return false;
  for (UniqueFd& end : start.ends) end.reset();
  start.handed = true;
  return true;
}

// The pid is the kernel's word. A child of ours that nobody knows can only be what the zygote has
// cloned with us as its parent; it does nothing before it gets its byte.
Failure Spawner::take_init(Slot& slot, pid_t pid) {
  siginfo_t info;
  if (pid <= 1 || waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0)
    return {"the process that reports is no child of the spawner", EPROTO};
  if (is_init(pid) || zygotes_.is_one(pid) || is_agent(pid))
    return {"the process that reports is known already", EPROTO};
  if (Failure f = start_in_cgroup(index_of(slot), pid, slot.report.get())) return f;
  slot.init = pid;
  return {};
}

void Spawner::start_anew(Slot& slot) {
  const Request request = warm_[slot.warm].request;
  const uint32_t uid_index = slot.uid_index;
  end_warm_start(slot);
  slot = Slot{};
  slot.generation = request.generation;
  slot.uid_index = uid_index;
  slot.state = State::kStarting;
  if (Failure f = open_and_launch(slot, request)) return abandon_start(slot, f);
  if (Failure f = begin(slot, request)) fail_start(slot, f.step, f.error);
}

void Spawner::end_warm_start(Slot& slot) {
  if (slot.warm == kNone) return;
  warm_[slot.warm] = WarmStart{};
  slot.warm = kNone;
}

// Of a start that has no process, or whose process is reaped.
void Spawner::abandon_start(Slot& slot, const Failure& why) {
  char text[kDetailMax];
  snprintf(text, sizeof text, "%s: %s", why.step, strerror(why.error));
  answer(MessageType::kSpawned, index_of(slot), slot.generation, why.error, text);
  end_warm_start(slot);
  slot = Slot{};
  --starting_;
}

}  // namespace hearth::sandbox
