// Percent-encoding as it stands in paths and queries.
#pragma once
#include <cstddef>
#include <string_view>

namespace hearth::api {

// Is '+' a space? In a query yes, in a path no.
enum class Plus : bool { literal, space };

// The byte at `text[at]`, decoded; moves `at` behind it. A '%' without two hex digits stands for
// itself.
char percent_next(std::string_view text, size_t& at, Plus plus);
// Writes the decoded text to `out`, which has text.size() bytes of room; returns how many bytes it
// has.
size_t percent_decode(char* out, std::string_view text, Plus plus);
// Do both texts decode to the same bytes?
bool percent_equal(std::string_view a, std::string_view b, Plus plus);

// Walks over the pairs of a query, "a=1&b": false at the end. Empty pairs are passed over. Views
// into the query, still encoded.
struct QueryPair {
  std::string_view key;
  std::string_view value;
};
bool next_query_pair(std::string_view& rest, QueryPair& pair);

}  // namespace hearth::api
