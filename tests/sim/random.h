// The simulator's source of chance: the same seed gives the same run on every machine.
#pragma once
#include <cstdint>

namespace hearth::sim {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  // splitmix64
  uint64_t next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  // 0 to n - 1; n is not 0.
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(next() % n); }
  // Both ends included.
  uint32_t between(uint32_t low, uint32_t high) { return low + below(high - low + 1); }
  bool chance(uint32_t per_mille) { return below(1'000) < per_mille; }

 private:
  uint64_t state_;
};

}  // namespace hearth::sim
