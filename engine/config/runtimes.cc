#include "config/runtimes.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"

namespace hearth {
namespace {

// What is looked for, and the oldest version that the shim runs on.
struct Wanted {
  std::string_view program;
  int major, minor;
  std::string_view package;
};

Wanted wanted(Runtime runtime) {
  if (runtime == Runtime::nodejs) return {"node", 18, 0, "nodejs"};
  return {"python3", 3, 9, "python3"};
}

bool below(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

bool in_home(const std::string& path) {
  if (below(path, "/home") || below(path, "/root")) return true;
  const passwd* me = ::getpwuid(::geteuid());
  const std::string_view home = me != nullptr && me->pw_dir != nullptr ? me->pw_dir : "";
  return home.size() > 1 && !below("/usr/bin", home) && below(path, home);
}

// Empty when it is an executable program that a sandbox can run; else why not.
std::string why_not(const std::string& real_path, std::string_view key) {
  const auto use = [&](std::string_view what) {
    return fmt::format(
        "{} {}; set {} to the interpreter's own executable, outside of any home folder", real_path,
        what, key);
  };
  struct stat info {};
  if (::stat(real_path.c_str(), &info) != 0)
    return fmt::format("{}: {}", real_path, std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return use("is not a regular file");
  if (::access(real_path.c_str(), X_OK) != 0) return use("is not executable");
  if (in_home(real_path)) return use("lies in a home folder, which a sandbox can't see");
  const UniqueFd fd(::open(real_path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  char magic[2] = {};
  if (fd.valid() && ::read(fd.get(), magic, sizeof magic) == 2 && magic[0] == '#' &&
      magic[1] == '!') {
    return use("is a script (a version manager's shim?)");
  }
  return {};
}

// "Python 3.11.2" and "v20.19.2" -> "3.11.2", "20.19.2"; empty if there is no such number.
std::string version_number(std::string_view text) {
  const size_t start = text.find_first_of("0123456789");
  if (start == std::string_view::npos) return {};
  text.remove_prefix(start);
  return std::string(text.substr(0, text.find_first_not_of("0123456789.")));
}

bool old(const std::string& version, const Wanted& want) {
  const int major = std::atoi(version.c_str());
  const size_t dot = version.find('.');
  const int minor = dot == std::string::npos ? 0 : std::atoi(version.c_str() + dot + 1);
  return major < want.major || (major == want.major && minor < want.minor);
}

std::string search_folders(std::string_view program, const std::vector<std::string>& folders) {
  for (const std::string& folder : folders) {
    std::string path = fmt::format("{}/{}", folder, program);
    if (::access(path.c_str(), F_OK) == 0) return path;
  }
  return {};
}

std::string joined(const std::vector<std::string>& folders) {
  std::string text;
  for (const std::string& folder : folders) text += (text.empty() ? "" : " and ") + folder;
  return text;
}

}  // namespace

RuntimeInfo find_runtime(Runtime runtime, const std::string& configured,
                         const RuntimeSearch& search) {
  RuntimeInfo info;
  info.runtime = runtime;
  info.name = runtime_name(runtime);
  if (runtime == Runtime::native) return info;
  const Wanted want = wanted(runtime);
  const std::string key = fmt::format("runtimes.{}.path", info.name);
  info.path = configured.empty() ? search_folders(want.program, search.folders) : configured;
  if (info.path.empty()) {
    info.problem = fmt::format("{} is not in {}; install the package {} or set {}", want.program,
                               joined(search.folders), want.package, key);
    return info;
  }
  char resolved[PATH_MAX];
  if (::realpath(info.path.c_str(), resolved) == nullptr) {
    info.problem = fmt::format("{}: {}; set {} to the interpreter's path", info.path,
                               std::strerror(errno), key);
    return info;
  }
  info.real_path = resolved;
  info.problem = why_not(info.real_path, key);
  if (!info.problem.empty() || !search.ask_version) return info;
  const auto printed = run_version(info.real_path, search.version_timeout);
  if (!printed) {
    info.problem = printed.error().detail;
    return info;
  }
  info.version = version_number(*printed);
  if (info.version.empty()) {
    info.problem = fmt::format("{} --version printed no version number", info.real_path);
  } else if (old(info.version, want)) {
    info.problem = fmt::format("{} is version {}; {}.{} or later is needed", info.real_path,
                               info.version, want.major, want.minor);
  }
  return info;
}

std::vector<RuntimeInfo> find_runtimes(const RuntimesConfig& config, const RuntimeSearch& search) {
  return {find_runtime(Runtime::python3, config.python3_path, search),
          find_runtime(Runtime::nodejs, config.nodejs_path, search),
          find_runtime(Runtime::native, "", search)};
}

}  // namespace hearth
