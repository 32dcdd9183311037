// How long a function's calls take, as its workers report: mean and mean deviation, weights 1/8 and
// 1/4 (as TCP does for round trips), and how many in a row were short.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>

namespace hearth {

class Estimate {
 public:
  static constexpr uint32_t kShortUs = 2'000;

  void record(uint32_t us) {
    const auto sample = static_cast<double>(us);
    short_in_a_row_ = us <= kShortUs ? short_in_a_row_ + 1 : 0;
    if (!known_) {
      mean_ = sample;
      deviation_ = sample / 2;
      known_ = true;
      return;
    }
    deviation_ += (std::fabs(sample - mean_) - deviation_) / 4;
    mean_ += (sample - mean_) / 8;
  }
  bool known() const { return known_; }
  double mean_us() const { return mean_; }
  // Calls of kShortUs or less since the last longer one.
  uint64_t short_in_a_row() const { return short_in_a_row_; }
  // What a call takes at most, nearly always.
  double high_us() const { return mean_ + 4 * deviation_; }
  // How many calls are done within `budget_us`, at most `most`; 0 when nothing is known yet.
  uint32_t calls_within(int64_t budget_us, uint32_t most) const {
    if (!known_) return 0;
    const double calls = static_cast<double>(budget_us) / std::max(high_us(), 1.0);
    return calls >= most ? most : static_cast<uint32_t>(calls);
  }

 private:
  bool known_ = false;
  double mean_ = 0;
  double deviation_ = 0;
  uint64_t short_in_a_row_ = 0;
};

}  // namespace hearth
