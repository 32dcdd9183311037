#include "base/log.h"

#include <unistd.h>

#include <ctime>

namespace hearth {

void append_escaped(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if ((u < 0x20 && c != '\t') || u == 0x7F) {
      out += "\\x";
      out += kHex[u >> 4];
      out += kHex[u & 15];
    } else {
      out += c;
    }
  }
}

void FdLogSink::write(LogLevel level, std::string_view area, std::string_view text) {
  static constexpr std::string_view kNames[] = {"debug", "info", "warning", "error"};
  timespec ts{};
  clock_gettime(CLOCK_REALTIME, &ts);
  tm utc{};
  gmtime_r(&ts.tv_sec, &utc);
  char stamp[32];
  const size_t n = std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
  std::string line = fmt::format("{}.{:03}Z {:7} {}: ", std::string_view(stamp, n),
                                 ts.tv_nsec / 1'000'000, kNames[static_cast<size_t>(level)], area);
  append_escaped(line, text);
  line += '\n';
  // One write a line, so that lines of several threads do not mix. A log that can't be written has
  // nowhere to say so.
  [[maybe_unused]] const ssize_t written = ::write(fd_, line.data(), line.size());
}

}  // namespace hearth
