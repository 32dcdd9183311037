// UTF-8 as the store needs it: overlong forms, surrogates and values past U+10FFFF are not valid.
#pragma once
#include <cstddef>
#include <string_view>

namespace hearth {

// Length of the sequence at the begin of `text`, which is not empty: 1 to 4, or 0 when it is not
// valid.
size_t utf8_sequence(std::string_view text);

bool valid_utf8(std::string_view text);

}  // namespace hearth
