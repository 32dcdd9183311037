#include "config/read_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"

namespace hearth {

Result<std::string> read_file(const std::string& path, size_t bytes_max, Code too_large) {
  const auto failed = [&] {
    return Error{Code::io_failed, fmt::format("{} can't be read: {}", path, std::strerror(errno))};
  };
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) return failed();
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return failed();
  if (!S_ISREG(info.st_mode))
    return Error{Code::io_failed, fmt::format("{} is not a regular file", path)};
  std::string text;
  char buffer[64 * 1024];
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed();
    if (n == 0) return text;
    // Counted while reading: the file may grow behind fstat.
    if (text.size() + static_cast<size_t>(n) > bytes_max) {
      return Error{too_large, fmt::format("{} is larger than {} bytes", path, bytes_max)};
    }
    text.append(buffer, static_cast<size_t>(n));
  }
}

}  // namespace hearth
