#include "sandbox/zygote_keeper.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>

#include "sandbox/launch.h"
#include "sandbox/root.h"
#include "sandbox/spawner_tags.h"

namespace hearth::sandbox {
namespace {

constexpr int64_t kBootMs = 5'000;  // from its start until it is ready, usually 60 ms
constexpr int64_t kPauseMs = 1'000, kPauseMaxMs = 60'000;

}  // namespace

void ZygoteKeeper::choose(const SpawnerConfig& config) {
  config_ = &config;
  while (runtime_ < config.runtimes_count && config.runtimes[runtime_].zygote == 0) ++runtime_;
  if (runtime_ == config.runtimes_count) return;
  if (config.zygote_forks == 0) {
    reason_ = "switched off (pool.zygote_forks: 0)";
  } else if (!has_namespaces(config.mode)) {
    reason_ = "this mode has no namespaces";
  } else if (const Failure f = check_interpreter(config, config.runtimes[runtime_])) {
    reason_ = f.step;
  } else {
    available_ = true;
    reason_ = "";
  }
}

Failure ZygoteKeeper::prepare(const Filters& filters, int landlock, int own_mounts, int lifeline) {
  if (!available_) return {};
  own_mounts_ = own_mounts;
  lifeline_ = lifeline;
  filter_ = filters.of_zygote();
  Failure failure = make_zygote_mounts(own_mounts, mounts_);
  if (failure && strcmp(failure.step, kLostOwnMounts) == 0) return failure;
  if (!failure)
    failure = make_zygote_plan({config_, runtime_, landlock, filters.of_runtime(runtime_),
                                filters.of_egress(runtime_), filters.of_init()},
                               plan_);
  available_ = !failure;
  if (failure) reason_ = failure.step;
  return {};
}

void ZygoteKeeper::open(int epoll) {
  epoll_ = epoll;
  if (available_) start_next();
}

void ZygoteKeeper::start_next() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return pause();
  next_.control.reset(ends[0]);
  const UniqueFd there(ends[1]);
  next_.pid = start_zygote({config_->mode, &config_->runtimes[runtime_], filter_, there.get(),
                            plan_.get(), mounts_.get(), own_mounts_, lifeline_});
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP;
  event.data.u64 = kTagZygote | static_cast<uint64_t>(next_.pid);
  if (next_.pid < 0) {
    next_ = Process{};
    return pause();
  }
  next_.deadline_ms = now_ms() + kBootMs;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, next_.control.get(), &event) == 0) return;
  drop(next_);
  pause();
}

void ZygoteKeeper::pause() {
  const int64_t pause = kPauseMs << std::min(failures_, 6u);
  retry_ms_ = now_ms() + std::min(pause, kPauseMaxMs);
  ++failures_;
}

// Its end is seen by the spawner, as that of any child.
void ZygoteKeeper::drop(Process& process) {
  if (process.control.valid()) epoll_ctl(epoll_, EPOLL_CTL_DEL, process.control.get(), nullptr);
  if (process.pid > 0) kill(process.pid, SIGKILL);
  process = Process{};
}

ZygoteKeeper::State ZygoteKeeper::state() const {
  if (serving_.pid != 0) return State::kReady;
  return next_.pid != 0 && !was_ready_ && failures_ == 0 ? State::kBooting : State::kNone;
}

bool ZygoteKeeper::hand(ZygoteStart& start, const int (&fds)[kStartFds]) {
  start.magic = kZygoteMagic;
  start.has_group = fds[kStartGroup] >= 0 ? 1 : 0;
  const size_t count = start.has_group != 0 ? kStartFds : kStartGroup;
  iovec data{&start, sizeof start};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kStartFds)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * count);
  memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
  if (sendmsg(serving_.control.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof start)
    return false;
  if (++serving_.forks >= config_->zygote_forks && next_.pid == 0 && now_ms() >= retry_ms_)
    start_next();
  return true;
}

void ZygoteKeeper::fail() {
  if (serving_.pid == 0) return;
  drop(serving_);
  pause();
}

void ZygoteKeeper::on_event(pid_t pid) {
  if (pid == serving_.pid) return fail();  // it has nothing more to say
  if (pid != next_.pid) return;
  ZygoteReady ready{};
  const ssize_t n = recv(next_.control.get(), &ready, sizeof ready, MSG_DONTWAIT | MSG_TRUNC);
  if (n != sizeof ready || ready.magic != kZygoteMagic) {
    drop(next_);
    return pause();
  }
  if (serving_.pid != 0) {
    if (retired_ > 0) kill(retired_, SIGKILL);
    retired_ = serving_.pid;
    epoll_ctl(epoll_, EPOLL_CTL_DEL, serving_.control.get(), nullptr);
  }
  serving_ = std::move(next_);
  next_ = Process{};
  was_ready_ = true;
}

bool ZygoteKeeper::is_one(pid_t pid) const {
  return pid == serving_.pid || pid == next_.pid || pid == retired_;
}

bool ZygoteKeeper::forget(pid_t pid) {
  if (pid <= 0 || !is_one(pid)) return false;
  if (pid == retired_) {
    retired_ = 0;
    return true;
  }
  Process& process = pid == serving_.pid ? serving_ : next_;
  process.pid = 0;  // nobody is to be killed by this number
  drop(process);
  pause();
  return true;
}

void ZygoteKeeper::check_deadline() {
  if (next_.pid != 0 && now_ms() >= next_.deadline_ms) {
    drop(next_);
    pause();
  } else if (missing() && now_ms() >= retry_ms_) {
    start_next();
  }
}

void ZygoteKeeper::end() {
  if (retired_ > 0) kill(retired_, SIGKILL);
  drop(serving_);
  drop(next_);
  available_ = false;
}

}  // namespace hearth::sandbox
