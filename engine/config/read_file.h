// A small regular file as text.
#pragma once
#include <string>

#include "base/result.h"

namespace hearth {

// Reads the whole file. Refuses what is not a regular file (a FIFO would block) and what is larger
// than `bytes_max`. Errors: io_failed (names the path and the reason), `too_large` for a file that
// is too large.
Result<std::string> read_file(const std::string& path, size_t bytes_max, Code too_large);

}  // namespace hearth
