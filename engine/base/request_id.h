// Request ids: random UUIDs (version 4), 16 bytes. Made from a fast generator that is seeded by
// getrandom: unique, not secret.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth {

struct RequestId {
  std::array<uint8_t, 16> bytes{};
  static constexpr size_t kTextSize = 36;
  // Writes 36 characters, lower case, with dashes; no terminating zero.
  void write_text(char* out) const;
  std::string text() const {
    std::string s(kTextSize, '\0');
    write_text(s.data());
    return s;
  }
  friend bool operator==(const RequestId&, const RequestId&) = default;
};

// Not thread-safe: one a thread. xoshiro256**.
class RequestIdSource {
 public:
  RequestIdSource();                        // seeded from the kernel
  explicit RequestIdSource(uint64_t seed);  // for tests and the simulator
  RequestId next();
  uint64_t next_random();

 private:
  uint64_t state_[4];
};

}  // namespace hearth
