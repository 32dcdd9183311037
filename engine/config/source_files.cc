#include "config/source_files.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/read_file.h"

namespace hearth {

std::string FolderFiles::label(std::string_view file) const {
  return fmt::format("{}/{}", folder_, file);
}

bool FolderFiles::has(std::string_view file) const {
  struct stat info {};
  return ::stat(label(file).c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool FolderFiles::is_executable(std::string_view file) const {
  return ::access(label(file).c_str(), X_OK) == 0;
}

Result<std::string> FolderFiles::read(std::string_view file, size_t bytes_max) const {
  return read_file(label(file), bytes_max, Code::manifest_invalid);
}

}  // namespace hearth
