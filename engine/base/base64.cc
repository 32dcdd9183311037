#include "base/base64.h"

#include <array>
#include <cstdint>

namespace hearth {
namespace {

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kInvalid = 0xFF;

constexpr std::array<uint8_t, 256> make_values() {
  std::array<uint8_t, 256> values{};
  for (uint8_t& value : values) value = kInvalid;
  for (uint8_t i = 0; i < 64; ++i) values[static_cast<unsigned char>(kAlphabet[i])] = i;
  return values;
}
constexpr std::array<uint8_t, 256> kValues = make_values();

uint32_t byte(std::string_view bytes, size_t i) { return static_cast<unsigned char>(bytes[i]); }
uint8_t value(std::string_view text, size_t i) {
  return kValues[static_cast<unsigned char>(text[i])];
}

}  // namespace

char* base64_encode(char* out, std::string_view bytes) {
  size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    const uint32_t group = byte(bytes, i) << 16 | byte(bytes, i + 1) << 8 | byte(bytes, i + 2);
    *out++ = kAlphabet[group >> 18];
    *out++ = kAlphabet[group >> 12 & 63];
    *out++ = kAlphabet[group >> 6 & 63];
    *out++ = kAlphabet[group & 63];
  }
  const size_t left = bytes.size() - i;
  if (left == 0) return out;
  const uint32_t group = byte(bytes, i) << 16 | (left == 2 ? byte(bytes, i + 1) << 8 : 0);
  *out++ = kAlphabet[group >> 18];
  *out++ = kAlphabet[group >> 12 & 63];
  *out++ = left == 2 ? kAlphabet[group >> 6 & 63] : '=';
  *out++ = '=';
  return out;
}

std::string base64_encode(std::string_view bytes) {
  std::string out(base64_encoded_size(bytes.size()), '\0');
  base64_encode(out.data(), bytes);
  return out;
}

std::optional<size_t> base64_decode(char* out, std::string_view text) {
  const size_t sent = text.size();
  for (size_t pads = 0; pads < 2 && text.ends_with('='); ++pads) text.remove_suffix(1);
  if (text.size() != sent && sent % 4 != 0) return std::nullopt;
  const size_t left = text.size() % 4;
  if (left == 1) return std::nullopt;
  char* const begin = out;
  size_t i = 0;
  for (; i + 4 <= text.size(); i += 4) {
    const uint8_t a = value(text, i);
    const uint8_t b = value(text, i + 1);
    const uint8_t c = value(text, i + 2);
    const uint8_t d = value(text, i + 3);
    if ((a | b | c | d) > 63) return std::nullopt;
    *out++ = static_cast<char>(a << 2 | b >> 4);
    *out++ = static_cast<char>(b << 4 | c >> 2);
    *out++ = static_cast<char>(c << 6 | d);
  }
  if (left != 0) {
    const uint8_t a = value(text, i);
    const uint8_t b = value(text, i + 1);
    const uint8_t c = left == 3 ? value(text, i + 2) : 0;
    if ((a | b | c) > 63) return std::nullopt;
    const uint8_t unused = left == 3 ? c & 3 : b & 15;
    if (unused != 0) return std::nullopt;
    *out++ = static_cast<char>(a << 2 | b >> 4);
    if (left == 3) *out++ = static_cast<char>(b << 4 | c >> 2);
  }
  return static_cast<size_t>(out - begin);
}

}  // namespace hearth
