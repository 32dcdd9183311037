// Small tools over file descriptors and folders, for the store's modules. Every function may be
// called from any thread. Paths are relative to a folder's descriptor, so that nothing is followed
// out of it. Errors: io_failed, or disk_full for ENOSPC and EDQUOT; `detail` names the path.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hearth {

// The error for the current errno, as "<what>: <errno's text>".
Error os_error(std::string_view what);

// Adds O_CLOEXEC and O_NOFOLLOW.
Result<UniqueFd> open_at(int folder, const std::string& path, int flags, mode_t mode = 0);

// Makes the folder unless it is there, with exactly `mode`, and opens it.
Result<UniqueFd> make_folder(int folder, const std::string& name, mode_t mode);

// Writes all of it at the file's position.
Status write_all(int fd, std::string_view bytes);

// fsync.
Status sync_file(int fd, std::string_view what);

// Makes everything under `folder`, itself included, durable.
Status sync_tree(int folder);

// Removes a file or a folder with all that it holds. What is not there is fine.
Status remove_tree(int folder, const std::string& name);

// Names in the folder but "." and "..", sorted.
Result<std::vector<std::string>> list_names(int folder);

// A file without a name in `folder`, open for reading and writing, mode 0600.
Result<UniqueFd> temporary_file(int folder);

// 32 hex digits from the kernel's random generator.
std::string random_name();

}  // namespace hearth
