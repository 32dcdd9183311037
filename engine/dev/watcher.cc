#include "dev/watcher.h"

#include <dirent.h>
#include <fmt/core.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "dev/tree.h"

namespace hearth::dev {
namespace {

constexpr uint32_t kEvents = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                             IN_ONLYDIR | IN_EXCL_UNLINK;
constexpr int kDepthMax = 32;
constexpr size_t kReadBytes = 64 * 1024;

Error watch_error(const std::string& folder) {
  const int error = errno;
  std::string_view fix;
  if (error == ENOSPC) fix = "; raise it: sysctl fs.inotify.max_user_watches=524288";
  if (error == EMFILE) fix = "; raise it: sysctl fs.inotify.max_user_instances=512";
  return Error{Code::io_failed,
               fmt::format("{} can't be watched: {}{}", folder, std::strerror(error), fix)};
}

bool is_link(const std::string& path) {
  struct stat info {};
  return ::lstat(path.c_str(), &info) == 0 && S_ISLNK(info.st_mode);
}

}  // namespace

Result<Watcher> Watcher::open(const std::string& root) {
  UniqueFd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd.valid()) return watch_error(root);
  Watcher watcher(std::move(fd));
  watcher.root_ = root;
  HEARTH_TRY(watcher.add_tree(root, 0));
  if (root != "/") HEARTH_TRY(watcher.add_file(root));
  return watcher;
}

Status Watcher::add_file(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == 0 ? "/" : path.substr(0, slash);
  return add_folder(folder, path.substr(slash + 1));
}

Status Watcher::add_folder(const std::string& folder, const std::string& only) {
  const int watch = ::inotify_add_watch(fd_.get(), folder.c_str(), kEvents);
  if (watch < 0) {
    if (errno == ENOENT || errno == ENOTDIR || errno == EACCES) return ok();  // gone again
    return watch_error(folder);
  }
  const auto [place, fresh] = watched_.try_emplace(watch);
  Watched& watched = place->second;
  const bool had_all = !fresh && watched.only.empty();
  watched.path = folder;
  if (only.empty()) {
    watched.only.clear();
  } else if (!had_all) {
    watched.only.push_back(only);
  }
  return ok();
}

Status Watcher::add_tree(const std::string& folder, int depth) {
  HEARTH_TRY(add_folder(folder, ""));
  if (depth == kDepthMax) return ok();
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  if (dir == nullptr) return ok();
  while (const dirent* entry = ::readdir(dir.get())) {
    if (is_ignored_folder(entry->d_name)) continue;
    const std::string path = fmt::format("{}/{}", folder, entry->d_name);
    struct stat info {};
    if (::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode))
      HEARTH_TRY(add_tree(path, depth + 1));
  }
  return ok();
}

// A folder that was moved away goes on telling of itself, under a name that is not its own.
void Watcher::forget_below(const std::string& folder) {
  for (auto it = watched_.begin(); it != watched_.end();) {
    const std::string& path = it->second.path;
    const bool below = path == folder || path.starts_with(folder + "/");
    if (below && it->second.only.empty()) {
      ::inotify_rm_watch(fd_.get(), it->first);
      it = watched_.erase(it);
    } else {
      ++it;
    }
  }
}

// The folder above tells of the root.
void Watcher::on_root(uint32_t mask, Changes& changes) {
  changes.everything = true;
  if ((mask & (IN_DELETE | IN_MOVED_FROM)) != 0) {
    forget_below(root_);
  } else {
    // As below: what can't be watched is read, at least, once.
    static_cast<void>(add_tree(root_, 0));
  }
}

void Watcher::handle(int watch, uint32_t mask, std::string_view name, Changes& changes) {
  if ((mask & IN_Q_OVERFLOW) != 0) {
    changes.everything = true;
    return;
  }
  const auto found = watched_.find(watch);
  if (found == watched_.end()) return;
  if ((mask & IN_IGNORED) != 0) {
    watched_.erase(found);
    return;
  }
  if (name.empty()) return;
  const Watched& watched = found->second;
  const std::string path = fmt::format("{}/{}", watched.path, name);
  if (!watched.only.empty()) {
    if (std::find(watched.only.begin(), watched.only.end(), name) == watched.only.end()) return;
    if ((mask & IN_ISDIR) != 0 && path == root_) return on_root(mask, changes);
    if ((mask & IN_CREATE) != 0) return;
  } else if ((mask & IN_ISDIR) != 0) {
    if (is_ignored_folder(name)) return;
    if ((mask & (IN_DELETE | IN_MOVED_FROM)) != 0) forget_below(path);
    // A watch that can't be added any more leaves its folder without reloads; the next start says
    // why.
    if ((mask & (IN_CREATE | IN_MOVED_TO)) != 0 && !add_tree(path, 0)) changes.everything = true;
  } else {
    if (is_ignored_file(name)) return;
    // A new file is told of when it is closed; only a link is complete at once.
    if ((mask & IN_CREATE) != 0 && !is_link(path)) return;
  }
  if (std::find(changes.paths.begin(), changes.paths.end(), path) == changes.paths.end())
    changes.paths.push_back(path);
}

size_t Watcher::folders() const {
  return static_cast<size_t>(std::count_if(watched_.begin(), watched_.end(), [](const auto& entry) {
    return entry.second.only.empty();
  }));
}

Watcher::Changes Watcher::read() {
  Changes changes;
  alignas(inotify_event) char buffer[kReadBytes];
  for (;;) {
    const ssize_t size = ::read(fd_.get(), buffer, sizeof buffer);
    if (size <= 0) return changes;
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      const std::string_view name(event->name, ::strnlen(event->name, event->len));
      handle(event->wd, event->mask, name, changes);
      at += static_cast<ssize_t>(sizeof(inotify_event)) + event->len;
    }
  }
}

}  // namespace hearth::dev
