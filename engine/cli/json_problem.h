// Why a text is not JSON, with the place.
#pragma once
#include <string>
#include <string_view>

namespace hearth::cli {

// Empty when `text` is JSON; else "line 1, column 3: ..." with what was found there. Nesting is not
// limited: the text is read without recursion, and nothing is built.
std::string json_problem(std::string_view text);

}  // namespace hearth::cli
