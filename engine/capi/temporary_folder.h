// A state folder of one engine alone, gone with it.
#pragma once
#include <string>

#include "base/result.h"

namespace hearth::capi {

class TemporaryFolder {
 public:
  TemporaryFolder() = default;
  ~TemporaryFolder();
  TemporaryFolder(TemporaryFolder&& other) noexcept;
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;

  // hearth-XXXXXX, mode 0700, below $TMPDIR when that is absolute, else /tmp. Errors:
  // state_unusable.
  static Result<TemporaryFolder> make();
  // Empty: there is none.
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace hearth::capi
