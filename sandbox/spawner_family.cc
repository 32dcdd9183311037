// Zygotes and the workers that are forked from them: one sandbox, one init, many slots. See
// engine/design/0011-zygotes.md. What comes over a report socket or the status pipe here was caused
// by the function: it is only believed where the kernel vouches for it.
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "sandbox/process_status.h"
#include "sandbox/spawner.h"
#include "sandbox/spawner_tags.h"
#include "sandbox/tree.h"

namespace hearth::sandbox {
namespace {

// From the end of a process to the moment when init must have told its status; usually some us.
constexpr int64_t kUntoldMs = 1'000;
constexpr size_t kEndsPerRead = 64;
constexpr int kReadsPerTurn = 16;

}  // namespace

// Slots mostly run under the uid of their own number. A family may hold the uid of a slot that it
// has left: then another one is free, because no living sandbox is without a slot.
uint32_t Spawner::free_uid_index(uint32_t preferred) const {
  bool taken[kSlotsMax] = {};
  for (uint32_t i = 0; i < config_.slots_max; ++i)
    if (slots_[i].state != State::kFree) taken[slots_[i].uid_index] = true;
  if (!taken[preferred]) return preferred;
  for (uint32_t i = 0; i < config_.slots_max; ++i)
    if (!taken[i]) return i;
  return kNone;
}

// There is always one, since each has at least one slot.
uint32_t Spawner::free_family() const {
  uint32_t index = 0;
  while (index + 1 < config_.slots_max && families_[index].slots > 0) ++index;
  return index;
}

// The sandbox that was just launched for the slot becomes a family's.
Failure Spawner::found_family(Slot& slot) {
  const uint32_t index = free_family();
  Family& family = families_[index];
  family.init = slot.init;
  family.slots = 1;
  family.status = std::move(slot.status);
  slot.init = 0;
  slot.family = index;
  slot.zygote = true;
  return watch(family.status.get(), kTagFamily | index, EPOLLIN);
}

// The slot is about to be free.
void Spawner::leave_family(Slot& slot) {
  if (slot.state == State::kRunning && slot.deadline_ms != 0) --untold_;
  if (slot.family == kNone) return;
  Family& family = families_[slot.family];
  if (--family.slots > 0) return;
  // Families come and go more rarely than slots are used: their groups are not kept.
  cgroups_.remove(family_group(slot.family));
  family = Family{};
}

// Out of the group of the family's init, or of the zygote, into the slot's own.
Failure Spawner::join_own_group(Slot& slot) {
  if (!cgroups_.in_use()) return {};
  const uint32_t index = index_of(slot);
  UniqueFd unused;
  if (Failure f = cgroups_.prepare(index, slot.limits, unused)) return f;
  slot.before = cgroups_.events(index);
  return cgroups_.move(index, slot.worker);
}

// ---- forking

void Spawner::fork_worker(const Request& request) {
  Slot& slot = slots_[request.slot];
  const Slot& zygote = slots_[request.zygote_slot];
  Failure failure;
  if (slot.state != State::kFree)
    failure = {"the slot is in use", EBUSY};
  else if (!zygote.zygote || zygote.state != State::kRunning || zygote.ended || zygote.killed ||
           !zygote.bound || zygote.generation != request.zygote_generation)
    failure = {"no such zygote", ESTALE};
  else if (families_[zygote.family].slots > kFamilyMembersMax)
    failure = {"the zygote has as many workers as it may have", EAGAIN};
  else
    failure = open_fork(slot, zygote, request);
  if (!failure) return;
  if (slot.generation == request.generation && slot.forked && slot.state == State::kFree)
    slot = Slot{};
  char text[kDetailMax];
  snprintf(text, sizeof text, "%s: %s", failure.step, strerror(failure.error));
  answer(MessageType::kSpawned, request.slot, request.generation, failure.error, text);
}

Failure Spawner::open_fork(Slot& slot, const Slot& zygote, const Request& request) {
  slot = Slot{};
  slot.generation = request.generation;
  slot.forked = true;
  slot.runtime = zygote.runtime;
  slot.tmp_bytes = zygote.tmp_bytes;
  slot.limits = group_limits(request, zygote.runtime, zygote.tmp_bytes);
  slot.uid_index = zygote.uid_index;
  UniqueFd there[kForkFds];
  if (Failure f = open_ends(slot, there)) return f;
  if (Failure f = watch(slot.report.get(), request.slot, EPOLLIN)) return f;
  slot.state = State::kStarting;
  slot.bound = true;
  slot.family = zygote.family;
  slot.deadline_ms = now_ms() + kStartTimeoutMs;
  ++starting_;
  ++families_[slot.family].slots;
  Outgoing& out = push(MessageType::kForkEnds, &slot, request.slot);
  for (int i = 0; i < kPlainFds; ++i) out.fds[i] = std::move(slot.engine_ends[i]);
  for (int i = kPlainFds; i < kForkFds; ++i) out.fds[i] = std::move(there[i]);
  return {};
}

// One report, whose pid is the kernel's word. Descriptors that ride along are not taken: there is
// no room for them.
Failure Spawner::read_fork_report(Slot& slot) {
  Report report{};
  iovec data{&report, sizeof report};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t n = recvmsg(slot.report.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n == 0) return {"the zygote did not fork", EPROTO};
  if (n < 0) return {"read the report of a fork", errno};
  if (n != sizeof report || report.kind != Report::Kind::kWorker || (message.msg_flags & MSG_TRUNC))
    return {"the report of a fork has another form", EPROTO};
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_level != SOL_SOCKET ||
      header->cmsg_type != SCM_CREDENTIALS || header->cmsg_len < CMSG_LEN(sizeof(ucred)))
    return {"the report of a fork has no sender", EPROTO};
  ucred credentials;
  memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
  slot.worker = credentials.pid;
  return know_process(slot);
}

