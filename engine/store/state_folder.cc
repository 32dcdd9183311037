#include "store/state_folder.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "store/files.h"

namespace hearth {
namespace {

// Not to be listed by others: the name of a function's code is what keeps it from them where
// nothing else does.
constexpr mode_t kCodeMode = 0711;

Error unusable(const std::string& path, std::string_view why) {
  return Error{Code::state_unusable, fmt::format("state folder '{}': {}", path, why)};
}

Status check_owner(int folder, const std::string& path) {
  struct stat status {};
  if (::fstat(folder, &status) != 0) return unusable(path, std::strerror(errno));
  if (status.st_uid == ::geteuid()) return ok();
  return unusable(path, fmt::format("belongs to user id {}, not to this process's ({})",
                                    status.st_uid, ::geteuid()));
}

Result<UniqueFd> open_or_make(const std::string& path) {
  std::error_code error;
  const auto parent = std::filesystem::path(path).parent_path();
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (error) return unusable(path, error.message());
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return unusable(path, std::strerror(errno));
  }
  UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return unusable(path, std::strerror(errno));
  if (::geteuid() != 0) HEARTH_TRY(check_owner(folder.get(), path));
  return folder;
}

Result<UniqueFd> take_lock(int folder, const std::string& path) {
  auto lock = open_at(folder, "lock", O_RDWR | O_CREAT, 0600);
  if (!lock) return unusable(path, lock.error().detail);
  if (::flock(lock->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return unusable(path, std::strerror(errno));
    char pid[16] = {};
    const ssize_t n = ::pread(lock->get(), pid, sizeof pid - 1, 0);
    const std::string owner(pid, n > 0 ? strspn(pid, "0123456789") : 0);
    return unusable(path, fmt::format("is in use by another hearth (process {}); stop it or name "
                                      "another folder with --state",
                                      owner.empty() ? "unknown" : owner));
  }
  // Root writes here too: not through a second name that somebody gave to another file.
  struct stat status {};
  if (::fstat(lock->get(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1) {
    return unusable(path, "its lock is not a plain file");
  }
  // For whoever comes second, and no more: a full disk is no reason not to start.
  if (::ftruncate(lock->get(), 0) == 0) {
    static_cast<void>(write_all(lock->get(), fmt::format("{}\n", ::getpid())));
  }
  return std::move(*lock);
}

}  // namespace

Result<StateLock> StateLock::take(const std::string& path) {
  StateLock state;
  std::error_code error;
  state.path_ = std::filesystem::absolute(path, error).lexically_normal().string();
  while (state.path_.size() > 1 && state.path_.back() == '/') state.path_.pop_back();
  state.folder_ = HEARTH_TRY(open_or_make(state.path_));
  state.lock_ = HEARTH_TRY(take_lock(state.folder_.get(), state.path_));
  if (::fchmod(state.folder_.get(), 0700) != 0) return unusable(state.path_, std::strerror(errno));
  return state;
}

Status StateLock::let_others_pass() {
  if (::fchmod(folder_.get(), 0711) != 0) return unusable(path_, std::strerror(errno));
  auto code = make_folder(folder_.get(), "code", kCodeMode);
  return code ? ok() : Status(unusable(path_, code.error().detail));
}

Result<StateFolder> StateFolder::open(const std::string& path) {
  return open(HEARTH_TRY(StateLock::take(path)));
}

Result<StateFolder> StateFolder::open(StateLock lock) {
  StateFolder state(std::move(lock));
  const int folder = state.lock_.folder_.get();
  HEARTH_TRY(check_owner(folder, state.path()));
  const auto sub = [&](UniqueFd& fd, const char* name, mode_t mode) -> Status {
    auto made = make_folder(folder, name, mode);
    if (!made) return unusable(state.path(), made.error().detail);
    fd = std::move(*made);
    return ok();
  };
  HEARTH_TRY(sub(state.code_, "code", kCodeMode));
  HEARTH_TRY(sub(state.archives_, "archives", 0700));
  HEARTH_TRY(sub(state.staging_, "staging", 0700));
  HEARTH_TRY(sub(state.logs_, "logs", 0700));
  return state;
}

}  // namespace hearth
