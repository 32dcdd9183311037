// A function's files as a zip in memory. The same files make the same bytes: names sorted, times
// fixed, modes reduced to 644 and 755.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"

namespace hearth {

struct ArchiveLimits {
  uint32_t files_max = Limits{}.code_files_max;
  uint64_t unpacked_max = Limits{}.code_unpacked_max;
  uint64_t archive_max = Limits{}.code_upload_max;
  uint32_t depth_max = 64;  // folders inside each other
};
// What an engine with these limits takes.
ArchiveLimits archive_limits(const Limits& limits);
// What fits into a request of the management API at a server's defaults: base64 adds a third, the
// request's JSON a little.
ArchiveLimits upload_limits();

struct Archive {
  std::string zip;
  uint32_t files = 0;
  uint64_t unpacked_bytes = 0;
};

// Leaves out .git, __pycache__, *.pyc, node_modules/.cache and .DS_Store; empty folders are not
// kept. Symbolic links are followed inside of `folder`. Errors: archive_invalid (a link that leads
// out or to nowhere, a socket or device, a limit: names the file), io_failed.
Result<Archive> pack_folder(const std::string& folder,
                            const ArchiveLimits& limits = upload_limits());

// A file that exists in memory only. `path` is relative, with '/'; `content` must stay valid for as
// long as this is used.
struct MemoryFile {
  std::string path;
  std::string_view content;
  bool executable = false;
};

// Every file of `files` goes in. Errors: archive_invalid: no file, a path that is absolute, empty,
// has "." or ".." or an empty part, is there twice or is also a folder; a limit.
Result<Archive> pack_files(const std::vector<MemoryFile>& files,
                           const ArchiveLimits& limits = upload_limits());

}  // namespace hearth
