#include "store/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace hearth {
namespace {

// Deeper trees than the unpacker makes can only come from outside; removal stops there instead of
// running out of descriptors.
constexpr int kDepthMax = 256;

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};
using Dir = std::unique_ptr<DIR, CloseDir>;

Result<Dir> open_dir(int folder) {
  UniqueFd fd = HEARTH_TRY(open_at(folder, ".", O_RDONLY | O_DIRECTORY));
  Dir dir(::fdopendir(fd.get()));
  if (!dir) return os_error("fdopendir");
  static_cast<void>(fd.release());
  return dir;
}

Status remove_at_depth(int folder, const std::string& name, int depth) {
  if (::unlinkat(folder, name.c_str(), 0) == 0 || errno == ENOENT) return ok();
  if (errno != EISDIR && errno != EPERM) return os_error(fmt::format("remove '{}'", name));
  if (depth > kDepthMax) {
    return Error{Code::io_failed, fmt::format("'{}' lies too deep to be removed", name)};
  }
  {
    const UniqueFd inner = HEARTH_TRY(open_at(folder, name, O_RDONLY | O_DIRECTORY));
    for (const auto& entry : HEARTH_TRY(list_names(inner.get()))) {
      HEARTH_TRY(remove_at_depth(inner.get(), entry, depth + 1));
    }
  }
  if (::unlinkat(folder, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    return os_error(fmt::format("remove folder '{}'", name));
  }
  return ok();
}

}  // namespace

Error os_error(std::string_view what) {
  const int number = errno;
  const Code code = number == ENOSPC || number == EDQUOT ? Code::disk_full : Code::io_failed;
  return Error{code, fmt::format("{}: {}", what, std::strerror(number))};
}

Result<UniqueFd> open_at(int folder, const std::string& path, int flags, mode_t mode) {
  UniqueFd fd(::openat(folder, path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd.valid()) return os_error(fmt::format("open '{}'", path));
  return fd;
}

Result<UniqueFd> make_folder(int folder, const std::string& name, mode_t mode) {
  if (::mkdirat(folder, name.c_str(), mode) != 0 && errno != EEXIST) {
    return os_error(fmt::format("make folder '{}'", name));
  }
  UniqueFd fd = HEARTH_TRY(open_at(folder, name, O_RDONLY | O_DIRECTORY));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error(fmt::format("stat '{}'", name));
  // mkdir's mode went through the umask.
  if ((status.st_mode & 07777) != mode && ::fchmod(fd.get(), mode) != 0) {
    return os_error(fmt::format("chmod '{}'", name));
  }
  return fd;
}

Status write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error("write");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return ok();
}

Status sync_file(int fd, std::string_view what) {
  if (::fsync(fd) != 0) return os_error(fmt::format("fsync '{}'", what));
  return ok();
}

Status sync_tree(int folder) {
  // One call instead of one for each of up to limits.code_files files; it waits for this file
  // system's other dirty pages too, which a deploy can afford.
  if (::syncfs(folder) != 0) return os_error("syncfs");
  return ok();
}

Status remove_tree(int folder, const std::string& name) { return remove_at_depth(folder, name, 0); }

Result<std::vector<std::string>> list_names(int folder) {
  const Dir dir = HEARTH_TRY(open_dir(folder));
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return os_error("read folder");
  std::sort(names.begin(), names.end());
  return names;
}

Result<UniqueFd> temporary_file(int folder) {
  UniqueFd fd(::openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (fd.valid()) return fd;
  // Some file systems (overlayfs before 6.1, NFS) have no O_TMPFILE.
  const std::string name = random_name();
  fd = HEARTH_TRY(open_at(folder, name, O_RDWR | O_CREAT | O_EXCL, 0600));
  if (::unlinkat(folder, name.c_str(), 0) != 0) return os_error("unlink a temporary file");
  return fd;
}

std::string random_name() {
  unsigned char bytes[16];
  // 16 bytes are below the size at which getrandom may be interrupted.
  HEARTH_ASSERT(::getrandom(bytes, sizeof bytes, 0) == static_cast<ssize_t>(sizeof bytes));
  std::string name;
  for (const unsigned char b : bytes) name += fmt::format("{:02x}", b);
  return name;
}

}  // namespace hearth
