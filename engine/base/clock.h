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

// One reading for a stretch of work: between hold() and release() now() is the time of the last
// hold(), for a read of the machine's clock is dearer than most of what is stamped with it. Outside
// it now() reads `source`, which must outlive this. Not thread-safe.
class HeldClock final : public Clock {
 public:
  explicit HeldClock(const Clock& source) : source_(source) {}
  MonotonicTime now() const override { return held_ ? now_ : source_.now(); }
  WallTime wall() const override { return source_.wall(); }
  bool held() const { return held_; }
  void hold() {
    now_ = source_.now();
    held_ = true;
  }
  void release() { held_ = false; }

 private:
  const Clock& source_;
  MonotonicTime now_{};
  bool held_ = false;
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
