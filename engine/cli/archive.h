// A function's folder as a zip in memory. The same files make the same bytes: names sorted, times
// fixed, modes reduced to 644 and 755.
#pragma once
#include <cstdint>
#include <string>

#include "base/limits.h"
#include "base/result.h"

namespace hearth::cli {

// The server's defaults: what passes here is not refused there.
struct ArchiveLimits {
  uint32_t files_max = Limits{}.code_files_max;
  uint64_t unpacked_max = Limits{}.code_unpacked_max;
  uint64_t archive_max = Limits{}.code_upload_max / 4 * 3 -
                         64 * 1024;  // base64 adds a third, the request's JSON a little
  uint32_t depth_max = 64;           // folders inside each other
};

struct Archive {
  std::string zip;
  uint32_t files = 0;
  uint64_t unpacked_bytes = 0;
};

// Leaves out .git, __pycache__, *.pyc, node_modules/.cache and .DS_Store; empty folders are not
// kept. Symbolic links are followed inside of `folder`. Errors: archive_invalid (a link that leads
// out or to nowhere, a socket or device, a limit: names the file), io_failed.
Result<Archive> pack_folder(const std::string& folder, const ArchiveLimits& limits = {});

}  // namespace hearth::cli
