#include "cli/input.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "config/read_file.h"

namespace hearth::cli {
namespace {

Result<std::string> read_standard_input() {
  std::string text;
  char buffer[64 * 1024];
  for (;;) {
    const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return Error{Code::io_failed,
                   fmt::format("standard input can't be read: {}", std::strerror(errno))};
    if (n == 0) return text;
    text.append(buffer, static_cast<size_t>(n));
    if (text.size() > kInputMax)
      return Error{Code::body_too_large,
                   fmt::format("standard input has more than {} bytes", kInputMax)};
  }
}

}  // namespace

Result<std::string> read_input(const std::string& value) {
  if (value == "-") return read_standard_input();
  if (value.starts_with('@')) return read_file(value.substr(1), kInputMax, Code::body_too_large);
  return value;
}

}  // namespace hearth::cli
