// A state folder for one run of a program: below $TMPDIR or /tmp, mode 0700, gone with this object.
// Where functions may write to the host's /tmp (sandbox mode degraded): outside of it, in /var/tmp.
// For who has no folder of its own: the developer's loop, and programs with libhearth. One thread.
#pragma once
#include <string>
#include <utility>

#include "base/result.h"

namespace hearth {

class TemporaryState {
 public:
  // First removes what killed runs of this user left behind: folders made here whose state lock
  // nobody holds, at most kSweptMax of them, among the first kLookedAtMax entries of $TMPDIR.
  // Errors: state_unusable.
  enum class Place { anywhere, not_in_tmp };
  static Result<TemporaryState> make(Place place = Place::anywhere);
  // Is that folder /tmp, or below it, links followed?
  static bool in_tmp(const std::string& folder);
  TemporaryState(TemporaryState&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryState& operator=(TemporaryState&&) = delete;
  // The engine that used it must be gone.
  ~TemporaryState();

  const std::string& path() const { return path_; }

  static constexpr size_t kSweptMax = 16;
  static constexpr size_t kLookedAtMax = 10'000;

 private:
  explicit TemporaryState(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace hearth
