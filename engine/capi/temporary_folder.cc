#include "capi/temporary_folder.h"

#include <fmt/core.h>
#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace hearth::capi {

Result<TemporaryFolder> TemporaryFolder::make() {
  const char* configured = ::secure_getenv("TMPDIR");
  const bool usable = configured != nullptr && configured[0] == '/';
  std::string path = fmt::format("{}/hearth-XXXXXX", usable ? configured : "/tmp");
  if (::mkdtemp(path.data()) == nullptr) {
    return Error{Code::state_unusable,
                 fmt::format("a temporary folder for the state, {}: {}; set state_dir, or TMPDIR",
                             path, std::strerror(errno))};
  }
  TemporaryFolder folder;
  folder.path_ = std::move(path);
  return folder;
}

TemporaryFolder::TemporaryFolder(TemporaryFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace hearth::capi
