// Which functions a folder holds, and which of its entries do not matter. Reads the disk; any
// thread.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::dev {

inline constexpr int kTreeDepthMax = 6;           // folders between the root and a function
inline constexpr size_t kTreeFunctionsMax = 200;  // more of them are not a developer's tree

// Folders that hold no code of the developer's: not looked into, and not watched.
bool is_ignored_folder(std::string_view name);
// Files that editors and interpreters make beside the code: their changes are no reason to reload.
bool is_ignored_file(std::string_view name);

// Is there a function.yaml, or a file that a runtime starts with?
bool is_function_folder(const std::string& folder);

// `root` alone when it is a function's folder; else every function's folder below it, sorted.
// Symbolic links to folders are not followed. Errors: io_failed (root is no folder),
// invalid_parameter (more than kTreeFunctionsMax). None at all is no error: one may come.
Result<std::vector<std::string>> find_function_folders(const std::string& root);

}  // namespace hearth::dev
