// A warm call takes less time than to put the caller's thread to sleep and to wake it again. So a
// thread that waits for a reply looks for it for a moment first, where that has been worth it: with
// a second core, and as long as most replies come within the moment.
#pragma once
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace hearth::capi {

class Patience {
 public:
  // Returns when `over` is set, or when looking has taken long enough. Any thread.
  void look_for(const std::atomic<bool>& over) {
    if (!several_cores_) return;
    // After some misses in a row only now and then: a slow function is waited for asleep.
    const uint32_t misses = misses_.load(std::memory_order_relaxed);
    if (misses >= kMissesMost && skipped_.fetch_add(1, std::memory_order_relaxed) % kTryEvery != 0)
      return;
    const SystemClock clock;
    const MonotonicTime until = clock.now() + kMoment;
    do {
      for (int i = 0; i < kLooks; ++i) {
        if (over.load(std::memory_order_acquire))
          return misses_.store(0, std::memory_order_relaxed);
        pause();
      }
    } while (clock.now() < until);
    misses_.store(misses < kMissesMost ? misses + 1 : misses, std::memory_order_relaxed);
  }

 private:
  static constexpr microseconds kMoment{60};  // about what sleep and wake-up cost
  static constexpr int kLooks = 32;
  static constexpr uint32_t kMissesMost = 4;
  static constexpr uint32_t kTryEvery = 64;

  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  const bool several_cores_ = ::sysconf(_SC_NPROCESSORS_ONLN) > 1;
  std::atomic<uint32_t> misses_{0};
  std::atomic<uint32_t> skipped_{0};
};

}  // namespace hearth::capi
