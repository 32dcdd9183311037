#include "base/request_id.h"

#include <sys/random.h>

#include <bit>
#include <cstring>

#include "base/assert.h"

namespace hearth {

void RequestId::write_text(char* out) const {
  static constexpr char kHex[] = "0123456789abcdef";
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
    *out++ = kHex[bytes[i] >> 4];
    *out++ = kHex[bytes[i] & 15];
  }
}

RequestIdSource::RequestIdSource() {
  HEARTH_ASSERT(getrandom(state_, sizeof state_, 0) == static_cast<ssize_t>(sizeof state_));
}

RequestIdSource::RequestIdSource(uint64_t seed) {
  for (uint64_t& word : state_) {  // splitmix64, so that any seed gives a good state
    seed += 0x9E3779B97F4A7C15u;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    word = z ^ (z >> 31);
  }
}

uint64_t RequestIdSource::next_random() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

RequestId RequestIdSource::next() {
  const uint64_t words[2] = {next_random(), next_random()};
  RequestId id;
  std::memcpy(id.bytes.data(), words, 16);
  id.bytes[6] = static_cast<uint8_t>((id.bytes[6] & 0x0F) | 0x40);
  id.bytes[8] = static_cast<uint8_t>((id.bytes[8] & 0x3F) | 0x80);
  return id;
}

}  // namespace hearth
