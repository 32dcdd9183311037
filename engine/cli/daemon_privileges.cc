#include "cli/daemon_privileges.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/unique_fd.h"
#include "config/units_text.h"

namespace hearth::cli {
namespace {

constexpr int kDepthMax = 64;

Error failed(const char* step) {
  return Error{Code::internal, fmt::format("{}: {}", step, std::strerror(errno))};
}

std::optional<DaemonUser> user_named(const std::string& name) {
  const passwd* entry = ::getpwnam(name.c_str());
  if (entry == nullptr) return std::nullopt;
  return DaemonUser{entry->pw_uid, entry->pw_gid, name};
}

DaemonUser user_numbered(uid_t uid) {
  const passwd* entry = ::getpwuid(uid);
  return DaemonUser{uid, entry != nullptr ? entry->pw_gid : static_cast<gid_t>(uid),
                    fmt::format("uid {}", uid)};
}

// Works on descriptors, so that nobody can put a link in the way between the look and the change.
Status give_below(UniqueFd folder, const std::string& path, const DaemonUser& user, int depth) {
  if (depth > kDepthMax)
    return Error{Code::state_unusable, fmt::format("{}: too many folders inside each other", path)};
  const auto bad = [](const std::string& what) {
    return Error{Code::state_unusable, fmt::format("{} can't be given to the daemon's user: {}",
                                                   what, std::strerror(errno))};
  };
  if (::fchown(folder.get(), user.uid, user.gid) != 0) return bad(path);
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::fdopendir(folder.get()), ::closedir);
  if (!dir) return bad(path);
  const int fd = folder.release();  // closedir owns it now
  errno = 0;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    const std::string child = fmt::format("{}/{}", path, name);
    struct stat info {};
    if (::fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) return bad(child);
    if (S_ISDIR(info.st_mode)) {
      UniqueFd below(::openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!below.valid()) return bad(child);
      HEARTH_TRY(give_below(std::move(below), child, user, depth + 1));
    } else if (::fchownat(fd, entry->d_name, user.uid, user.gid, AT_SYMLINK_NOFOLLOW) != 0) {
      return bad(child);
    }
    errno = 0;
  }
  return errno == 0 ? ok() : Status(bad(path));
}

}  // namespace

Result<std::optional<DaemonUser>> daemon_user(const std::string& configured) {
  if (::geteuid() != 0) return std::optional<DaemonUser>();
  std::optional<DaemonUser> user;
  if (configured.empty()) {
    user = user_named("hearth");
    if (!user) user = DaemonUser{kReservedUid, kReservedUid, fmt::format("uid {}", kReservedUid)};
  } else if (const auto number = parse_whole(configured)) {
    if (*number > 0xFFFF'FFFEu)
      return Error{Code::config_invalid, fmt::format("user: '{}' is not a user id", configured)};
    user = user_numbered(static_cast<uid_t>(*number));
  } else {
    user = user_named(configured);
    if (!user)
      return Error{Code::config_invalid,
                   fmt::format("user: there is no user '{}' on this machine", configured)};
  }
  if (user->uid == 0 || user->gid == 0) {
    return Error{
        Code::config_invalid,
        fmt::format("user: '{}' is root, or of group root; name an ordinary user", configured)};
  }
  return user;
}

Status give_folder(const std::string& folder, const DaemonUser& user) {
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid())
    return Error{Code::state_unusable, fmt::format("{}: {}", folder, std::strerror(errno))};
  return give_below(std::move(fd), folder, user, 0);
}

Status drop_privileges(const DaemonUser& user) {
  if (::setgroups(0, nullptr) != 0) return failed("setgroups");
  if (::setresgid(user.gid, user.gid, user.gid) != 0) return failed("setresgid");
  if (::setresuid(user.uid, user.uid, user.uid) != 0) return failed("setresuid");
  if (::setuid(0) == 0 || ::setgid(0) == 0)
    return Error{Code::internal, "root could be had back after it was given up"};
  return seal_process();
}

Status seal_process() {
#if !defined(__SANITIZE_ADDRESS__)  // the leak check at exit traces its own process
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return failed("PR_SET_DUMPABLE");
#endif
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("PR_SET_NO_NEW_PRIVS");
  return ok();
}

}  // namespace hearth::cli
