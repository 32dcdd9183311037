// The files of one function's log: logs/NAME/00000001.log and on. The number only grows; the oldest
// files go when there are too many.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth {

std::string segment_name(uint64_t number);
std::optional<uint64_t> segment_number(std::string_view name);
// The numbers of the segments in a function's folder, in order.
Result<std::vector<uint64_t>> list_segments(int function_folder);

// A place in a function's log, "SEGMENT:OFFSET" as text.
struct LogCursor {
  uint64_t segment = 0;
  uint64_t offset = 0;
  std::string text() const;
};
std::optional<LogCursor> parse_log_cursor(std::string_view text);

}  // namespace hearth
