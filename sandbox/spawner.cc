// Serving: requests come in, sandboxes start, are bound, are killed and end.
#include "sandbox/spawner.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sandbox/confine.h"
#include "sandbox/process_status.h"
#include "sandbox/root.h"
#include "sandbox/spawner_tags.h"
#include "sandbox/tree.h"

namespace hearth::sandbox {
namespace {

constexpr int kStartCheckMs = 1'000;
constexpr int kSweepMs = 5;
constexpr int kEventsMax = 64;
constexpr int kRequestsPerTurn = 64;  // then children and reports have their turn

}  // namespace

uint32_t Spawner::uid_of(uint32_t uid_index) const {
  const bool own = config_.mode == Mode::kStrict || (config_.mode == Mode::kDegraded && as_root_);
  return own ? config_.uid_base + uid_index : 0;
}

Spawner::Slot* Spawner::find_init(pid_t pid) {
  for (uint32_t i = 0; i < config_.slots_max; ++i)
    if (slots_[i].state != State::kFree && slots_[i].init == pid) return &slots_[i];
  return nullptr;
}

bool Spawner::is_init(pid_t pid) {
  for (uint32_t i = 0; i < config_.slots_max; ++i)
    if (families_[i].init == pid) return true;
  return find_init(pid) != nullptr;
}

int Spawner::timeout_ms() const {
  if (ending_ > 0) return kSweepMs;
  return starting_ + untold_ > 0 || zygotes_.has_deadline() ? kStartCheckMs : -1;
}

int Spawner::serve() {
  epoll_event events[kEventsMax];
  while (!done_) {
    const int count = epoll_wait(epoll_.get(), events, kEventsMax, timeout_ms());
    if (count < 0 && errno != EINTR) break;
    for (int i = 0; i < count && !done_; ++i) {
      const uint64_t tag = events[i].data.u64;
      if (tag == kTagLifeline) {
        done_ = true;
      } else if (tag == kTagSignals) {
        on_child();
      } else if (tag == kTagControl) {
        on_control(events[i].events);
      } else if (tag >= kTagZygote) {
        zygotes_.on_event(static_cast<pid_t>(static_cast<uint32_t>(tag)));
      } else if (tag >= kTagMember) {
        on_family_event(tag);
      } else if (Slot& slot = slots_[tag]; slot.state == State::kStarting) {
        on_report(slot);
      }
    }
    if (ending_ > 0) sweep_strays();
    zygotes_.check_deadline();
    if (starting_ + untold_ > 0) check_deadlines();
    if (starting_ > 0) hand_warm_starts();
    flush();
  }
  end_all();
  return 0;
}

void Spawner::on_control(uint32_t events) {
  if ((events & EPOLLOUT) != 0) flush();
  static std::byte buffer[sizeof(SpawnerConfig)];
  for (int i = 0; i < kRequestsPerTurn && outgoing_count_ == 0 && !crowded() && !done_; ++i) {
    const ssize_t n = recv(control_.get(), buffer, sizeof buffer, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0) {
      if (errno != EAGAIN && errno != EINTR) done_ = true;
      break;
    }
    if (n == 0 && (events & (EPOLLHUP | EPOLLRDHUP)) != 0) done_ = true;
    if (n == 0) break;
    Request request;
    Failure why{"too long", EMSGSIZE};
    const Check check =
        static_cast<size_t>(n) > sizeof buffer
            ? Check::kDrop
            : check_request({buffer, static_cast<size_t>(n)}, config_, request, why);
    if (check == Check::kDrop) {
      ++dropped_;
    } else if (check == Check::kGood) {
      on_request(request);
    } else if (request.type == MessageType::kSpawn || request.type == MessageType::kFork) {
      answer(MessageType::kSpawned, request.slot, request.generation, why.error, why.step);
    } else if (request.type == MessageType::kAssign) {
      answer(MessageType::kAssigned, request.slot, request.generation, why.error, why.step);
    } else {
      ++dropped_;
    }
    flush();
  }
  if ((events & EPOLLHUP) != 0) done_ = true;
}

void Spawner::on_request(const Request& request) {
  if (request.type == MessageType::kSpawn) return spawn(request);
  if (request.type == MessageType::kAssign) return assign(request);
  if (request.type == MessageType::kFork) return fork_worker(request);
  if (request.type == MessageType::kKill) on_child();  // what has ended was not killed
  Slot& slot = slots_[request.slot];
  if (slot.state == State::kFree || slot.generation != request.generation) return;
  if (request.type == MessageType::kKill) return request_kill(slot);
  if (slot.state != State::kRunning) return;
  if (request.type == MessageType::kKillLeftovers || request.type == MessageType::kCountLeftovers)
    return clear_leftovers(slot, request.type == MessageType::kKillLeftovers);
  if (request.type == MessageType::kTerminate) {
    if (config_.runtimes[slot.runtime].api == 1 && slot.pidfd.valid())
      syscall(SYS_pidfd_send_signal, slot.pidfd.get(), SIGTERM, nullptr, 0);
    return;
  }
  freeze(slot, request.type == MessageType::kFreeze);
}

void Spawner::spawn(const Request& request) {
  Slot& slot = slots_[request.slot];
  const auto refuse = [&](const Failure& why) {
    char text[kDetailMax];
    snprintf(text, sizeof text, "%s: %s", why.step, strerror(why.error));
    answer(MessageType::kSpawned, request.slot, request.generation, why.error, text);
  };
  if (slot.state != State::kFree) return refuse({"the slot is in use", EBUSY});
  slot = Slot{};
  slot.generation = request.generation;
  slot.uid_index = free_uid_index(request.slot);
  const bool warm = may_start_warm(request);
  if (Failure failure = warm ? start_warm(slot, request) : open_and_launch(slot, request)) {
    slot = Slot{};
    return refuse(failure);
  }
  ++starting_;
  if (Failure failure = begin(slot, request)) fail_start(slot, failure.step, failure.error);
  if (warm) hand_warm_starts();
}

Failure Spawner::begin(Slot& slot, const Request& request) {
  slot.state = State::kStarting;
  slot.deadline_ms = now_ms() + kStartTimeoutMs;
  slot.bound = request.has_code;
  if (request.has_code) real_code_path(request.code, slot.detail);
  if (request.family)
    if (Failure failure = found_family(slot)) return failure;
  return watch(slot.report.get(), request.slot, EPOLLIN);
}

// The engine's ends into the slot, with its end of the report socket; the worker's into `there`, in
// the order of ForkFd.
Failure Spawner::open_ends(Slot& slot, UniqueFd (&there)[kForkFds]) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return Failure::at("make the channel");
  slot.engine_ends[kFdChannel].reset(ends[0]);
  there[kFdFarChannel].reset(ends[1]);
  for (const int which : {kFdStdout, kFdStderr}) {
    if (pipe2(ends, O_CLOEXEC) != 0) return Failure::at("make an output pipe");
    slot.engine_ends[which].reset(ends[0]);
    there[kPlainFds + which].reset(ends[1]);
  }
  for (const UniqueFd& fd : slot.engine_ends)
    if (fd.valid() && fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0)
      return Failure::at("set non-blocking");
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return Failure::at("make the report socket");
  slot.report.reset(ends[0]);
  there[kFdFarReport].reset(ends[1]);
  const int on = 1;
  if (setsockopt(slot.report.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0)
    return Failure::at("ask for credentials");
  return {};
}

// All that a sandbox needs before its first process is there.
Failure Spawner::open_sandbox(Slot& slot, const Request& request, UniqueFd (&ends)[kStartFds]) {
  int pipe_ends[2];
  UniqueFd there[kForkFds];
  if (Failure f = open_egress(slot, request.network)) return f;
  if (slot.uid_index == kNone) return {"no uid is free", EAGAIN};
  if (Failure f = open_ends(slot, there)) return f;
  for (int i = kFdFarChannel; i < kForkFds; ++i)
    ends[kStartChannel + i - kFdFarChannel] = std::move(there[i]);
  if (pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) != 0) return Failure::at("make the status pipe");
  slot.status.reset(pipe_ends[0]);
  ends[kStartStatus].reset(pipe_ends[1]);
  slot.runtime = request.runtime;
  slot.tmp_bytes = request.tmp_bytes;
  // The init of a family is in a group of its own: its zygote may be killed and the slot be free.
  const uint32_t group = request.family ? family_group(free_family()) : request.slot;
  const CgroupLimits limits = group_limits(request, slot.runtime, slot.tmp_bytes);
  if (Failure f = cgroups_.prepare(group, limits, ends[kStartGroup])) return f;
  slot.before = cgroups_.events(group);
  slot.limits = limits;
  return {};
}

