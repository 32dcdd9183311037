#include "store/folder_check.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include "store/archive_name.h"
#include "store/files.h"

namespace hearth {
namespace {

Error wrong(std::string_view name, std::string_view why) {
  return Error{Code::unpack_failed, fmt::format("it left {}: {}", shown_name(name), why)};
}

class Walk {
 public:
  explicit Walk(const UnpackLimits& limits) : limits_(limits) {}

  Status folder(int fd, uint32_t depth) {
    for (const std::string& name : HEARTH_TRY(list_names(fd))) {
      struct stat status {};
      if (::fstatat(fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
        return os_error("look at what was unpacked");
      if (++found_.files > limits_.files_max) return wrong(name, "more files than allowed");
      const mode_t mode = status.st_mode & 07777;
      if (S_ISREG(status.st_mode)) {
        if (status.st_nlink != 1) return wrong(name, "a file with a second name");
        if (mode != 0644 && mode != 0755) return wrong(name, "a file with other rights");
        found_.bytes += static_cast<uint64_t>(status.st_size);
        continue;
      }
      if (!S_ISDIR(status.st_mode)) return wrong(name, "neither a file nor a folder");
      if (mode != 0755) return wrong(name, "a folder with other rights");
      if (depth >= limits_.depth_max) return wrong(name, "folders too deep");
      const UniqueFd inner = HEARTH_TRY(open_at(fd, name, O_RDONLY | O_DIRECTORY));
      HEARTH_TRY(folder(inner.get(), depth + 1));
    }
    return ok();
  }
  const Unpacked& found() const { return found_; }

 private:
  const UnpackLimits& limits_;
  Unpacked found_;
};

}  // namespace

Status check_folder(int folder, const Unpacked& said, const UnpackLimits& limits) {
  Walk walk(limits);
  HEARTH_TRY(walk.folder(folder, 1));
  if (walk.found().files == said.files && walk.found().bytes == said.bytes) return ok();
  return Error{Code::unpack_failed,
               fmt::format("it said {} files and {} bytes, there are {} and {}", said.files,
                           said.bytes, walk.found().files, walk.found().bytes)};
}

}  // namespace hearth
