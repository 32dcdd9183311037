#include "package/zip_writer.h"

#include <fmt/core.h>
#include <minizip/zip.h>
#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace hearth {
namespace {

// A file in memory, for minizip's callbacks: it seeks back to fill in sizes.
struct Memory {
  std::string bytes;
  size_t position = 0;
};

voidpf open_memory(voidpf opaque, const void*, int) { return opaque; }
int close_memory(voidpf, voidpf) { return 0; }
int error_of_memory(voidpf, voidpf) { return 0; }
ZPOS64_T tell_memory(voidpf, voidpf stream) { return static_cast<Memory*>(stream)->position; }

uLong read_memory(voidpf, voidpf stream, void* buffer, uLong size) {
  auto& memory = *static_cast<Memory*>(stream);
  const size_t n = std::min<size_t>(size, memory.bytes.size() - memory.position);
  std::memcpy(buffer, memory.bytes.data() + memory.position, n);
  memory.position += n;
  return n;
}

uLong write_memory(voidpf, voidpf stream, const void* buffer, uLong size) {
  auto& memory = *static_cast<Memory*>(stream);
  if (memory.position + size > memory.bytes.size()) memory.bytes.resize(memory.position + size);
  std::memcpy(memory.bytes.data() + memory.position, buffer, size);
  memory.position += size;
  return size;
}

long seek_memory(voidpf, voidpf stream, ZPOS64_T offset, int origin) {
  auto& memory = *static_cast<Memory*>(stream);
  size_t base = 0;
  if (origin == ZLIB_FILEFUNC_SEEK_CUR) base = memory.position;
  if (origin == ZLIB_FILEFUNC_SEEK_END) base = memory.bytes.size();
  if (base + offset > memory.bytes.size()) return -1;
  memory.position = base + offset;
  return 0;
}

zlib_filefunc64_def functions(Memory& memory) {
  zlib_filefunc64_def f{};
  f.zopen64_file = open_memory;
  f.zread_file = read_memory;
  f.zwrite_file = write_memory;
  f.ztell64_file = tell_memory;
  f.zseek64_file = seek_memory;
  f.zclose_file = close_memory;
  f.zerror_file = error_of_memory;
  f.opaque = &memory;
  return f;
}

Status check(int code, const char* step) {
  if (code == ZIP_OK) return ok();
  return Error{Code::archive_invalid,
               fmt::format("the archive can't be made: {} failed with {}", step, code)};
}

constexpr uLong kMadeByUnix =
    (3u << 8) | 20;  // so that the upper half of external_fa is a Unix mode
constexpr uLong kNamesAreUtf8 = 1u << 11;

}  // namespace

struct ZipWriter::Impl {
  Memory memory;
  zlib_filefunc64_def functions{};
  zipFile zip = nullptr;
};

ZipWriter::ZipWriter() : impl_(std::make_unique<Impl>()) {
  impl_->functions = functions(impl_->memory);
  impl_->zip = zipOpen2_64("memory", APPEND_STATUS_CREATE, nullptr, &impl_->functions);
  HEARTH_ASSERT(impl_->zip != nullptr);
}

ZipWriter::~ZipWriter() {
  if (impl_->zip != nullptr) zipClose(impl_->zip, nullptr);
}

Status ZipWriter::begin_file(const std::string& name, Executable executable) {
  zip_fileinfo info{};
  // 1980-01-01, the first day that a zip knows: two packings of the same files are the same bytes.
  info.tmz_date.tm_year = 1980;
  info.tmz_date.tm_mday = 1;
  const uLong mode = S_IFREG | (executable == Executable::kYes ? 0755u : 0644u);
  info.external_fa = mode << 16;
  return check(
      zipOpenNewFileInZip4_64(impl_->zip, name.c_str(), &info, nullptr, 0, nullptr, 0, nullptr,
                              Z_DEFLATED, Z_DEFAULT_COMPRESSION, 0, -MAX_WBITS, DEF_MEM_LEVEL,
                              Z_DEFAULT_STRATEGY, nullptr, 0, kMadeByUnix, kNamesAreUtf8, 0),
      "a file's head");
}

Status ZipWriter::write(std::string_view bytes) {
  constexpr size_t kPartMax = 1u << 30;  // minizip counts in unsigned
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, kPartMax);
    HEARTH_TRY(
        check(zipWriteInFileInZip(impl_->zip, part.data(), static_cast<unsigned>(part.size())),
              "writing"));
    bytes.remove_prefix(part.size());
  }
  return ok();
}

Status ZipWriter::end_file() { return check(zipCloseFileInZip(impl_->zip), "a file's end"); }

size_t ZipWriter::size() const { return impl_->memory.bytes.size(); }

Result<std::string> ZipWriter::finish() {
  const int code = zipClose(impl_->zip, nullptr);
  impl_->zip = nullptr;
  HEARTH_TRY(check(code, "the archive's end"));
  return std::move(impl_->memory.bytes);
}

}  // namespace hearth
