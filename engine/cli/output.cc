#include "cli/output.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/log.h"

namespace hearth::cli {
namespace {

// The errno of what could not be written; 0: all was.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? errno : EIO;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return 0;
}

// What is opened later must not get the number of a standard stream that was closed: it would be
// written to. Opened the wrong way round, its use still fails.
void fill_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF)
      static_cast<void>(::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY));
  }
}

size_t width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

}  // namespace

StandardOutput::StandardOutput() {
  fill_standard_streams();
  const char* no_color = std::getenv("NO_COLOR");
  const char* kind = std::getenv("TERM");
  const bool dumb = kind != nullptr && std::string_view(kind) == "dumb";
  terminal = ::isatty(STDOUT_FILENO) == 1;
  colour = ::isatty(STDERR_FILENO) == 1 && (no_color == nullptr || *no_color == '\0') && !dumb;
}

void StandardOutput::out(std::string_view text) {
  const int error = write_all(STDOUT_FILENO, text);
  if (lost_ == 0) lost_ = error;
}
void StandardOutput::err(std::string_view text) {
  static_cast<void>(write_all(STDERR_FILENO, text));  // there is nowhere to say it
}

Exit report(Output& output, const Failure& failure) {
  const std::string_view red = output.colour ? "\x1b[1;31m" : "";
  const std::string_view dim = output.colour ? "\x1b[2m" : "";
  const std::string_view plain = output.colour ? "\x1b[0m" : "";
  // stderr may hold what a server sent, so it is escaped whatever it is.
  const auto line = [](std::string_view text) {
    std::string escaped;
    append_escaped(escaped, text);
    return escaped;
  };
  std::string text = fmt::format("{}hearth:{} {}\n", red, plain, line(failure.what));
  if (!failure.why.empty()) text += fmt::format("  {}why:{} {}\n", dim, plain, line(failure.why));
  if (!failure.todo.empty()) text += fmt::format("  {}try:{} {}\n", dim, plain, line(failure.todo));
  output.err(text);
  return failure.exit;
}

std::string shown(const Output& output, std::string_view text) {
  if (!output.terminal) return std::string(text);
  std::string escaped;
  append_escaped(escaped, text);
  return escaped;
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      const bool last = i + 1 == row.size();
      if (!last) text.append(widths[i] - width(row[i]) + 2, ' ');
    }
    text += '\n';
  }
  return text;
}

}  // namespace hearth::cli
