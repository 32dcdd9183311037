#include "cli/folder_advice.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/manifest.h"

namespace hearth::cli {

std::string folder_problem(const Error& error) {
  switch (error.code) {
    case Code::io_failed:
    case Code::invalid_parameter:
    case Code::config_invalid:
    case Code::manifest_invalid:
    case Code::body_too_large:
      return error.detail.empty() ? error.message() : error.detail;
    default:
      return error.message();
  }
}

std::string folder_advice(const std::string& folder) {
  struct stat info {};
  const auto there = [&](const char* name) {
    return ::access(fmt::format("{}/{}", folder, name).c_str(), F_OK) == 0;
  };
  if (::stat(folder.c_str(), &info) != 0)
    return "name a function's folder; `hearth new TEMPLATE DIR` makes one";
  if (!S_ISDIR(info.st_mode)) return "name the folder that the file is in";
  if (there("Makefile") && there(kManifestName.data()))
    return fmt::format("if it is to be built first: make -C {}", folder);
  if (there(kManifestName.data()))
    return fmt::format("correct {}/{}; `hearth deploy --help` lists its keys", folder,
                       kManifestName);
  return "`hearth deploy --help` shows what a function's folder looks like, and `hearth new` makes "
         "one";
}

}  // namespace hearth::cli
