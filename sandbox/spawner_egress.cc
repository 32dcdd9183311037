// The agents of sandboxes with Network::kEgress or kHost: processes of the spawner's own, beside
// init and not below it. Each ends with its sandbox.
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "sandbox/egress/hook.h"
#include "sandbox/spawner.h"

namespace hearth::sandbox {

void Spawner::take_descriptor(Slot& slot, uint32_t kind, int fd) {
  switch (static_cast<Report::Kind>(kind)) {
    case Report::Kind::kStub:
      return slot.stub.reset(fd);
    case Report::Kind::kUserNamespace:
      return slot.users.reset(fd);
    case Report::Kind::kApi:
      return slot.engine_ends[kFdApi].reset(fd);
    case Report::Kind::kListener:
      return slot.listener.reset(fd);
    default:
      return slot.mounts.reset(fd);
  }
}

// Before the clone: may the sandbox have this network, and the socket of its agent.
Failure Spawner::open_egress(Slot& slot, Network network) {
  slot.network = network;
  if (network == Network::kNone) return {};
  if (!egress_.available()) return {egress_.reason(), EOPNOTSUPP};
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return Failure::at("make the agent's socket");
  slot.engine_ends[kFdEgress].reset(ends[0]);
  slot.agent_end.reset(ends[1]);
  return {};
}

const sock_fprog* Spawner::filter_of(const Request& request) const {
  switch (request.network) {
    case Network::kEgress:
      return filters_.of_egress(request.runtime);
    case Network::kHost:
      return filters_.of_host(request.runtime);
    case Network::kNone:
      break;
  }
  return filters_.of_runtime(request.runtime);
}

Failure Spawner::start_agent(Slot& slot) {
  const bool user = config_.mode == Mode::kUser;
  const bool host = slot.network == Network::kHost;
  if ((!host && !slot.stub.valid()) || !slot.listener.valid() || !slot.mounts.valid() ||
      (user && !slot.users.valid()))
    return {"the sandbox did not hand over what its agent needs", EPROTO};
  slot.agent =
      egress::start_agent({egress_.image(), egress_.filter(), slot.listener.get(),
                           host ? -1 : slot.stub.get(), slot.agent_end.get(), slot.mounts.get(),
                           user ? slot.users.get() : -1, user ? 0 : uid_of(slot.uid_index)});
  // Only the agent may hold them: when it ends, the worker's calls have to fail.
  for (UniqueFd* fd : {&slot.stub, &slot.users, &slot.listener, &slot.agent_end}) fd->reset();
  if (slot.agent <= 0) {
    slot.agent = 0;
    return Failure::at("start the agent");
  }
  // Into the group of the worker that keeps it busy: its time is the function's.
  return cgroups_.in_use() ? cgroups_.move(index_of(slot), slot.agent) : Failure{};
}

// It ends at once: what it was doing was for a worker that is gone.
void Spawner::end_agent(Slot& slot) {
  if (slot.agent <= 0) return;
  freeze(slot, false);  // what stands still does not end, on version 1
  kill(slot.agent, SIGKILL);
  while (waitpid(slot.agent, nullptr, 0) < 0 && errno == EINTR) continue;
  slot.agent = 0;
}

bool Spawner::forget_agent(pid_t pid) {
  for (uint32_t i = 0; i < config_.slots_max; ++i) {
    if (slots_[i].state == State::kFree || slots_[i].agent != pid) continue;
    slots_[i].agent = 0;
    return true;
  }
  return false;
}

bool Spawner::is_agent(pid_t pid) const {
  for (uint32_t i = 0; i < config_.slots_max; ++i)
    if (slots_[i].state != State::kFree && slots_[i].agent == pid) return true;
  return false;
}

}  // namespace hearth::sandbox
