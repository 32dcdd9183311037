#include "dev/temporary_state.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string_view>

#include "base/unique_fd.h"

namespace hearth::dev {
namespace {

constexpr std::string_view kPrefix = "hearth-dev-";
constexpr time_t kUnlockedSeconds = 60;  // from mkdtemp to the engine's lock, at most

std::string temporary_root() {
  const char* root = ::getenv("TMPDIR");
  return root != nullptr && root[0] == '/' ? root : "/tmp";
}

void remove_all(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

// Did a run that is over leave this folder?
bool is_left_over(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != ::geteuid())
    return false;
  const UniqueFd lock(::open((path + "/lock").c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!lock.valid()) return errno == ENOENT && ::time(nullptr) - info.st_mtime > kUnlockedSeconds;
  return ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0;
}

void sweep(const std::string& root) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(root.c_str()), ::closedir);
  if (dir == nullptr) return;
  while (const dirent* entry = ::readdir(dir.get())) {
    if (!std::string_view(entry->d_name).starts_with(kPrefix)) continue;
    const std::string path = fmt::format("{}/{}", root, entry->d_name);
    if (is_left_over(path)) remove_all(path);
  }
}

}  // namespace

Result<TemporaryState> TemporaryState::make() {
  const std::string root = temporary_root();
  sweep(root);
  std::string path = fmt::format("{}/{}XXXXXX", root, kPrefix);
  if (::mkdtemp(path.data()) == nullptr)
    return Error{Code::io_failed,
                 fmt::format("{}: no folder can be made there: {}", root, std::strerror(errno))};
  return TemporaryState(std::move(path));
}

TemporaryState::~TemporaryState() {
  if (!path_.empty()) remove_all(path_);
}

}  // namespace hearth::dev
