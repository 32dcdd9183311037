// Base64 as of RFC 4648 section 4: the standard alphabet, with padding, without line breaks. Any
// thread; no shared state.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace hearth {

constexpr size_t base64_encoded_size(size_t size) { return (size + 2) / 3 * 4; }
constexpr size_t base64_decoded_max(size_t size) { return size / 4 * 3 + 2; }

// Writes base64_encoded_size(bytes.size()) characters to `out`; returns the end.
char* base64_encode(char* out, std::string_view bytes);
std::string base64_encode(std::string_view bytes);

// Writes at most base64_decoded_max(text.size()) bytes to `out`; returns how many. Padding may be
// left out. Nothing: a character outside the alphabet, a length that no encoder makes, or bits in
// the last character that stand for nothing. `out` may be `text` itself.
std::optional<size_t> base64_decode(char* out, std::string_view text);

}  // namespace hearth
