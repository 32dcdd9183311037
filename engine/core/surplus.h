// Has a function more workers than its calls keep busy? A pause of the machine may have asked for a
// second worker that nothing needs once it is over, and calls that are spread over more processes
// cost more each. Pure numbers; see design/0009-warm-workers.md.
#pragma once
#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace hearth {

class SurplusWatch {
 public:
  // For how long a worker has to be one too many.
  static constexpr nanoseconds kWindow = milliseconds(500);
  // So many calls at least tell something, and each of them has to be a short one: behind long
  // calls others would wait.
  static constexpr uint64_t kCalls = 256;

  struct Now {
    MonotonicTime time;
    uint64_t calls = 0;           // that have ended, in all
    uint64_t busy_us = 0;         // of their executing, in all
    uint64_t short_in_a_row = 0;  // Estimate::short_in_a_row
    uint32_t workers = 0;         // ready ones
    uint32_t workers_min = 0;
    uint32_t per_worker = 1;
    bool settled = true;  // no call waits, no worker is on its way
  };

  // Looked at again and again. True: one worker less is enough, and the caller lets one go.
  bool one_too_many(const Now& now) {
    if (now.workers <= std::max(now.workers_min, 1u)) {
      since_ = {};
      return false;
    }
    const nanoseconds passed = now.time - since_;
    const uint64_t calls = now.calls - calls_;
    if (since_ == MonotonicTime{} || !now.settled || now.short_in_a_row < calls ||
        passed > 2 * window_) {
      begin(now);
      return false;
    }
    if (passed < window_) return false;
    const double busy_us = static_cast<double>(now.busy_us - busy_us_);
    const double room_us = static_cast<double>(passed.count()) / 1e3 * (now.workers - 1) *
                           std::max(now.per_worker, 1u);
    begin(now);
    if (calls < kCalls || busy_us > room_us / 2) return false;
    ended_ = now.time;
    return true;
  }

  // A worker was started since calls waited. Soon after one was let go, that was a mistake: the
  // next has to be too many for twice as long, at most for `longest`.
  void on_start(MonotonicTime now, nanoseconds longest) {
    const bool mistake = ended_ != MonotonicTime{} && now - ended_ < 8 * window_;
    window_ = mistake ? std::min(2 * window_, std::max(longest, kWindow)) : kWindow;
    since_ = {};
  }
  nanoseconds window() const { return window_; }

 private:
  void begin(const Now& now) {
    since_ = now.time;
    calls_ = now.calls;
    busy_us_ = now.busy_us;
  }
  nanoseconds window_ = kWindow;
  MonotonicTime since_{};  // of the window; zero = none has begun
  MonotonicTime ended_{};  // when the last worker was let go
  uint64_t calls_ = 0;     // at `since_`
  uint64_t busy_us_ = 0;
};

}  // namespace hearth
