#include "store/temporary_state.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string_view>

#include "base/unique_fd.h"

namespace hearth {
namespace {

constexpr std::string_view kPrefix = "hearth-state-";
constexpr size_t kRandom = 6;            // characters that mkdtemp makes
constexpr time_t kUnlockedSeconds = 60;  // from mkdtemp to the engine's lock, at most
// Tells the folders that were made here from those that somebody else gave such a name.
constexpr const char* kMark = "temporary";

std::string temporary_root(TemporaryState::Place place) {
  const char* named = ::secure_getenv("TMPDIR");
  const std::string root = named != nullptr && named[0] == '/' ? named : "/tmp";
  const bool elsewhere = place == TemporaryState::Place::not_in_tmp && TemporaryState::in_tmp(root);
  return elsewhere ? "/var/tmp" : root;
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
  const UniqueFd mark(::open((path + "/" + kMark).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!mark.valid()) return false;
  const UniqueFd lock(::open((path + "/lock").c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!lock.valid()) return errno == ENOENT && ::time(nullptr) - info.st_mtime > kUnlockedSeconds;
  return ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0;
}

bool has_our_name(std::string_view name) {
  return name.starts_with(kPrefix) && name.size() == kPrefix.size() + kRandom;
}

void sweep(const std::string& root) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(root.c_str()), ::closedir);
  if (dir == nullptr) return;
  size_t looked_at = 0, swept = 0;
  while (const dirent* entry = ::readdir(dir.get())) {
    if (++looked_at > TemporaryState::kLookedAtMax || swept == TemporaryState::kSweptMax) return;
    if (!has_our_name(entry->d_name)) continue;
    const std::string path = fmt::format("{}/{}", root, entry->d_name);
    if (!is_left_over(path)) continue;
    remove_all(path);
    ++swept;
  }
}

Error unusable(const std::string& path, int error) {
  return Error{Code::state_unusable,
               fmt::format("a temporary folder for the state, {}: {}; name another place in TMPDIR",
                           path, std::strerror(error))};
}

}  // namespace

bool TemporaryState::in_tmp(const std::string& folder) {
  std::error_code error;
  const std::filesystem::path tmp = std::filesystem::weakly_canonical("/tmp", error);
  const std::filesystem::path path = std::filesystem::weakly_canonical(folder, error);
  return std::mismatch(tmp.begin(), tmp.end(), path.begin(), path.end()).first == tmp.end();
}

Result<TemporaryState> TemporaryState::make(Place place) {
  const std::string root = temporary_root(place);
  sweep(root);
  std::string path = fmt::format("{}/{}{}", root, kPrefix, std::string(kRandom, 'X'));
  if (::mkdtemp(path.data()) == nullptr) return unusable(path, errno);
  TemporaryState state(std::move(path));
  const UniqueFd mark(
      ::open((state.path_ + "/" + kMark).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!mark.valid()) return unusable(state.path_, errno);
  return state;
}

TemporaryState::~TemporaryState() {
  if (!path_.empty()) remove_all(path_);
}

}  // namespace hearth
