// SHA-256 and its text forms, as the store and the control plane need them. Any thread; no shared
// state.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace hearth {

using Sha256Digest = std::array<uint8_t, 32>;

// Bytes in by parts, a digest out once.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::string_view bytes);
  // Length-prefixed, so that neighbouring fields can't run into each other.
  void update_field(std::string_view bytes);
  // Ends it; nothing may follow.
  Sha256Digest finish();

 private:
  evp_md_ctx_st* context_;
};

// Lower-case hex digits.
std::string to_hex(const Sha256Digest& digest);

// The base64 of the digest whose hex form is given, as AWS shows CodeSha256. `hex` has 64 digits.
std::string base64_of_hex(std::string_view hex);

}  // namespace hearth
