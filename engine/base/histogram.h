// A histogram of durations with fixed log-linear buckets (error below 1/8), for metrics and
// estimates. 1 us to about 19 hours. Not thread-safe.
#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace hearth {

class Histogram {
 public:
  void record(uint64_t us) {
    ++counts_[index(us)];
    ++count_;
    sum_us_ += us;
  }
  uint64_t count() const { return count_; }
  uint64_t sum_us() const { return sum_us_; }
  // How many values are at most `us`, up to the bucket's width.
  uint64_t count_at_most(uint64_t us) const {
    uint64_t total = 0;
    for (size_t i = 0; i <= index(us); ++i) total += counts_[i];
    return total;
  }
  // The upper edge of the bucket in which the given share (0..1) of the values lies; 0 when empty.
  uint64_t quantile_us(double share) const {
    if (count_ == 0) return 0;
    const auto target = static_cast<uint64_t>(share * static_cast<double>(count_ - 1)) + 1;
    uint64_t total = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      total += counts_[i];
      if (total >= target) return upper_edge(i);
    }
    return upper_edge(counts_.size() - 1);
  }

 private:
  static constexpr size_t kSub = 8;  // buckets a power of two
  static constexpr size_t kPowers = 33;
  static size_t index(uint64_t us) {
    if (us < kSub) return static_cast<size_t>(us);
    const auto power = static_cast<size_t>(std::bit_width(us)) - 1;  // >= 3
    const size_t sub = static_cast<size_t>(us >> (power - 3)) & (kSub - 1);
    const size_t i = (power - 2) * kSub + sub;
    return i < kSub * kPowers ? i : kSub * kPowers - 1;
  }
  static uint64_t upper_edge(size_t i) {
    if (i < kSub) return i;
    const size_t power = i / kSub + 2;
    const uint64_t sub = i % kSub;
    return ((kSub + sub + 1) << (power - 3)) - 1;
  }
  std::array<uint64_t, kSub * kPowers> counts_{};
  uint64_t count_ = 0;
  uint64_t sum_us_ = 0;
};

}  // namespace hearth
