#include "store/digest.h"

#include <fmt/core.h>
#include <openssl/evp.h>

#include "base/assert.h"
#include "base/base64.h"

namespace hearth {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return 0;
}

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  HEARTH_ASSERT(context_ != nullptr);
  HEARTH_ASSERT(EVP_DigestInit_ex(context_, EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() { EVP_MD_CTX_free(context_); }

void Sha256::update(std::string_view bytes) {
  HEARTH_ASSERT(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1);
}

void Sha256::update_field(std::string_view bytes) {
  update(fmt::format("{}:", bytes.size()));
  update(bytes);
}

Sha256Digest Sha256::finish() {
  Sha256Digest digest;
  unsigned size = 0;
  HEARTH_ASSERT(EVP_DigestFinal_ex(context_, digest.data(), &size) == 1 && size == digest.size());
  return digest;
}

std::string to_hex(const Sha256Digest& digest) {
  std::string text;
  text.reserve(digest.size() * 2);
  for (const uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

std::string base64_of_hex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(hex_value(hex[i]) << 4 | hex_value(hex[i + 1]));
  }
  return base64_encode(bytes);
}

}  // namespace hearth
