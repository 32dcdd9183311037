// A value on the command line that may stand for a file: TEXT, @FILE, or - for standard input.
#pragma once
#include <string>

#include "base/result.h"

namespace hearth::cli {

inline constexpr size_t kInputMax = 256u << 20;  // the most that limits.invoke_body can be

// The text itself, or what the file or standard input holds. Blocks until standard input ends.
// Errors: io_failed (names what can't be read, and why), body_too_large: more than kInputMax bytes.
Result<std::string> read_input(const std::string& value);

}  // namespace hearth::cli
