#include "config/runtimes.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/unique_fd.h"
#include "core/runtime_label.h"

namespace hearth {
namespace {

// What is looked for, and the oldest version that the shim runs on.
struct Wanted {
  std::string_view program;
  int major, minor;
  std::string_view package;
};

Wanted wanted(Runtime runtime) {
  if (runtime == Runtime::nodejs) return {"node", 10, 0, "nodejs"};
  return {"python3", 3, 6, "python3"};
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
  if (below(real_path, "/tmp")) return use("lies in /tmp, of which a sandbox has its own");
  // "/opt/python/bin/python3": what the interpreter needs beside it is in "/opt/python".
  const size_t folder = real_path.rfind('/');
  if (!below(real_path, "/usr") && real_path.rfind('/', folder - 1) == 0 &&
      real_path.compare(0, 5, "/bin/") != 0)
    return use("has no folder of its own: it must lie in /usr or in a bin folder below its prefix");
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

// Programs of other versions in the folders: python3.N; a second `node`. Newest Python first.
std::vector<std::string> other_programs(Runtime runtime, const std::vector<std::string>& folders) {
  std::vector<std::pair<int, std::string>> found;
  for (const std::string& folder : folders) {
    if (runtime == Runtime::nodejs) {
      std::string path = folder + "/node";
      if (::access(path.c_str(), F_OK) == 0) found.emplace_back(0, std::move(path));
      continue;
    }
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
      const std::string name = entry.path().filename();
      const auto label = parse_runtime_label(name);
      if (label && label->runtime == Runtime::python3 && label->version)
        found.emplace_back(-label->version->minor, entry.path());
    }
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> paths;
  for (auto& [order, path] : found) paths.push_back(std::move(path));
  return paths;
}

void find_others(Runtime runtime, const RuntimeConfig& config, const RuntimeSearch& search,
                 std::vector<RuntimeInfo>& found) {
  uint8_t number = 1;
  const auto add = [&](const std::string& path, bool named) {
    if (number == kInterpretersMax) return;
    RuntimeInfo info = find_runtime(runtime, path, search);
    const bool known = std::any_of(found.begin(), found.end(), [&](const RuntimeInfo& other) {
      return other.runtime == runtime && other.usable() && other.real_path == info.real_path;
    });
    if (known || (!named && !info.usable())) return;
    RuntimeInfo& first = found[static_cast<size_t>(runtime)];
    if (config.path.empty() && !first.usable() && info.usable()) {
      first = std::move(info);  // there is no python3, but a python3.12
      return;
    }
    info.number = number++;
    found.push_back(std::move(info));
  };
  for (const std::string& path : config.others) add(path, true);
  for (const std::string& path : other_programs(runtime, search.folders)) add(path, false);
}

}  // namespace

RuntimeInfo find_runtime(Runtime runtime, const std::string& configured,
                         const RuntimeSearch& search) {
  RuntimeInfo info;
  info.runtime = runtime;
  info.name = runtime_name(runtime);
  if (!has_interpreter(runtime)) return info;
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
  std::vector<RuntimeInfo> found = {find_runtime(Runtime::python3, config.python3.path, search),
                                    find_runtime(Runtime::nodejs, config.nodejs.path, search),
                                    find_runtime(Runtime::native, "", search),
                                    find_runtime(Runtime::custom, "", search)};
  find_others(Runtime::python3, config.python3, search, found);
  find_others(Runtime::nodejs, config.nodejs, search, found);
  return found;
}

std::string version_of(const std::string& program) {
  const auto printed = run_version(program, RuntimeSearch{}.version_timeout);
  return printed ? version_number(*printed) : std::string();
}

std::vector<Interpreter> interpreters(const std::vector<RuntimeInfo>& found) {
  std::vector<Interpreter> out;
  for (const RuntimeInfo& info : found) {
    if (has_interpreter(info.runtime) && info.usable())
      out.push_back({info.runtime, info.number, info.version, info.real_path});
  }
  return out;
}

}  // namespace hearth
