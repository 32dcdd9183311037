// What the spawner does with its sandboxes' cgroups.
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "sandbox/confine.h"
#include "sandbox/spawner.h"

namespace hearth::sandbox {
namespace {

constexpr uint32_t kSharedNproc = 8192;

}  // namespace

void Spawner::open_cgroups() {
  if (config_.mode == Mode::kOff) return cgroups_.give_up("mode off: no confinement at all");
  // The groups would be root's, and the spawner is about to take another uid.
  if (config_.mode == Mode::kUser && as_root_)
    return cgroups_.give_up("mode user as root: start as that user, or use mode strict");
  cgroups_.open();
}

Failure Spawner::run_trial_or_without_cgroups() {
  const Failure failure = run_trial();
  if (!failure || !cgroups_.in_use()) return failure;
  char reason[95];
  snprintf(reason, sizeof reason, "a trial failed: %.40s: %.30s", failure.step,
           strerror(failure.error));
  cgroups_.give_up(reason);
  return run_trial();
}

CgroupLimits Spawner::group_limits(const Request& request, uint32_t runtime,
                                   uint64_t tmp_bytes) const {
  const MemoryLimits memory =
      memory_limits(config_.runtimes[runtime].name, request.memory_bytes, tmp_bytes, true);
  return {memory.group_bytes, request.cpu_millis, config_.nproc};
}

uint64_t Spawner::data_limit(const Request& request, uint32_t runtime, uint64_t tmp_bytes) const {
  return memory_limits(config_.runtimes[runtime].name, request.memory_bytes, tmp_bytes,
                       cgroups_.has(Controller::kMemory))
      .data_bytes;
}

uint32_t Spawner::nproc_limit(uint32_t slot) const {
  if (config_.mode == Mode::kOff) return 0;
  // Without a uid or a user namespace of its own, a worker is counted together with all that its
  // user runs.
  if (config_.mode != Mode::kUser && uid_of(slot) == 0) return kSharedNproc;
  // It is the group that decides, since its refusals are counted.
  return cgroups_.has(Controller::kPids) ? 2 * config_.nproc : config_.nproc;
}

// On failure the sandbox is gone.
Failure Spawner::start_in_cgroup(uint32_t slot, pid_t init, int report) {
  Failure failure = cgroups_.attach(slot, init);
  if (!failure && send(report, "", 1, MSG_NOSIGNAL) != 1)
    failure = Failure::at("let the sandbox start");
  if (!failure) return {};
  kill(init, SIGKILL);
  while (waitpid(init, nullptr, 0) < 0 && errno == EINTR) continue;
  return failure;
}

void Spawner::freeze(Slot& slot, bool frozen) {
  if (slot.frozen == frozen) return;
  slot.frozen = frozen;
  if (frozen)
    cgroups_.freeze(index_of(slot));
  else
    cgroups_.thaw(index_of(slot));
}

void Spawner::request_kill(Slot& slot) {
  if (slot.family != kNone) return request_kill_in_family(slot);
  if (slot.state == State::kStarting && awaits_init(slot))
    return abandon_start(slot, {"killed before it was ready", ECANCELED});
  // Init writes the worker's status as soon as it ends, and may still be on its own way out.
  pollfd status{slot.status.get(), POLLIN, 0};
  if (!slot.killed) slot.ended_before_kill = poll(&status, 1, 0) > 0 && (status.revents & POLLIN);
  slot.killed = true;
  kill_slot_processes(slot);
}

void Spawner::tell_events(const Slot& slot, Outgoing& out) const {
  const CgroupEvents now = cgroups_.events(index_of(slot));
  const bool out_of_memory = now.oom_kills > slot.before.oom_kills;
  const bool killed_by_kernel = WIFSIGNALED(slot.wait_status) &&
                                WTERMSIG(slot.wait_status) == SIGKILL &&
                                (!slot.killed || slot.ended_before_kill);
  out.oom = out_of_memory && killed_by_kernel;
  out.oom_child = out_of_memory && !killed_by_kernel;
  out.pids_hit = now.pids_refused > slot.before.pids_refused;
}

}  // namespace hearth::sandbox
