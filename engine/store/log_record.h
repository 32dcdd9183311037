// One line of a function's log, and how it stands in a file:
//   TIME <tab> REQUEST-ID or - <tab> REVISION or - <tab> LEVEL <tab> TEXT <newline>
// TIME is 2026-11-22T13:00:00.123Z, REVISION the first 8 digits. TEXT is valid UTF-8 (what is not
// becomes U+FFFD) in which a backslash stands as \\, a newline as \n, a carriage return as \r, a
// tab as \t, and every other byte below 0x20 and DEL as \xNN. So a line never holds another tab or
// newline, and unescape_log_text() gives back exactly what was escaped.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace hearth {

// Views are valid for the call only.
struct LogRecord {
  WallTime time{};
  std::string_view request_id;  // empty: outside of any call
  std::string_view revision;    // the whole revision or its first digits; empty: none
  std::string_view level;       // "stdout", "stderr", "plain", "info", ...: letters only
  std::string_view text;        // without the final newline
};

// The most bytes that a record takes in a file.
size_t log_line_max(const LogRecord& record);

// Writes the line to `out`, which has log_line_max() bytes of room; returns the end. Allocates
// nothing.
char* write_log_line(char* out, const LogRecord& record);

// A line as read back, without its newline. Views into the line; `text` is still escaped.
struct LogLineView {
  std::string_view time;
  std::string_view request_id;
  std::string_view revision;
  std::string_view level;
  std::string_view text;
};
// Nothing: this is no line of ours (a file that was damaged or written by others).
std::optional<LogLineView> parse_log_line(std::string_view line);

std::string unescape_log_text(std::string_view text);

}  // namespace hearth
