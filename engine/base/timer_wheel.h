// A hashed timer wheel: arm, disarm and expire in constant time, without allocation. Ticks of 1 ms;
// a timer never fires early. Never reads a clock. One thread.
#pragma once
#include <cstdint>
#include <memory>

#include "base/assert.h"
#include "base/callback.h"
#include "base/clock.h"

namespace hearth {

// Embedded in what it times. Must be disarmed before it is destroyed (the destructor does it).
class Timer {
 public:
  Timer() = default;
  ~Timer() { unlink(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  bool armed() const { return next_ != nullptr; }
  void disarm() { unlink(); }

 private:
  friend class TimerWheel;
  void unlink() {
    if (next_ == nullptr) return;
    next_->prev_ = prev_;
    prev_->next_ = next_;
    next_ = prev_ = nullptr;
    --*count_;
  }
  Timer* next_ = nullptr;
  Timer* prev_ = nullptr;
  uint64_t tick_ = 0;
  uint64_t* count_ = nullptr;
  Callback<void()> fire_;
};

class TimerWheel {
 public:
  explicit TimerWheel(MonotonicTime now);
  ~TimerWheel();
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // `fire` runs once, from inside advance(), at or after `when`. Arming an armed timer moves it.
  void arm(Timer& timer, MonotonicTime when, Callback<void()> fire);

  // Fires what is due at `now`, in the order of the ticks. A callback may arm and disarm any timer,
  // itself included.
  void advance(MonotonicTime now);

  // How long the loop may sleep: until the next timer, at most `most`; 0 when something is due. May
  // be too short after a disarm, never too long.
  milliseconds until_next(MonotonicTime now, milliseconds most) const;

  uint64_t armed() const { return count_; }

 private:
  static constexpr uint64_t kSlots =
      4096;  // one turn = 4.1 s; later timers stay in their slot for more turns
  uint64_t tick_of(MonotonicTime t) const {
    return static_cast<uint64_t>((t.time_since_epoch().count() + 999'999) / 1'000'000);
  }
  static void push_back(Timer& head, Timer& timer);
  uint64_t find_earliest() const;

  std::unique_ptr<Timer[]> slots_;  // list heads
  uint64_t current_;                // the last tick that was expired
  uint64_t count_ = 0;
  mutable uint64_t earliest_ =
      UINT64_MAX;  // no timer is due before this tick; a bound, made exact when it has passed
};

}  // namespace hearth
