#include "dev/syntax_place.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <utility>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "dev/tree.h"

namespace hearth::dev {
namespace {

namespace fs = std::filesystem;

constexpr milliseconds kPatience{2'000};
constexpr size_t kOutputMax = 8 * 1024;
constexpr int kEntriesMax = 5'000;
constexpr std::string_view kFileUrl = "file://";

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

// What `node --check FILE` says.
std::string check(const std::string& node, const std::string& file) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  const UniqueFd here(ends[0]);
  UniqueFd there(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, there.get(), STDERR_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  std::string program = node, option = "--check", name = file;
  char* arguments[] = {program.data(), option.data(), name.data(), nullptr};
  char* environment[] = {nullptr};
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, node.c_str(), &actions, nullptr, arguments, environment);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return {};
  there.reset();
  std::string text = read_until_end(here.get());
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return text;
}

}  // namespace

bool lacks_place(std::string_view problem) {
  return problem.find("SyntaxError") != std::string_view::npos && !problem.ends_with(')');
}

std::string find_syntax_error(const std::string& node, const std::string& folder) {
  const std::string file = newest_source(folder);
  if (file.empty() || node.empty()) return {};
  std::string text = check(node, file);
  if (text.starts_with(kFileUrl)) text.erase(0, kFileUrl.size());
  // "FILE:LINE", the line, its marks, an empty line, the error.
  if (!text.starts_with(file + ":")) return {};
  const size_t end = text.find("\n\n");
  return text.substr(0, std::min(end, text.find("\nSyntaxError")));
}

}  // namespace hearth::dev
