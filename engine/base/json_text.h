// Writing JSON without a tree: an escaper for the data plane. (The control plane uses
// nlohmann::json.)
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace hearth {

// Bytes that `text` takes at most inside a JSON string: every byte as \u00XX or as a replacement
// character.
constexpr size_t json_escaped_max(size_t size) { return size * 6; }

// Writes `text` escaped for the inside of a JSON string to `out`, which has
// json_escaped_max(text.size()) bytes of room; returns the end. Bytes that are not valid UTF-8
// become U+FFFD, so that what is written is always valid JSON.
char* write_json_escaped(char* out, std::string_view text);

// The exact number of bytes that write_json_escaped() makes of `text`; nothing when `text` is not
// valid UTF-8.
std::optional<size_t> json_escaped_size(std::string_view text);

// Appends `text` in quotes.
void append_json_string(std::string& out, std::string_view text);

}  // namespace hearth
