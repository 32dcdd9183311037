// How long the workers of an idle function stay, and when one comes back before it is called:
// fixed, or by a histogram of the function's idle times (Shahrad et al., "Serverless in the Wild",
// ATC'20). Pure: time is what it is told.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace hearth {

enum class KeepAlivePolicy : uint8_t { fixed, histogram };

// Counted from the end of the last call. prewarm 0: the workers stay until `until`. Else they go at
// once, one comes back at `prewarm` and stays until `until`.
struct KeepAliveWindow {
  nanoseconds prewarm{0};
  nanoseconds until{0};
};

// Idle times of one function in whole minutes, up to four hours. 500 bytes.
class IdleHistogram {
 public:
  static constexpr size_t kBins = 240;
  static constexpr uint32_t kLeast = 8;  // idle times before it is asked

  void record(nanoseconds idle);
  // What it says, or `fixed` without prewarming while it says nothing: too few idle times, too many
  // beyond its end, or none that stands out.
  KeepAliveWindow window(nanoseconds fixed) const;
  bool representative() const;
  uint32_t count() const { return inside_ + outside_; }

 private:
  // The bin in which the given percentage of the idle times lies.
  size_t percentile(uint32_t percent) const;
  void halve();

  std::array<uint16_t, kBins> bins_{};
  uint32_t inside_ = 0;
  uint32_t outside_ = 0;
};

}  // namespace hearth
