// Fuzzes the unpacker: any bytes as an archive. Whatever comes out must lie inside the folder and
// within the limits.
#include <fcntl.h>
#include <sys/mman.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "store/files.h"
#include "store/unpack.h"

namespace {

// One folder for the process, emptied after each run.
struct Scratch {
  Scratch() {
    char name[] = "/dev/shm/hearth_fuzz_zip_XXXXXX";
    HEARTH_ASSERT(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~Scratch() { ::rmdir(path.c_str()); }
  std::string path;
};

const std::string& scratch() {
  static const Scratch folder;
  return folder.path;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hearth;
  const UniqueFd archive(::memfd_create("zip", MFD_CLOEXEC));
  HEARTH_ASSERT(write_all(archive.get(), {reinterpret_cast<const char*>(data), size}));
  const UniqueFd root(::open(scratch().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  UnpackLimits limits;
  limits.bytes_max = 1 << 20;
  limits.files_max = 64;
  {
    const auto folder = make_folder(root.get(), "out", 0755);
    HEARTH_ASSERT(folder);
    const auto result = unpack_zip(archive.get(), folder->get(), limits);
    uint64_t bytes = 0;
    uint32_t files = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(scratch() + "/out")) {
      HEARTH_ASSERT(entry.is_directory() || entry.is_regular_file());
      HEARTH_ASSERT(!entry.is_symlink());
      if (entry.is_regular_file()) bytes += entry.file_size();
      ++files;
    }
    HEARTH_ASSERT(bytes <= limits.bytes_max && files <= limits.files_max);
    if (result) HEARTH_ASSERT(result->bytes == bytes && result->files == files);
  }
  // Nothing beside the folder that it was given.
  const auto names = list_names(root.get());
  HEARTH_ASSERT(names && names->size() == 1);
  HEARTH_ASSERT(remove_tree(root.get(), "out"));
  return 0;
}
