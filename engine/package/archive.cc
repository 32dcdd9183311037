#include "package/archive.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "config/units_text.h"
#include "package/zip_writer.h"
#include "store/archive_name.h"

namespace hearth {
namespace {

Error refused(std::string detail) { return Error{Code::archive_invalid, std::move(detail)}; }
Error unreadable(const std::string& path) {
  return Error{Code::io_failed, fmt::format("{} can't be read: {}", path, std::strerror(errno))};
}

struct File {
  std::string name;  // in the archive
  std::string path;
  ZipWriter::Executable executable = ZipWriter::Executable::kNo;
  uint64_t size = 0;
};

bool left_out(std::string_view parent, std::string_view name) {
  if (name == ".git" || name == "__pycache__" || name == ".DS_Store" || name.ends_with(".pyc"))
    return true;
  const bool in_modules = parent == "node_modules" || parent.ends_with("/node_modules");
  return in_modules && name == ".cache";
}

bool is_or_below(std::string_view path, std::string_view folder) {
  return path == folder ||
         (path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/');
}

Result<std::string> real_path(const std::string& path) {
  char resolved[PATH_MAX];
  if (::realpath(path.c_str(), resolved) == nullptr) return unreadable(path);
  return std::string(resolved);
}

Result<std::vector<std::string>> names_in(const std::string& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  if (!dir) return unreadable(folder);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return unreadable(folder);
  return names;
}

// Walks the folder and lists what goes into the archive.
class Collector {
 public:
  Collector(std::string root, const ArchiveLimits& limits)
      : root_(std::move(root)), limits_(limits) {}

  Result<std::vector<File>> collect() {
    HEARTH_TRY(folder("", 0));
    std::sort(files_.begin(), files_.end(),
              [](const File& a, const File& b) { return a.name < b.name; });
    return std::move(files_);
  }

 private:
  Status folder(const std::string& name, uint32_t depth) {
    const std::string path = name.empty() ? root_ : fmt::format("{}/{}", root_, name);
    if (depth > limits_.depth_max)
      return refused(
          fmt::format("{}: more than {} folders inside each other", path, limits_.depth_max));
    for (const std::string& child : HEARTH_TRY(names_in(path))) {
      if (left_out(name, child)) continue;
      HEARTH_TRY(entry(name.empty() ? child : fmt::format("{}/{}", name, child), path, depth));
    }
    return ok();
  }

  Status entry(std::string name, const std::string& parent, uint32_t depth) {
    const std::string path = fmt::format("{}/{}", root_, name);
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return unreadable(path);
    if (S_ISLNK(info.st_mode)) {
      HEARTH_TRY(check_link(path, parent));
      if (::stat(path.c_str(), &info) != 0) return unreadable(path);
    }
    if (S_ISDIR(info.st_mode)) return folder(name, depth + 1);
    if (!S_ISREG(info.st_mode))
      return refused(fmt::format("{} is neither a file nor a folder", path));
    if (files_.size() == limits_.files_max) {
      return refused(
          fmt::format("{} holds more than {} files (limits.code_files)", root_, limits_.files_max));
    }
    const bool executable = (info.st_mode & S_IXUSR) != 0;
    files_.push_back(File{std::move(name), path, ZipWriter::Executable(executable),
                          static_cast<uint64_t>(info.st_size)});
    return ok();
  }

  // A link may point to what lies in the folder, but not to a folder that it lies in itself.
  Status check_link(const std::string& path, const std::string& parent) {
    char resolved[PATH_MAX];
    if (::realpath(path.c_str(), resolved) == nullptr) {
      return refused(fmt::format("{} is a symbolic link to nowhere; remove it or mend it", path));
    }
    if (!is_or_below(resolved, root_)) {
      return refused(fmt::format(
          "{} is a symbolic link out of the folder, to {}; copy the file instead", path, resolved));
    }
    const std::string own = HEARTH_TRY(real_path(parent));
    if (is_or_below(own, resolved))
      return refused(fmt::format("{} is a symbolic link to a folder around it", path));
    return ok();
  }

  std::string root_;
  const ArchiveLimits& limits_;
  std::vector<File> files_;
};

Status write_part(std::string_view bytes, const std::string& path, const ArchiveLimits& limits,
                  ZipWriter& zip, Archive& archive) {
  archive.unpacked_bytes += bytes.size();
  if (archive.unpacked_bytes > limits.unpacked_max) {
    return refused(fmt::format("{}: the function's files are larger than {} (limits.code_unpacked)",
                               path, format_size(limits.unpacked_max)));
  }
  return zip.write(bytes);
}

// Reads as much as there is, not what stat said; the file may change meanwhile.
Status pack_file(const File& file, const ArchiveLimits& limits, ZipWriter& zip, Archive& archive) {
  const UniqueFd fd(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return unreadable(file.path);
  HEARTH_TRY(zip.begin_file(file.name, file.executable));
  std::vector<char> buffer(256 * 1024);
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return unreadable(file.path);
    if (n == 0) break;
    HEARTH_TRY(
        write_part({buffer.data(), static_cast<size_t>(n)}, file.path, limits, zip, archive));
  }
  HEARTH_TRY(zip.end_file());
  ++archive.files;
  return ok();
}

Error too_large(const std::vector<File>& files, const ArchiveLimits& limits) {
  const auto largest = std::max_element(
      files.begin(), files.end(), [](const File& a, const File& b) { return a.size < b.size; });
  return refused(
      fmt::format("the archive is larger than {} bytes (limits.code_upload); the largest file is "
                  "{} with {} bytes",
                  limits.archive_max, largest->path, largest->size));
}

UnpackLimits unpack_limits(const ArchiveLimits& limits) {
  UnpackLimits out;
  out.bytes_max = limits.unpacked_max;
  out.files_max = limits.files_max;
  out.depth_max = limits.depth_max;
  return out;
}

// What the store would refuse is refused here, before anything was packed.
Status check_names(const std::vector<MemoryFile>& files, const ArchiveLimits& limits) {
  const UnpackLimits unpack = unpack_limits(limits);
  ArchiveNames names(unpack);
  for (const MemoryFile& file : files) {
    HEARTH_TRY(check_archive_name(file.path, unpack));
    if (file.path.ends_with('/'))
      return refused(fmt::format("{}: a file's path doesn't end in '/'", shown_name(file.path)));
    HEARTH_TRY(names.add(file.path, ArchiveNames::Kind::file,
                         [](const std::string&) -> Status { return ok(); }));
  }
  return ok();
}

}  // namespace

ArchiveLimits archive_limits(const Limits& limits) {
  ArchiveLimits out;
  out.files_max = limits.code_files_max;
  out.unpacked_max = limits.code_unpacked_max;
  out.archive_max = limits.code_upload_max;
  return out;
}

ArchiveLimits upload_limits() {
  ArchiveLimits out;
  out.archive_max = out.archive_max / 4 * 3 - 64 * 1024;
  return out;
}

Result<Archive> pack_folder(const std::string& folder, const ArchiveLimits& limits) {
  const std::string root = HEARTH_TRY(real_path(folder));
  const std::vector<File> files = HEARTH_TRY(Collector(root, limits).collect());
  if (files.empty()) return refused(fmt::format("{} holds no file", folder));
  Archive archive;
  ZipWriter zip;
  for (const File& file : files) {
    HEARTH_TRY(pack_file(file, limits, zip, archive));
    if (zip.size() > limits.archive_max) return too_large(files, limits);
  }
  archive.zip = HEARTH_TRY(zip.finish());
  if (archive.zip.size() > limits.archive_max) return too_large(files, limits);
  return archive;
}

Result<Archive> pack_files(const std::vector<MemoryFile>& files, const ArchiveLimits& limits) {
  if (files.empty()) return refused("there is no file");
  HEARTH_TRY(check_names(files, limits));
  std::vector<const MemoryFile*> sorted;
  std::vector<File> sizes;
  for (const MemoryFile& file : files) {
    sorted.push_back(&file);
    sizes.push_back(File{file.path, file.path, ZipWriter::Executable::kNo, file.content.size()});
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const MemoryFile* a, const MemoryFile* b) { return a->path < b->path; });
  Archive archive;
  ZipWriter zip;
  for (const MemoryFile* file : sorted) {
    HEARTH_TRY(zip.begin_file(file->path, ZipWriter::Executable(file->executable)));
    HEARTH_TRY(write_part(file->content, file->path, limits, zip, archive));
    HEARTH_TRY(zip.end_file());
    ++archive.files;
    if (zip.size() > limits.archive_max) return too_large(sizes, limits);
  }
  archive.zip = HEARTH_TRY(zip.finish());
  if (archive.zip.size() > limits.archive_max) return too_large(sizes, limits);
  return archive;
}

}  // namespace hearth
