// Reads a function's log page by page, while it is written and rotated. Any thread.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth {

struct LogPage {
  struct Line {
    std::string time;
    std::string request_id;  // "-": outside of any call
    std::string revision;    // "-": none
    std::string level;
    std::string text;  // unescaped
  };
  std::vector<Line> lines;
  std::string cursor;  // where to go on; give it to the next read
  bool lost = false;   // lines between the cursor given and the first one here are gone
};

struct LogQuery {
  // Empty: the oldest line. "end": what comes from now on. "tail:BYTES": about the last BYTES. Else
  // what an earlier read returned.
  std::string cursor;
  std::string request_id;       // not empty: only that call's lines
  size_t bytes_max = 1u << 20;  // of file that is looked at, about
  size_t lines_max = 10'000;
};

// One page. With a filter it may be short or empty though more follows: the end is reached when the
// cursor does not move any more. A function without a log has an empty page. `folder` is the logs
// folder. Errors: invalid_parameter (cursor), io_failed.
Result<LogPage> read_log(int folder, std::string_view function, const LogQuery& query);

}  // namespace hearth
