// "Did you mean ...?": the known word nearest to a misspelt one.
#pragma once
#include <span>
#include <string_view>

namespace hearth {

// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`; case is
// ignored. Words longer than 64 bytes are compared by their first 64.
size_t edit_distance(std::string_view a, std::string_view b);

// The word of `known` with the smallest distance to `word`; of several, the first. Empty when
// `known` is.
std::string_view nearest(std::string_view word, std::span<const std::string_view> known);

}  // namespace hearth