Failure Spawner::open_and_launch(Slot& slot, const Request& request) {
  UniqueFd ends[kStartFds];
  if (Failure f = open_sandbox(slot, request, ends)) return f;
  const Launch plan{&config_,
                    &config_.runtimes[request.runtime],
                    filter_of(request),
                    filters_.of_init(),
                    uid_of(slot.uid_index),
                    request.memory_bytes,
                    data_limit(request, slot.runtime, slot.tmp_bytes),
                    nproc_limit(slot.uid_index) * (request.family ? kFamilyMembersMax : 1),
                    request.tmp_bytes,
                    request.has_code ? request.code : nullptr,
                    request.entry,
                    ends[kStartChannel].get(),
                    ends[kStartOut].get(),
                    ends[kStartErr].get(),
                    ends[kStartReport].get(),
                    ends[kStartStatus].get(),
                    init_lifeline_read_.get(),
                    facts_.landlock_abi,
                    request.network,
                    ends[kStartGroup].get(),
                    request.family,
                    request.own_environment};
  slot.init = launch(plan);
  slot.worker = 0;
  if (slot.init < 0) return Failure::at("clone with new namespaces");
  const uint32_t group = request.family ? family_group(free_family()) : request.slot;
  return start_in_cgroup(group, slot.init, slot.report.get());
}

