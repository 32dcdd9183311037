// Unpacks a zip archive, which is hostile input, into an empty folder. Depends on nothing but its
// two descriptors, so that it can run in a confined process. Any thread; no shared state.
#pragma once
#include <cstdint>

#include "base/result.h"
#include "base/units.h"

namespace hearth {

struct UnpackLimits {
  uint64_t bytes_max = mebibytes(250);  // limits.code_unpacked: sum of the unpacked files
  uint32_t files_max = 20'000;          // limits.code_files: files and folders
  uint32_t ratio_max = 250;             // unpacked / archive, looked at above ratio_from
  uint64_t ratio_from = mebibytes(16);
  uint32_t name_max = 1'024;  // bytes of a path inside the archive
  uint32_t part_max = 255;    // bytes of one of its components
  uint32_t depth_max = 64;    // components
};

struct Unpacked {
  uint64_t bytes = 0;
  uint32_t files = 0;  // folders included
};

// Writes the files of `archive` (any readable, seekable descriptor) below `folder`: files 0644, or
// 0755 when the archive marks them executable by anyone, folders 0755. Nothing else of the
// archive's modes, owners and times is taken over. Refused with archive_invalid, naming the entry:
// absolute names, "..", ".", empty components, backslashes, control characters, names that are not
// UTF-8, names that are there twice or differ in case only, symbolic links, devices, setuid and
// setgid files, encrypted entries, unknown methods, wrong sizes and checksums, overlapping entries,
// and what passes a limit. unpack_failed: out of memory. On an error what was written so far stays;
// the caller removes the folder.
Result<Unpacked> unpack_zip(int archive, int folder, const UnpackLimits& limits);

}  // namespace hearth
