// For this folder's tests: a temporary folder, zip archives made byte by byte (so that they can be
// wrong in any way), and a function service on them.
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "store/files.h"
#include "store/function_service.h"
#include "store/migrations.h"

namespace hearth::test {

class TempFolder {
 public:
  TempFolder() {
    char name[] = "/tmp/hearth_store_XXXXXX";
    HEARTH_ASSERT(::mkdtemp(name) != nullptr);
    path_ = name;
  }
  ~TempFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::string& path() const { return path_; }
  UniqueFd open() const {
    return UniqueFd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

 private:
  std::string path_;
};

inline size_t entries_in(const std::string& folder) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    ++count;
  return count;
}

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_file(const std::string& path, const std::string& bytes) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  HEARTH_ASSERT(fd.valid() && ::fchmod(fd.get(), 0644) == 0 && write_all(fd.get(), bytes));
}

struct ZipEntry {
  std::string name;
  std::string data;
  uint32_t mode = 0100644;  // as stat's st_mode
  bool deflated = false;
  uint16_t flags = 0;
  uint16_t method = 0xFFFF;  // other than `deflated` says
  uint32_t crc_error = 0;    // added to the right checksum
  int64_t announced = -1;    // uncompressed size, when it is to be wrong
  std::string local_name;    // other than in the directory
};

class ZipMaker {
 public:
  ZipMaker& add(ZipEntry entry) {
    const std::string packed = entry.deflated ? deflate(entry.data) : entry.data;
    const auto crc =
        static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(entry.data.data()),
                                    static_cast<uInt>(entry.data.size())));
    std::string common;
    number(common, 2, entry.flags);
    number(common, 2, entry.method != 0xFFFF ? entry.method : entry.deflated ? 8 : 0);
    number(common, 4, 0x21 << 16);  // 1980-01-01
    number(common, 4, crc + entry.crc_error);
    number(common, 4, packed.size());
    number(common, 4,
           entry.announced >= 0 ? static_cast<uint64_t>(entry.announced) : entry.data.size());
    const size_t offset = bytes_.size();
    const std::string& local = entry.local_name.empty() ? entry.name : entry.local_name;
    bytes_ += "PK\x03\x04";
    number(bytes_, 2, 20);
    bytes_ += common;
    number(bytes_, 2, local.size());
    number(bytes_, 2, 0);
    bytes_ += local + packed;
    directory_ += "PK\x01\x02";
    number(directory_, 2, 3 << 8 | 20);
    number(directory_, 2, 20);
    directory_ += common;
    number(directory_, 2, entry.name.size());
    number(directory_, 2, 0);
    number(directory_, 2, 0);
    number(directory_, 2, 0);
    number(directory_, 2, 0);
    number(directory_, 4, static_cast<uint64_t>(entry.mode) << 16);
    number(directory_, 4, offset);
    directory_ += entry.name;
    ++count_;
    return *this;
  }
  ZipMaker& add(const std::string& name, const std::string& data, uint32_t mode = 0100644) {
    ZipEntry entry;
    entry.name = name;
    entry.data = data;
    entry.mode = mode;
    return add(entry);
  }
  std::string bytes() const {
    std::string out = bytes_ + directory_ + "PK\x05\x06";
    number(out, 4, 0);
    number(out, 2, count_);
    number(out, 2, count_);
    number(out, 4, directory_.size());
    number(out, 4, bytes_.size());
    number(out, 2, 0);
    return out;
  }
  // A descriptor that holds the archive.
  UniqueFd file() const { return file_of(bytes()); }
  static UniqueFd file_of(const std::string& bytes) {
    UniqueFd fd(::memfd_create("zip", MFD_CLOEXEC));
    HEARTH_ASSERT(write_all(fd.get(), bytes));
    return fd;
  }

 private:
  static void number(std::string& out, int bytes, uint64_t value) {
    for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  }
  static std::string deflate(const std::string& data) {
    z_stream stream{};
    HEARTH_ASSERT(deflateInit2(&stream, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY) == Z_OK);
    std::string out(deflateBound(&stream, data.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
    stream.avail_in = static_cast<uInt>(data.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    HEARTH_ASSERT(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
  }

  std::string bytes_;
  std::string directory_;
  uint16_t count_ = 0;
};

inline UniqueFd python_zip(const std::string& text = "def handler(e, c): return e\n") {
  return ZipMaker().add("app.py", text).file();
}

inline FunctionSpec python_spec(const std::string& name) {
  FunctionSpec spec;
  spec.name = name;
  spec.handler = "app.handler";
  return spec;
}

inline RuntimeCatalogue python_and_node() {
  return RuntimeCatalogue({{Runtime::python3, 0, "3.11.2", "/usr/bin/python3.11"},
                           {Runtime::nodejs, 0, "20.19.2", "/usr/bin/node"}},
                          Substitute::never);
}

// A function service in a temporary folder (or in `path`), on a clock that the test moves.
struct ServiceRig {
  explicit ServiceRig(FunctionService::Options options = standard(), const std::string& path = {})
      : state(take(StateFolder::open(path.empty() ? folder.emplace().path() + "/state" : path))),
        database(take(Database::open(state.database_path()))),
        code(state, UnpackOptions{}) {
    HEARTH_ASSERT(migrate(database));
    service.emplace(database, code, state, clock, std::move(options));
    HEARTH_ASSERT(service->collect());
    service->set_listener([this](const FunctionChange& change) { changes.push_back(change); });
  }
  static FunctionService::Options standard() {
    FunctionService::Options options;
    options.runtimes = python_and_node();
    return options;
  }
  template <class T>
  static T take(Result<T> result) {
    HEARTH_ASSERT(result);
    return std::move(*result);
  }
  FunctionRecord create(const std::string& name,
                        const std::string& text = "def handler(e, c): pass\n") {
    return take(create(python_spec(name), python_zip(text)));
  }
  // Both steps of a deploy at once.
  Result<FunctionRecord> create(FunctionSpec spec, const UniqueFd& zip) {
    return service->create(std::move(spec), service->prepare_code(zip.get()));
  }
  Result<FunctionRecord> update(const std::string& name, const UniqueFd& zip,
                                const std::optional<std::string>& revision_id = {}) {
    return service->update_code(name, service->prepare_code(zip.get()), revision_id);
  }
  size_t codes() const { return take(list_names(state.code())).size(); }

  std::optional<TempFolder> folder;  // none when a path was given: it outlives a kill
  ManualClock clock;
  StateFolder state;
  Database database;
  CodeStore code;
  std::optional<FunctionService> service;
  std::vector<FunctionChange> changes;
};

}  // namespace hearth::test
