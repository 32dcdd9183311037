#include "base/clock.h"

#include <ctime>

namespace hearth {
namespace {

nanoseconds read_clock(clockid_t id) {
  timespec ts{};
  clock_gettime(id, &ts);
  return seconds(ts.tv_sec) + nanoseconds(ts.tv_nsec);
}

}  // namespace

MonotonicTime SystemClock::now() const { return MonotonicTime(read_clock(CLOCK_MONOTONIC)); }
WallTime SystemClock::wall() const { return WallTime(read_clock(CLOCK_REALTIME)); }

}  // namespace hearth
