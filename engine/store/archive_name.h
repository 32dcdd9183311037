// Which names an archive's entries may have.
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/unpack.h"

namespace hearth {

// `name` in quotes with everything but printable ASCII escaped, cut at 200 bytes: for error texts.
std::string shown_name(std::string_view name);

// Checks one name (a trailing '/' marks a folder). Errors: archive_invalid.
Status check_archive_name(std::string_view name, const UnpackLimits& limits);

// The names of one archive, to find what is there twice, as a file and as a folder, or twice but
// for the case of ASCII letters: on a case-insensitive file system, or in somebody's review, those
// would be one.
class ArchiveNames {
 public:
  explicit ArchiveNames(const UnpackLimits& limits) : limits_(limits) {}

  enum class Kind : bool { file, folder };
  // Adds a checked name and the folders above it. `on_folder` is called for each folder that is
  // new, the outermost first. Errors: archive_invalid for a collision or too many files.
  template <class OnFolder>
  Status add(std::string_view name, Kind kind, OnFolder on_folder) {
    if (kind == Kind::folder && name.ends_with('/')) name.remove_suffix(1);
    for (size_t slash = name.find('/'); slash != name.npos; slash = name.find('/', slash + 1)) {
      const std::string folder(name.substr(0, slash));
      if (HEARTH_TRY(insert(folder, Kind::folder, Implied::yes))) HEARTH_TRY(on_folder(folder));
    }
    const std::string whole(name);
    const bool fresh = HEARTH_TRY(insert(whole, kind, Implied::no));
    if (fresh && kind == Kind::folder) HEARTH_TRY(on_folder(whole));
    return ok();
  }
  uint32_t size() const { return static_cast<uint32_t>(seen_.size()); }

 private:
  enum class Implied : bool { no, yes };
  struct Entry {
    std::string name;
    Kind kind;
    bool implied;  // only named as part of other names so far
  };
  Result<bool> insert(const std::string& name, Kind kind, Implied implied);
  const UnpackLimits& limits_;
  std::map<std::string, Entry> seen_;  // by the name in lower case
};

}  // namespace hearth
