// Time comes in through the door: a Clock is a parameter. MonotonicTime and WallTime do not convert
// into each other.
#pragma once
#include <chrono>
#include <cstdint>

namespace hearth {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

struct MonotonicClockTag {
  using duration = nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonotonicClockTag, duration>;
  static constexpr bool is_steady = true;
};
struct WallClockTag {
  using duration = nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<WallClockTag, duration>;
  static constexpr bool is_steady = false;
};

using MonotonicTime = MonotonicClockTag::time_point;  // CLOCK_MONOTONIC
using WallTime = WallClockTag::time_point;            // since 1970-01-01 UTC
using Deadline = MonotonicTime;

// Thread-safe: both functions may be called from any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime now() const = 0;
  virtual WallTime wall() const = 0;
};

// The machine's clocks.
class SystemClock final : public Clock {
 public:
  MonotonicTime now() const override;
  WallTime wall() const override;
};

// Moves only by advance(); for tests and the simulator. Not thread-safe.
class ManualClock final : public Clock {
 public:
  MonotonicTime now() const override { return now_; }
  WallTime wall() const override { return wall_; }
  void advance(nanoseconds by) {
    now_ += by;
    wall_ += by;
  }

 private:
  MonotonicTime now_{seconds(1'000)};
  WallTime wall_{seconds(1'700'000'000)};
};

inline int64_t to_us(nanoseconds d) { return std::chrono::duration_cast<microseconds>(d).count(); }
inline int64_t to_ms(nanoseconds d) { return std::chrono::duration_cast<milliseconds>(d).count(); }

}  // namespace hearth
