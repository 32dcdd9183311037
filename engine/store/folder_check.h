// Looks at what the unpacker left in its folder. Its word is not taken for it: a process that an
// archive took over could have made anything that its confinement lets it make.
#pragma once
#include "base/result.h"
#include "store/unpack.h"

namespace hearth {

// Plain files with one name, 0644 or 0755, and folders, 0755, as many of them and as large as
// `said`. Errors: unpack_failed, io_failed.
Status check_folder(int folder, const Unpacked& said, const UnpackLimits& limits);

}  // namespace hearth
