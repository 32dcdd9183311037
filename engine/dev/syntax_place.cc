#include "dev/syntax_place.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <utility>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "dev/confined_parser.h"
#include "dev/tree.h"

namespace hearth::dev {
namespace {

namespace fs = std::filesystem;

constexpr milliseconds kPatience{2'000};
constexpr size_t kOutputMax = 8 * 1024;
constexpr int kEntriesMax = 5'000;
constexpr std::string_view kFileUrl = "file://";
constexpr std::string_view kSource = "[stdin]";  // what Node calls its standard input

std::string newest_source(const std::string& folder) {
  std::error_code failed;
  fs::path newest;
  fs::file_time_type when{};
  int entries = 0;
  for (fs::recursive_directory_iterator it(folder, failed), end; !failed && it != end;
       it.increment(failed)) {
    if (++entries > kEntriesMax) break;
    const std::string name = it->path().filename();
    std::error_code ignored;
    if (it->is_directory(ignored)) {
      if (is_ignored_folder(name)) it.disable_recursion_pending();
      continue;
    }
    const fs::path kind = it->path().extension();
    if (is_ignored_file(name) || (kind != ".mjs" && kind != ".js" && kind != ".cjs")) continue;
    const auto time = it->last_write_time(ignored);
    if (newest.empty() || time > when) newest = it->path(), when = time;
  }
  return newest;
}

std::string read_until_end(int fd) {
  const SystemClock clock;
  const Deadline deadline = clock.now() + kPatience;
  std::string text;
  char part[1024];
  while (text.size() < kOutputMax) {
    pollfd ready{fd, POLLIN, 0};
    const auto left = to_ms(deadline - clock.now());
    if (left <= 0 || ::poll(&ready, 1, static_cast<int>(left)) <= 0) break;
    const ssize_t n = ::read(fd, part, sizeof part);
    if (n <= 0) break;
    text.append(part, static_cast<size_t>(n));
  }
  return text;
}

// What `node --check` says of what can be read from `source`.
std::string check(const std::string& node, const char* type, const UniqueFd& source) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  const UniqueFd here(ends[0]);
  UniqueFd there(ends[1]);
  const char* arguments[] = {"node", "--check", type, "-", nullptr};
  const pid_t pid = start_parser(node.c_str(), arguments, source.get(), there.get());
  if (pid < 0) return {};
  there.reset();
  std::string text = read_until_end(here.get());
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return text;
}

// A plain file only: others could be waited for.
UniqueFd open_plain(const std::string& file) {
  UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (fd.valid() && (::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode))) fd.reset();
  return fd;
}

}  // namespace

bool lacks_place(std::string_view problem) {
  return problem.find("SyntaxError") != std::string_view::npos && !problem.ends_with(')');
}

std::string find_syntax_error(const std::string& node, const std::string& folder) {
  const std::string file = newest_source(folder);
  if (file.empty() || node.empty()) return {};
  const UniqueFd source = open_plain(file);
  if (!source.valid()) return {};
  const char* type = file.ends_with(".cjs") ? "--input-type=commonjs" : "--input-type=module";
  std::string text = check(node, type, source);
  // "[stdin]:LINE", the line, its marks, an empty line, the error.
  if (text.starts_with(kFileUrl)) text.erase(0, kFileUrl.size());
  if (!text.starts_with(kSource) || text.substr(kSource.size(), 1) != ":") return {};
  text.replace(0, kSource.size(), file);
  const size_t end = text.find("\n\n");
  return text.substr(0, std::min(end, text.find("\nSyntaxError")));
}

}  // namespace hearth::dev
