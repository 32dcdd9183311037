#include "dev/tree.h"

#include <dirent.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "config/manifest.h"
#include "config/read_file.h"

namespace hearth::dev {
namespace {

constexpr std::string_view kIgnoredFolders[] = {"node_modules", "__pycache__", "venv"};
constexpr const char* kStartFiles[] = {"function.yaml", "app.py",    "lambda_function.py",
                                       "index.mjs",     "index.cjs", "index.js"};

bool is_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

// The package.json of a repository that holds functions names no `main`.
bool has_package_main(const std::string& folder) {
  const std::string path = folder + "/package.json";
  if (!is_file(path)) return false;
  const auto text = read_file(path, 1u << 20, Code::manifest_invalid);
  if (!text) return false;
  const auto main = package_main(*text, path);
  return main && main->has_value();
}

Status search(const std::string& folder, int depth, std::vector<std::string>& found) {
  if (is_function_folder(folder)) {
    if (found.size() == kTreeFunctionsMax) {
      return Error{Code::invalid_parameter,
                   fmt::format("it holds more than {} functions; name a folder with fewer",
                               kTreeFunctionsMax)};
    }
    found.push_back(folder);
    return ok();
  }
  if (depth == kTreeDepthMax) return ok();
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  if (dir == nullptr) {
    if (depth > 0) return ok();  // not ours to read, or gone meanwhile
    return Error{Code::io_failed, fmt::format("{}: {}", folder, std::strerror(errno))};
  }
  while (const dirent* entry = ::readdir(dir.get())) {
    if (is_ignored_folder(entry->d_name)) continue;
    const std::string path = fmt::format("{}/{}", folder, entry->d_name);
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) continue;
    HEARTH_TRY(search(path, depth + 1, found));
  }
  return ok();
}

}  // namespace

bool is_ignored_folder(std::string_view name) {
  return name.starts_with('.') || std::find(std::begin(kIgnoredFolders), std::end(kIgnoredFolders),
                                            name) != std::end(kIgnoredFolders);
}

bool is_ignored_file(std::string_view name) {
  if (name == ".DS_Store" || name == "4913") return true;  // 4913: vim tries whether it may write
  if (name.starts_with(".#") || name.starts_with("#") || name.starts_with(".goutputstream-"))
    return true;
  for (const std::string_view end : {"~", ".swp", ".swo", ".swx", ".swpx", ".pyc", "___jb_tmp___",
                                     "___jb_old___", ".kate-swp"}) {
    if (name.ends_with(end)) return true;
  }
  return false;
}

bool is_function_folder(const std::string& folder) {
  for (const char* name : kStartFiles) {
    if (is_file(fmt::format("{}/{}", folder, name))) return true;
  }
  return has_package_main(folder);
}

Result<std::vector<std::string>> find_function_folders(const std::string& root) {
  std::vector<std::string> found;
  HEARTH_TRY(search(root, 0, found));
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace hearth::dev
