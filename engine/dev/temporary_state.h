// A state folder for one run: below $TMPDIR or /tmp, mode 0700, gone with this object. One thread.
#pragma once
#include <string>
#include <utility>

#include "base/result.h"

namespace hearth::dev {

class TemporaryState {
 public:
  // First removes what killed runs of this user left behind: folders whose lock nobody holds.
  // Errors: io_failed.
  static Result<TemporaryState> make();
  TemporaryState(TemporaryState&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryState& operator=(TemporaryState&&) = delete;
  // The engine that used it must be gone.
  ~TemporaryState();

  const std::string& path() const { return path_; }

 private:
  explicit TemporaryState(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace hearth::dev
