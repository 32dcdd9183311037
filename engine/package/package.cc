#include "package/package.h"

#include <fmt/core.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "config/manifest.h"

namespace hearth {
namespace {

// The files of a source in memory, as the manifest's code looks at them.
class MemoryFiles final : public SourceFiles {
 public:
  explicit MemoryFiles(const std::vector<MemoryFile>& files) : files_(files) {}
  bool has(std::string_view file) const override { return find(file) != nullptr; }
  bool is_executable(std::string_view file) const override {
    const MemoryFile* found = find(file);
    return found != nullptr && found->executable;
  }
  Result<std::string> read(std::string_view file, size_t bytes_max) const override {
    const MemoryFile* found = find(file);
    if (found == nullptr) return Error{Code::io_failed, fmt::format("{} is not there", file)};
    if (found->content.size() > bytes_max)
      return Error{Code::manifest_invalid,
                   fmt::format("{} is larger than {} bytes", file, bytes_max)};
    return std::string(found->content);
  }
  std::string label() const override { return "the source"; }
  std::string label(std::string_view file) const override { return std::string(file); }

 private:
  const MemoryFile* find(std::string_view file) const {
    const auto found = std::find_if(files_.begin(), files_.end(),
                                    [&](const MemoryFile& f) { return f.path == file; });
    return found == files_.end() ? nullptr : &*found;
  }
  const std::vector<MemoryFile>& files_;
};

Error failed(const char* step) {
  return Error{Code::io_failed, fmt::format("{}: {}", step, std::strerror(errno))};
}

// In memory, so that a deploy leaves no file behind whatever happens.
Result<UniqueFd> as_file(std::string_view bytes) {
  UniqueFd fd(::memfd_create("hearth-archive", MFD_CLOEXEC));
  if (!fd.valid()) return failed("a file for the archive");
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("write the archive");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return fd;
}

}  // namespace

Result<FunctionSpec> read_spec(const PackageSource& source) {
  ManifestChoice choice;
  choice.text = source.manifest_text;
  choice.path = source.manifest_path;
  choice.name = source.name;
  if (!source.folder.empty()) return load_function(source.folder, std::move(choice));
  return load_function(MemoryFiles(source.files), choice);
}

Result<Package> make_package(const PackageSource& source) {
  Package out;
  out.spec = HEARTH_TRY(read_spec(source));
  const Archive archive =
      HEARTH_TRY(source.folder.empty() ? pack_files(source.files, source.limits)
                                       : pack_folder(source.folder, source.limits));
  out.archive = HEARTH_TRY(as_file(archive.zip));
  out.archive_bytes = archive.zip.size();
  out.unpacked_bytes = archive.unpacked_bytes;
  out.files = archive.files;
  return out;
}

}  // namespace hearth
