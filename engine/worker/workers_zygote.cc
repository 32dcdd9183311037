// Zygotes and the workers that are forked from them. What a zygote says is hostile input, as all
// that a worker says.
#include <fmt/core.h>

#include <algorithm>

#include "core/zygote.h"
#include "worker/workers.h"

namespace hearth::worker {

static_assert(kZygoteChildrenMax == sandbox::kFamilyMembersMax);

void Workers::start_zygote(WorkerId zygote, const FunctionSpecPtr& spec) {
  Process* process = add(zygote, spec->runtime, spec);
  process->role = Process::Role::zygote;
  launcher_.spawn(zygote, spawner_runtime(spec->runtime, spec->interpreter),
                  {.memory_bytes = spec->memory_bytes, .tmp_bytes = spec->tmp_bytes},
                  sandbox::Network::kNone, {}, {}, {.family = true});
}

void Workers::fork(WorkerId worker, WorkerId zygote, const FunctionSpecPtr& spec) {
  Process* process = add(worker, spec->runtime, spec);
  process->role = Process::Role::forked;
  process->zygote = zygote;
  launcher_.fork(worker, zygote,
                 {.memory_bytes = spec->memory_bytes, .cpu_millis = spec->cpu_millis});
}

// It may be on its way: then it is told as soon as it has a channel.
void Workers::bind_forked(Process& process) {
  process.wanted = true;
  if (process.hello) process.times = {};  // nobody waited for its start
  if (process.pid != 0) wake_forked(process);
}

// It has had its function since it was forked: INIT says only that it is needed now.
void Workers::wake_forked(Process& process) {
  process.channel.send_control(FrameType::init, {}, 0, "{}");
}

bool Workers::has_ends(WorkerId worker) const {
  const Process* process = find(worker);
  return process != nullptr && process->ends.channel.valid();
}

// The far ends go to the zygote and are closed here. Nobody to give them to: the spawner sees that
// nobody holds the report socket any more, and says that the start has failed.
void Workers::on_fork_ends(ForkEnds&& ends) {
  Process* process = find(ends.worker);
  if (process == nullptr || process->role != Process::Role::forked) return;
  process->ends = std::move(ends);
  const auto far = std::move(process->ends.far);
  Process* zygote = find(process->zygote);
  if (zygote == nullptr || zygote->given_up || !zygote->moulded) return;
  int fds[kForkDescriptors];
  static_assert(std::tuple_size_v<decltype(ForkEnds::far)> == kForkDescriptors);
  for (size_t i = 0; i < kForkDescriptors; ++i) fds[i] = far[i].get();
  const WorkerId id = process->id;
  if (zygote->channel.send_fork({id.slot, id.generation}, fds)) {
    zygote->forking.push_back(id);
  } else {
    violation(*zygote, "it does not read its FORK frames");
  }
}

bool Workers::on_ready(Process& process, const Frame& frame) {
  if (process.role == Process::Role::zygote || !process.hello) {
    violation(process, process.hello ? "READY of a zygote" : "READY came before HELLO");
    return false;
  }
  const std::string_view wrong =
      process.spec != nullptr ? caches_.ready(process.cache, process.spec, frame.header.aux) : "";
  if (!wrong.empty()) {
    violation(process, wrong);
    return false;
  }
  events_->on_worker_ready(process.id, get_u32(frame.payload.data()));
  return true;
}

bool Workers::on_zygote(Process& process, const Frame& frame) {
  if (process.role != Process::Role::zygote || process.moulded || !process.hello) {
    violation(process, process.moulded ? "ZYGOTE came twice" : "ZYGOTE of an ordinary worker");
    return false;
  }
  if ((frame.header.flags & kFlagError) != 0) {
    log_.info("worker", "workers of '{}' are not forked: {:.300}", process.spec->name,
              frame.payload);
    events_->on_zygote_refused(process.id, frame.payload);
    return true;
  }
  process.moulded = true;
  events_->on_zygote_ready(process.id, get_u32(frame.payload.data()));
  return true;
}

// How the fork went is told by the spawner; this is for the log only, but has to be an answer.
bool Workers::on_forked(Process& process, const Frame& frame) {
  const WorkerId id{frame.header.id.slot, frame.header.id.generation};
  const auto at = std::find(process.forking.begin(), process.forking.end(), id);
  if (at == process.forking.end()) {
    violation(process, "FORKED for a fork that was not asked for");
    return false;
  }
  process.forking.erase(at);
  if ((frame.header.flags & kFlagError) != 0) {
    log_.warning("worker", "a zygote of '{}' could not fork: {:.300}", process.spec->name,
                 frame.payload);
  }
  return true;
}

}  // namespace hearth::worker