void Spawner::real_code_path(const char* code, char (&path)[kDetailMax]) const {
  if (has_namespaces(config_.mode)) return copy_text(path, kTaskDir);
  snprintf(path, sizeof path, "%.*s/%s", static_cast<int>(kDetailMax - kSha256Hex - 2),
           config_.code_dir, code);
}

void Spawner::assign(const Request& request) {
  Slot& slot = slots_[request.slot];
  Failure failure;
  if (slot.state != State::kRunning || slot.generation != request.generation)
    failure = {"no such worker", ESTALE};
  else if (slot.bound)
    failure = {"the worker has its code already", EALREADY};
  else
    failure = bind_code(slot, request);
  char text[kDetailMax];
  if (failure)
    snprintf(text, sizeof text, "%s: %s", failure.step, strerror(failure.error));
  else
    real_code_path(request.code, text);
  answer(MessageType::kAssigned, request.slot, request.generation, failure.error, text);
}

Failure Spawner::bind_code(Slot& slot, const Request& request) {
  freeze(slot, false);
  if (Failure f = cgroups_.limit(request.slot, group_limits(request, slot.runtime, slot.tmp_bytes)))
    return f;
  const uint64_t data_bytes = data_limit(request, slot.runtime, slot.tmp_bytes);
  if (Failure f = set_function_limits(
          slot.worker, data_bytes, file_limit(data_bytes, slot.tmp_bytes), uid_of(slot.uid_index)))
    return f;
  if (has_namespaces(config_.mode)) {
    if (Failure f = mount_code_late(own_mounts_.get(), slot.mounts.get(), request.code)) {
      if (strcmp(f.step, kLostOwnMounts) == 0) done_ = true;
      return f;
    }
    slot.mounts.reset();
  }
  slot.bound = true;
  return {};
}

