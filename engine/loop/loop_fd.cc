#include "loop/loop_fd.h"

#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hearth {
namespace {

constexpr milliseconds kRestMost{60'000};
// A timer that is due a little later than the armed time costs one wake-up for nothing; to arm
// anew each time would cost a system call a turn.
constexpr milliseconds kRound{1};

bool add(int set, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  return ::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0;
}

}  // namespace

Status LoopFd::open(Loop& loop) {
  loop_ = &loop;
  set_.reset(::epoll_create1(EPOLL_CLOEXEC));
  timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (set_.valid() && timer_.valid() && add(set_.get(), timer_.get()) &&
      add(set_.get(), uv_backend_fd(loop.uv()))) {
    wake();
    return ok();
  }
  const std::string reason = std::strerror(errno);
  set_.reset();
  return Error{Code::io_failed, fmt::format("a descriptor for the host's loop: {}", reason)};
}

void LoopFd::rest() {
  if (!is_open()) return;
  const milliseconds wait = loop_->next_wake(kRestMost);
  const MonotonicTime now = loop_->clock().now();
  const MonotonicTime due = now + wait;
  // An armed time that lies ahead, and not after what is due, is good enough.
  if (due_ > now && due_ <= due + kRound) return;
  arm(wait);
}

void LoopFd::wake() {
  if (is_open() && due_ != MonotonicTime::min()) arm(nanoseconds(0));
}

void LoopFd::arm(nanoseconds after) {
  const int64_t ns = std::max<int64_t>(after.count(), 1);  // 0 would disarm
  itimerspec value{};
  value.it_value.tv_sec = ns / 1'000'000'000;
  value.it_value.tv_nsec = ns % 1'000'000'000;
  ::timerfd_settime(timer_.get(), 0, &value, nullptr);  // takes back an expiry that was not read
  due_ = after.count() == 0 ? MonotonicTime::min() : loop_->clock().now() + after;
}

}  // namespace hearth
