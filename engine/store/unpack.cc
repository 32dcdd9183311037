#include "store/unpack.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <minizip/unzip.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "store/archive_name.h"
#include "store/files.h"

namespace hearth {
namespace {

constexpr uint32_t kMadeOnUnix = 3;
constexpr uint32_t kEncrypted = 1;
constexpr size_t kChunk = 64 * 1024;
constexpr size_t kBuffer = 16 * 1024;

// What minizip says when it gets no memory for an entry.
bool is_out_of_memory(int result) { return result == UNZ_INTERNALERROR || result == Z_MEM_ERROR; }

Error out_of_memory() { return Error{Code::unpack_failed, "it ran out of memory"}; }

Error invalid(std::string_view name, std::string_view why) {
  return Error{Code::archive_invalid, fmt::format("entry {}: {}", shown_name(name), why)};
}

// The archive's descriptor as minizip wants a file. pread leaves the descriptor's position alone.
// Small reads, since minizip reads headers byte by byte, come out of a buffer.
struct ArchiveFile {
  int fd = -1;
  uint64_t size = 0;
  uint64_t position = 0;
  // minizip takes the end of the file for zeros unless the file says that it has an error.
  bool too_short = false;
  std::vector<char> buffer = std::vector<char>(kBuffer);
  uint64_t buffer_at = 0;
  size_t buffer_size = 0;

  static voidpf open(voidpf opaque, const void*, int) { return opaque; }
  static uLong read(voidpf, voidpf stream, void* to, uLong size) {
    auto* self = static_cast<ArchiveFile*>(stream);
    uLong done = 0;
    while (done < size) {
      const size_t n = self->take(static_cast<char*>(to) + done, size - done);
      if (n == 0) break;
      self->position += n;
      done += n;
    }
    if (done < size) self->too_short = true;
    return done;
  }
  // Some of the bytes at `position`; 0: there are none, or they can't be read.
  size_t take(char* to, size_t wanted) {
    if (position < buffer_at || position - buffer_at >= buffer_size) {
      if (wanted >= buffer.size()) return read_at(to, wanted);
      buffer_at = position;
      buffer_size = read_at(buffer.data(), buffer.size());
      if (buffer_size == 0) return 0;
    }
    const size_t offset = static_cast<size_t>(position - buffer_at);
    const size_t n = std::min(wanted, buffer_size - offset);
    std::memcpy(to, buffer.data() + offset, n);
    return n;
  }
  size_t read_at(char* to, size_t wanted) const {
    for (;;) {
      const ssize_t n = ::pread(fd, to, wanted, static_cast<off_t>(position));
      if (n < 0 && errno == EINTR) continue;
      return n < 0 ? 0 : static_cast<size_t>(n);
    }
  }
  static ZPOS64_T tell(voidpf, voidpf stream) {
    return static_cast<ArchiveFile*>(stream)->position;
  }
  static long seek(voidpf, voidpf stream, ZPOS64_T offset, int origin) {
    auto* self = static_cast<ArchiveFile*>(stream);
    const uint64_t base = origin == ZLIB_FILEFUNC_SEEK_CUR   ? self->position
                          : origin == ZLIB_FILEFUNC_SEEK_END ? self->size
                                                             : 0;
    if (offset > self->size || base > self->size - offset) return -1;
    self->position = base + offset;
    return 0;
  }
  static int close(voidpf, voidpf) { return 0; }
  static int error(voidpf, voidpf stream) { return static_cast<ArchiveFile*>(stream)->too_short; }
};

struct CloseZip {
  void operator()(void* zip) const {
    unzCloseCurrentFile(zip);
    unzClose(zip);
  }
};
using Zip = std::unique_ptr<void, CloseZip>;

class Unpacker {
 public:
  Unpacker(void* zip, int folder, uint64_t archive_size, const UnpackLimits& limits)
      : zip_(zip),
        folder_(folder),
        archive_size_(archive_size),
        limits_(limits),
        names_(limits),
        chunk_(kChunk) {}

  Result<Unpacked> run();