void Spawner::kill_slot_processes(Slot& slot) {
  if (slot.agent > 0) kill(slot.agent, SIGKILL);
  if (slot.family != kNone) return kill_family(slot);
  if (slot.init <= 0) return;
  if (!has_namespaces(config_.mode)) kill_descendants(slot.init);
  kill(slot.init, SIGKILL);
  cgroups_.kill(index_of(slot));
}

bool Spawner::read_report(Slot& slot) {
  Report report{};
  iovec data{&report, sizeof report};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(ucred))];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t n = recvmsg(slot.report.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n != sizeof report) return false;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET) continue;
    if (header->cmsg_type == SCM_RIGHTS) {
      int fd;
      memcpy(&fd, CMSG_DATA(header), sizeof fd);
      take_descriptor(slot, static_cast<uint32_t>(report.kind), fd);
    } else if (header->cmsg_type == SCM_CREDENTIALS) {
      ucred credentials;
      memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
      if (report.kind == Report::Kind::kWorker) slot.worker = credentials.pid;
      if (report.kind == Report::Kind::kInit) slot.reported_init = credentials.pid;
    }
  }
  if (report.kind == Report::Kind::kWorker) slot.worker_reported = true;
  if (report.kind == Report::Kind::kFailed && !slot.failure) {
    copy_text(slot.step, report.step);
    slot.failure = {slot.step, report.error};
  }
  return true;
}

void Spawner::on_report(Slot& slot) {
  if (slot.forked) return on_fork_report(slot);
  while (read_report(slot)) continue;
  if (awaits_init(slot) && slot.reported_init != 0)
    if (Failure f = take_init(slot, slot.reported_init)) return fail_start(slot, f.step, f.error);
  char byte;
  const ssize_t n = recv(slot.report.get(), &byte, sizeof byte, MSG_DONTWAIT | MSG_PEEK);
  if (n != 0) return;
  // End of file: the exec went well, or it all ended; in the second case init's exit tells the
  // rest.
  if (!slot.worker_reported || slot.failure)
    return fail_start(slot, "the sandbox ended while it was set up", EPROTO);
  if (slot.network != Network::kNone)
    if (Failure f = start_agent(slot)) return fail_start(slot, f.step, f.error);
  if (config_.runtimes[slot.runtime].api == 1) {
    if (!slot.engine_ends[kFdApi].valid())
      return fail_start(slot, "the sandbox did not hand over its listening socket", EPROTO);
    hold_worker(slot);
  }
  on_started(slot);
}

// For a signal to the worker alone, whose pid may be another process's by then. Without it there is
// none: the worker has ended already.
void Spawner::hold_worker(Slot& slot) const {
  UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, slot.worker, 0)));
  ProcessStatus status;
  if (pidfd.valid() && !read_process_status(slot.worker, status) && status.parent == slot.init)
    slot.pidfd = std::move(pidfd);
}

void Spawner::on_started(Slot& slot) {
  if (slot.zygote) {
    if (Failure f = know_process(slot)) return fail_start(slot, f.step, f.error);
    if (Failure f = join_own_group(slot)) return fail_start(slot, f.step, f.error);
  }
  slot.state = State::kRunning;
  slot.deadline_ms = 0;
  --starting_;
  slot.report.reset();
  Outgoing& out = push(MessageType::kSpawned, &slot, index_of(slot));
  out.pid = slot.worker;
  out.warm = slot.warm != kNone;
  if (out.warm) zygotes_.worked();
  end_warm_start(slot);
  copy_text(out.detail, slot.detail);
  for (int i = 0; i < kSpawnFds; ++i) {
    if (slot.engine_ends[i].valid()) out.fds_there |= static_cast<uint8_t>(1u << i);
    out.fds[i] = std::move(slot.engine_ends[i]);
  }
  if (slot.bound) slot.mounts.reset();
}

