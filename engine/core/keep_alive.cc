#include "core/keep_alive.h"

#include <algorithm>
#include <cmath>

namespace hearth {
namespace {

constexpr std::chrono::minutes kBin{1};
constexpr uint32_t kHeadPercent = 5;
constexpr uint32_t kTailPercent = 99;
constexpr int64_t kMarginPercent = 10;
constexpr double kSpreadLeast = 2.0;      // coefficient of variation of the bins
constexpr uint32_t kOutsidePercent = 50;  // of the idle times, at most

}  // namespace

void IdleHistogram::record(nanoseconds idle) {
  const auto bin = static_cast<size_t>(std::max<int64_t>(idle / kBin, 0));
  if (bin >= kBins) {
    ++outside_;
  } else {
    ++bins_[bin];
    ++inside_;
  }
  // Older idle times lose weight when a counter is full.
  if (outside_ == UINT16_MAX || (bin < kBins && bins_[bin] == UINT16_MAX)) halve();
}

void IdleHistogram::halve() {
  inside_ = 0;
  for (uint16_t& bin : bins_) {
    bin /= 2;
    inside_ += bin;
  }
  outside_ /= 2;
}

bool IdleHistogram::representative() const {
  if (count() < kLeast || uint64_t{outside_} * 100 > uint64_t{count()} * kOutsidePercent)
    return false;
  const double mean = static_cast<double>(inside_) / kBins;
  double squares = 0;
  for (const uint16_t bin : bins_) squares += (bin - mean) * (bin - mean);
  return std::sqrt(squares / kBins) >= kSpreadLeast * mean;
}

size_t IdleHistogram::percentile(uint32_t percent) const {
  const uint64_t target = (uint64_t{inside_} * percent + 99) / 100;
  uint64_t seen = 0;
  for (size_t i = 0; i < kBins; ++i) {
    seen += bins_[i];
    if (seen >= std::max<uint64_t>(target, 1)) return i;
  }
  return kBins - 1;
}

KeepAliveWindow IdleHistogram::window(nanoseconds fixed) const {
  if (!representative()) return {.until = fixed};
  // The head is the lower edge of its bin, the tail the upper one of its own.
  const nanoseconds head = kBin * static_cast<int64_t>(percentile(kHeadPercent));
  const nanoseconds tail = kBin * static_cast<int64_t>(percentile(kTailPercent) + 1);
  return {.prewarm = head * (100 - kMarginPercent) / 100,
          .until = tail * (100 + kMarginPercent) / 100};
}

}  // namespace hearth