// Takes hold of slot.worker, which is only a number so far. A child of this sandbox's init is in
// this sandbox, is none of the host's processes and will be reaped by init; and no other slot's, if
// its pid is not.
Failure Spawner::know_process(Slot& slot) {
  const pid_t pid = slot.worker;
  slot.worker = 0;
  if (pid <= 1) return {"the worker is in no namespace below", EPROTO};
  for (uint32_t i = 0; i < config_.slots_max; ++i)
    if (slots_[i].worker == pid && slots_[i].family == slot.family &&
        slots_[i].state != State::kFree)
      return {"the process that reports is a worker already", EPROTO};
  slot.pidfd.reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!slot.pidfd.valid()) return Failure::at("open the worker's pidfd");
  ProcessStatus status;
  if (Failure f = read_process_status(pid, status)) return f;
  if (status.parent != families_[slot.family].init)
    return {"the process that reports is no child of the sandbox's init", EPROTO};
  slot.worker = pid;
  slot.inner_pid = status.inner_pid;
  return watch(slot.pidfd.get(), kTagMember | index_of(slot), EPOLLIN | EPOLLONESHOT);
}

void Spawner::on_fork_report(Slot& slot) {
  if (Failure f = read_fork_report(slot)) {
    if (f.error != EAGAIN && f.error != EINTR) fail_fork(slot, f.step, f.error);
    return;
  }
  if (Failure f = join_own_group(slot)) return fail_fork(slot, f.step, f.error);
  const char word = 1;
  if (send(slot.report.get(), &word, sizeof word, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof word)
    return fail_fork(slot, "let the worker go on", errno);
  slot.report.reset();
  slot.state = State::kRunning;
  slot.deadline_ms = 0;
  --starting_;
  push(MessageType::kSpawned, &slot, index_of(slot)).pid = slot.worker;
}

// With a group of its own, it goes alone; without, nothing tells whose a process is.
void Spawner::request_kill_in_family(Slot& slot) {
  const bool starting = slot.state == State::kStarting;
  read_ends(slot.family);  // what has ended was not killed
  if (slot.state == State::kFree || slot.killed) return;
  slot.killed = true;
  if (slot.forked && starting && !slot.failure)
    return fail_fork(slot, "killed before it was ready", ECANCELED);
  if (!starting && cgroups_.has(Controller::kFreezer)) return cgroups_.kill(index_of(slot));
  families_[slot.family].taken = true;
  kill_slot_processes(slot);
}

// The child, if there is one, never gets its word and exits, unless foreign code keeps it: then it
// counts as one of the zygote's own processes.
void Spawner::fail_fork(Slot& slot, const char* step, int error) {
  if (slot.worker > 0 && slot.pidfd.valid())
    syscall(SYS_pidfd_send_signal, slot.pidfd.get(), SIGKILL, nullptr, 0);
  // The last one takes the sandbox with it, and is answered when that is gone.
  if (families_[slot.family].slots == 1) return fail_start(slot, step, error);
  char text[kDetailMax];
  snprintf(text, sizeof text, "%s: %s", step, strerror(error));
  answer(MessageType::kSpawned, index_of(slot), slot.generation, error, text);
  --starting_;
  leave_family(slot);
  slot = Slot{};
}

// ---- ends

void Spawner::on_family_event(uint64_t tag) {
  const auto index = static_cast<uint32_t>(tag);
  if (tag >= kTagFamily) return read_ends(index);
  if (slots_[index].state == State::kRunning && slots_[index].pidfd.valid())
    on_process_gone(slots_[index]);
}

// Init tells with which status, in a moment; unless its pipe was full.
void Spawner::on_process_gone(Slot& slot) {
  const uint32_t generation = slot.generation;
  read_ends(slot.family);
  if (slot.state != State::kRunning || slot.generation != generation || slot.ended) return;
  slot.deadline_ms = now_ms() + kUntoldMs;
  ++untold_;
}

// What init has reaped since: mostly orphans that are nobody's.
void Spawner::read_ends(uint32_t family) {
  ProcessEnd ends[kEndsPerRead];
  for (int turn = 0; turn < kReadsPerTurn && families_[family].status.valid(); ++turn) {
    const ssize_t n = read(families_[family].status.get(), ends, sizeof ends);
    if (n == 0) families_[family].status.reset();  // init is gone, which is told by its own exit
    if (n < static_cast<ssize_t>(sizeof ends[0])) return;
    for (size_t i = 0; i < static_cast<size_t>(n) / sizeof ends[0]; ++i)
      for (uint32_t at = 0; at < config_.slots_max; ++at)
        if (Slot& slot = slots_[at]; slot.family == family && slot.state == State::kRunning &&
                                     !slot.ended && slot.inner_pid == ends[i].pid)
          end_member(slot, ends[i].wait_status);
  }
}

void Spawner::end_member(Slot& slot, int status) {
  slot.wait_status = status;
  slot.with_family = families_[slot.family].taken && !slot.killed && status == SIGKILL;
  if (families_[slot.family].slots > 1) return finish(slot);
  if (slot.deadline_ms != 0) --untold_;
  slot.deadline_ms = 0;
  slot.ended = true;
  kill_family(slot);
}

void Spawner::kill_family(Slot& slot) {
  const pid_t init = families_[slot.family].init;
  if (init <= 0) return;
  if (!has_namespaces(config_.mode)) kill_descendants(init);
  kill(init, SIGKILL);
  if (cgroups_.has(Controller::kFreezer)) cgroups_.kill(family_group(slot.family));
}

bool Spawner::on_family_exit(pid_t init) {
  uint32_t family = 0;
  while (family < config_.slots_max && families_[family].init != init) ++family;
  if (init <= 0 || family == config_.slots_max) return false;
  families_[family].init = 0;  // reaped: nobody is to be killed by this number
  read_ends(family);
  for (uint32_t i = 0; i < config_.slots_max; ++i) {
    Slot& slot = slots_[i];
    if (slot.state == State::kFree || slot.family != family) continue;
    if (slot.state == State::kStarting) {
      const Failure why = slot.killed    ? Failure{"killed before it was ready", ECANCELED}
                          : slot.failure ? slot.failure
                                         : Failure{"its sandbox ended", EPROTO};
      char text[kDetailMax];
      snprintf(text, sizeof text, "%s: %s", why.step, strerror(why.error));
      answer(MessageType::kSpawned, i, slot.generation, why.error, text);
      --starting_;
      leave_family(slot);
      slot = Slot{};
      continue;
    }
    if (!slot.ended) {
      slot.wait_status = SIGKILL;
      slot.with_family = families_[family].taken && !slot.killed;
    }
    if (has_namespaces(config_.mode)) {
      finish(slot);
      continue;
    }
    if (slot.deadline_ms != 0) --untold_;
    slot.deadline_ms = 0;
    slot.state = State::kEnding;
    ++ending_;
  }
  return true;
}

}  // namespace hearth::sandbox