// Remembers why; the answer goes out when everything of the sandbox is reaped.
void Spawner::fail_start(Slot& slot, const char* step, int error) {
  if (awaits_init(slot)) {
    zygotes_.fail();
    return start_anew(slot);
  }
  if (!slot.failure) slot.failure = {step, error};
  slot.report.reset();
  slot.deadline_ms = INT64_MAX;
  kill_slot_processes(slot);
}

void Spawner::on_child() {
  signalfd_siginfo info;
  while (read(signals_.get(), &info, sizeof info) == sizeof info) continue;
  while (true) {
    int status = 0;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    if (on_family_exit(pid)) continue;
    if (forget_agent(pid) || zygotes_.forget(pid)) continue;
    if (Slot* slot = find_init(pid)) on_init_exit(*slot, status);
  }
}

void Spawner::on_init_exit(Slot& slot, int status) {
  end_agent(slot);
  if (slot.state == State::kStarting && slot.report.valid()) {
    while (read_report(slot)) continue;
    if (slot.worker_reported && !slot.failure && !slot.killed) on_started(slot);
  }
  if (slot.state == State::kStarting) {
    if (slot.warm != kNone && !slot.killed) {
      zygotes_.fail();
      return start_anew(slot);
    }
    return abandon_start(slot, slot.killed ? Failure{"killed before it was ready", ECANCELED}
                               : slot.failure
                                   ? slot.failure
                                   : Failure{"the sandbox ended while it was set up", EPROTO});
  }
  // The worker's own status, unless init was killed before it could tell.
  if (read(slot.status.get(), &slot.wait_status, sizeof slot.wait_status) !=
      sizeof slot.wait_status)
    slot.wait_status = status;
  slot.init = 0;
  if (has_namespaces(config_.mode)) return finish(slot);
  cgroups_.kill(index_of(slot));
  slot.state = State::kEnding;
  ++ending_;
}

void Spawner::finish(Slot& slot) {
  slot.mounts.reset();
  Outgoing& out = push(MessageType::kExited, &slot, index_of(slot));
  out.wait_status = slot.wait_status;
  out.killed = slot.killed;
  out.with_family = slot.with_family;
  if (slot.family != kNone) cgroups_.kill(index_of(slot));  // what it left behind
  freeze(slot, false);
  tell_events(slot, out);
  leave_family(slot);
  slot = Slot{};
}

void Spawner::sweep_strays() {
  on_child();
  const auto known = [](void* self, pid_t pid) {
    return static_cast<Spawner*>(self)->is_init(pid);
  };
  if (kill_strays(known, this) > 0) return;
  for (uint32_t i = 0; i < config_.slots_max && ending_ > 0; ++i) {
    if (slots_[i].state != State::kEnding) continue;
    --ending_;
    finish(slots_[i]);
  }
}

void Spawner::check_deadlines() {
  const int64_t now = now_ms();
  for (uint32_t i = 0; i < config_.slots_max; ++i) {
    Slot& slot = slots_[i];
    if (slot.deadline_ms == 0 || slot.deadline_ms > now) continue;
    if (slot.state == State::kRunning)
      end_member(slot, SIGKILL);
    else if (slot.state == State::kStarting && slot.forked)
      fail_fork(slot, "the zygote's child did not report in time", ETIMEDOUT);
    else if (slot.state == State::kStarting)
      fail_start(slot, "the sandbox did not start in time", ETIMEDOUT);
  }
}

void Spawner::end_all() {
  zygotes_.end();
  for (uint32_t i = 0; i < config_.slots_max; ++i) {
    if (slots_[i].state == State::kFree) continue;
    slots_[i].report.reset();  // an init that the zygote has just made gets no byte
    kill_slot_processes(slots_[i]);
  }
  const auto known = [](void*, pid_t) { return false; };
  while (true) {
    const pid_t pid = waitpid(-1, nullptr, has_namespaces(config_.mode) ? 0 : WNOHANG);
    if (pid < 0 && errno != EINTR) return;
    if (pid != 0) continue;
    kill_strays(known, nullptr);
    poll(nullptr, 0, kSweepMs);
  }
}

}  // namespace hearth::sandbox