 private:
  Status unpack_entry();
  Status check_entry(std::string_view name, const unz_file_info64& entry);
  Status check_kind(std::string_view name, const unz_file_info64& entry, bool folder) const;
  Status write_file(const std::string& name, const unz_file_info64& entry, mode_t mode);
  Status count(std::string_view name, uint64_t bytes);

  void* zip_;
  int folder_;
  uint64_t archive_size_;
  const UnpackLimits& limits_;
  ArchiveNames names_;
  std::vector<char> chunk_;
  uint64_t unpacked_ = 0;
  uint64_t packed_ = 0;
};

Result<Unpacked> Unpacker::run() {
  unz_global_info64 global{};
  if (unzGetGlobalInfo64(zip_, &global) != UNZ_OK) {
    return Error{Code::archive_invalid, "the directory of the archive can't be read"};
  }
  if (global.number_entry == 0) return Error{Code::archive_invalid, "the archive is empty"};
  if (global.number_entry > limits_.files_max) {
    return Error{Code::archive_invalid,
                 fmt::format("the archive has {} files, {} are allowed (limits.code_files)",
                             global.number_entry, limits_.files_max)};
  }
  int result = unzGoToFirstFile(zip_);
  for (ZPOS64_T i = 0; i < global.number_entry; ++i) {
    if (result != UNZ_OK) {
      return Error{Code::archive_invalid, "the directory of the archive is damaged"};
    }
    HEARTH_TRY(unpack_entry());
    result = unzGoToNextFile(zip_);
  }
  return Unpacked{unpacked_, names_.size()};
}

Status Unpacker::unpack_entry() {
  unz_file_info64 entry{};
  if (unzGetCurrentFileInfo64(zip_, &entry, nullptr, 0, nullptr, 0, nullptr, 0) != UNZ_OK) {
    return Error{Code::archive_invalid, "the directory of the archive is damaged"};
  }
  if (entry.size_filename > limits_.name_max) {
    return Error{Code::archive_invalid,
                 fmt::format("an entry's name is longer than {} bytes", limits_.name_max)};
  }
  std::string name(entry.size_filename, '\0');
  if (unzGetCurrentFileInfo64(zip_, &entry, name.data(), name.size(), nullptr, 0, nullptr, 0) !=
      UNZ_OK) {
    return Error{Code::archive_invalid, "the directory of the archive is damaged"};
  }
  HEARTH_TRY(check_archive_name(name, limits_));
  HEARTH_TRY(check_entry(name, entry));
  const bool folder = name.ends_with('/');
  HEARTH_TRY(check_kind(name, entry, folder));
  const auto make = [this](const std::string& path) -> Status {
    HEARTH_TRY(make_folder(folder_, path, 0755));
    return ok();
  };
  using Kind = ArchiveNames::Kind;
  HEARTH_TRY(names_.add(name, folder ? Kind::folder : Kind::file, make));
  if (folder) return ok();
  const bool unix_made = (entry.version >> 8) == kMadeOnUnix;
  const bool executable = unix_made && ((entry.external_fa >> 16) & 0111) != 0;
  return write_file(name, entry, executable ? 0755 : 0644);
}

Status Unpacker::check_entry(std::string_view name, const unz_file_info64& entry) {
  if ((entry.flag & kEncrypted) != 0) return invalid(name, "is encrypted");
  if (entry.compression_method != 0 && entry.compression_method != Z_DEFLATED) {
    return invalid(name, fmt::format("is packed with method {}; only 0 (stored) and 8 (deflate) "
                                     "are understood",
                                     entry.compression_method));
  }
  // More packed bytes than the archive has: entries that overlap, the trick of most zip bombs.
  if (entry.compressed_size > archive_size_ - packed_) {
    return invalid(name, "overlaps with another entry, or is longer than the archive");
  }
  packed_ += entry.compressed_size;
  if (entry.uncompressed_size > limits_.bytes_max - unpacked_) {
    return invalid(name, fmt::format("makes the code larger than {} bytes (limits.code_unpacked)",
                                     limits_.bytes_max));
  }
  return ok();
}

Status Unpacker::check_kind(std::string_view name, const unz_file_info64& entry,
                            bool folder) const {
  const bool unix_made = (entry.version >> 8) == kMadeOnUnix;
  const uLong kind = unix_made ? (entry.external_fa >> 16) & S_IFMT : 0;
  if (kind == S_IFLNK) {
    return invalid(name, "is a symbolic link; put the file itself into the archive");
  }
  if (kind != 0 && kind != S_IFREG && kind != S_IFDIR) {
    return invalid(name, "is a device or another special file");
  }
  if (!folder && unix_made && ((entry.external_fa >> 16) & (S_ISUID | S_ISGID)) != 0) {
    return invalid(name, "is setuid or setgid; take those bits off (chmod ug-s)");
  }
  if (kind == S_IFDIR && !folder) return invalid(name, "is a folder with the name of a file");
  if (folder && (kind == S_IFREG || entry.uncompressed_size != 0)) {
    return invalid(name, "is a file with the name of a folder");
  }
  return ok();
}

Status Unpacker::write_file(const std::string& name, const unz_file_info64& entry, mode_t mode) {
  const int opened = unzOpenCurrentFile(zip_);
  if (is_out_of_memory(opened)) return out_of_memory();
  if (opened != UNZ_OK) {
    return invalid(name, "the entry's own header is damaged or contradicts the directory");
  }
  const UniqueFd file = HEARTH_TRY(open_at(folder_, name, O_WRONLY | O_CREAT | O_EXCL, mode));
  uint64_t written = 0;
  for (;;) {
    const int n = unzReadCurrentFile(zip_, chunk_.data(), static_cast<unsigned>(chunk_.size()));
    if (is_out_of_memory(n)) return out_of_memory();
    if (n < 0) return invalid(name, "the packed data is damaged");
    if (n == 0) break;
    written += static_cast<uint64_t>(n);
    if (written > entry.uncompressed_size) return invalid(name, "is longer than announced");
    HEARTH_TRY(count(name, static_cast<uint64_t>(n)));
    HEARTH_TRY(write_all(file.get(), {chunk_.data(), static_cast<size_t>(n)}));
  }
  if (written != entry.uncompressed_size) return invalid(name, "is shorter than announced");
  const int closed = unzCloseCurrentFile(zip_);
  if (closed == UNZ_CRCERROR) return invalid(name, "the checksum is wrong");
  if (closed != UNZ_OK) return invalid(name, "the packed data is damaged");
  // open's mode went through the umask.
  if (::fchmod(file.get(), mode) != 0) return os_error(fmt::format("chmod {}", shown_name(name)));
  return ok();
}

Status Unpacker::count(std::string_view name, uint64_t bytes) {
  unpacked_ += bytes;
  if (unpacked_ > limits_.bytes_max) {
    return invalid(name, fmt::format("makes the code larger than {} bytes (limits.code_unpacked)",
                                     limits_.bytes_max));
  }
  if (unpacked_ > limits_.ratio_from && unpacked_ / limits_.ratio_max > archive_size_) {
    return invalid(
        name, fmt::format("unpacks to more than {} times the archive's size", limits_.ratio_max));
  }
  return ok();
}

}  // namespace

Result<Unpacked> unpack_zip(int archive, int folder, const UnpackLimits& limits) {
  struct stat status {};
  if (::fstat(archive, &status) != 0) return os_error("stat the archive");
  ArchiveFile file;
  file.fd = archive;
  file.size = static_cast<uint64_t>(status.st_size);
  zlib_filefunc64_def functions{};
  functions.zopen64_file = &ArchiveFile::open;
  functions.zread_file = &ArchiveFile::read;
  functions.ztell64_file = &ArchiveFile::tell;
  functions.zseek64_file = &ArchiveFile::seek;
  functions.zclose_file = &ArchiveFile::close;
  functions.zerror_file = &ArchiveFile::error;
  functions.opaque = &file;
  const Zip zip(unzOpen2_64("", &functions));
  if (!zip) return Error{Code::archive_invalid, "this is not a zip archive, or an empty one"};
  return Unpacker(zip.get(), folder, file.size, limits).run();
}

}  // namespace hearth
