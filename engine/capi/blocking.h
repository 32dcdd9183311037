// What blocks a thread of the host until the engine has answered, within a time limit.
#pragma once
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "capi/engine_handle.h"
#include "capi/inside.h"

namespace hearth::capi {

inline constexpr uint64_t kWaitDefault = 30'000;                    // ms, for 0
inline constexpr uint64_t kWaitMax = uint64_t{7} * 24 * 3'600'000;  // ms

inline Deadline wait_end(uint64_t timeout_ms) {
  const uint64_t ms = timeout_ms == 0 ? kWaitDefault : std::min(timeout_ms, kWaitMax);
  return SystemClock().now() + milliseconds(ms);
}

// One thread waits for one answer. Both sides hold it: the answer may come after the waiter has
// gone.
template <class T>
class Answer {
 public:
  // False: the waiter has given up, and hears of it no more.
  bool set(Result<T> value) {
    const std::lock_guard<std::mutex> lock(mutex_);
    value_.emplace(std::move(value));
    ready_.notify_all();
    return !given_up_;
  }
  // The work begins. False: nobody waits for it any more, so that it must not be done.
  bool begin() {
    const std::lock_guard<std::mutex> lock(mutex_);
    begun_ = !given_up_;
    return begun_;
  }

  // Drives the engine meanwhile when this thread is the one that does.
  Result<T> wait(Hub& hub, Deadline end) {
    if (hub.driver() == Driver::host && hub.on_engine_thread()) return drive(hub, end);
    std::unique_lock<std::mutex> lock(mutex_);
    const auto has_value = [this] { return value_.has_value(); };
    const nanoseconds left = end - SystemClock().now();
    if (left.count() > 0) ready_.wait_for(lock, left, has_value);
    return take();
  }

 private:
  Result<T> drive(Hub& hub, Deadline end) {
    const SystemClock clock;
    for (;;) {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (value_ || clock.now() >= end) return take();
      }
      hub.step(milliseconds(to_ms(end - clock.now()) + 1));
    }
  }
  // Under the mutex.
  Result<T> take() {
    if (value_) return std::move(*value_);
    given_up_ = true;
    return Error{Code::timed_out, begun_ ? "it was begun, and may still happen" : ""};
  }

  std::mutex mutex_;
  std::condition_variable ready_;
  std::optional<Result<T>> value_;
  bool begun_ = false;
  bool given_up_ = false;
};

inline constexpr const char* kWouldDeadlock =
    "a function that blocks was called inside a callback; call it from another thread, or use "
    "hearth_invoke_async";

// Something to be done on the engine's thread, by the control plane.
class Task final : public InboxItem {
 public:
  Task(std::function<void()> work, std::function<void()> dropped)
      : work_(std::move(work)), dropped_(std::move(dropped)) {}
  void run() override {
    work_();
    delete this;
  }
  void drop() override {
    if (dropped_) dropped_();
    delete this;
  }

 private:
  std::function<void()> work_, dropped_;
};

// Runs `work(engine, answer)` on the engine's thread, which sets the answer then or later, and
// waits for that. `not_done` (may be empty) runs there instead, once, when it comes so late that
// the waiter has given up. Errors: would_deadlock, timed_out, shutting_down, and those of `work`.
template <class T, class Work>
Result<T> ask(hearth_engine& handle, uint64_t timeout_ms, Work work,
              const std::function<void()>& not_done = {}) {
  if (Inside::now()) return Error{Code::would_deadlock, kWouldDeadlock};
  const Deadline end = wait_end(timeout_ms);
  auto answer = std::make_shared<Answer<T>>();
  Hub* const hub = &handle.hub();
  auto* task = new Task(
      [hub, answer, work = std::move(work), not_done] {
        if (answer->begin()) return work(*hub->engine(), answer);
        if (not_done) not_done();
      },
      not_done);
  if (!hub->inbox().push(*task)) {
    delete task;
    return Error{Code::shutting_down, {}};
  }
  return answer->wait(*hub, end);
}

}  // namespace hearth::capi
