#include "dev/debugger.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>

namespace hearth::dev {
namespace {

constexpr const char* kPortVariable = "HEARTH_DEBUG_PORT";
// Where /usr/bin/python3 looks, as far as a sandbox shows it.
constexpr const char* kPythonFolders[] = {"/usr/lib/python3/dist-packages"};

bool is_folder(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace

Status prepare_for_debugger(FunctionSpec& spec, uint16_t port, const Limits& limits) {
  if (spec.runtime != Runtime::python3 && spec.runtime != Runtime::nodejs) {
    return Error{Code::invalid_parameter,
                 fmt::format("--debug is for Node and Python; for a {} function, attach gdb to its "
                             "process",
                             runtime_name(spec.runtime))};
  }
  spec.init_timeout = milliseconds(0);  // that of the engine, which is as long
  spec.timeout = std::chrono::duration_cast<milliseconds>(limits.timeout_max);
  spec.concurrency = {
      .per_worker = 1, .workers_min = 1, .workers_max = 1, .queue = spec.concurrency.queue};
  spec.environment.emplace_back(kPortVariable, std::to_string(port));
  std::sort(spec.environment.begin(), spec.environment.end());
  return ok();
}

std::string debugger_problem(const FunctionSpec& spec, const std::string& folder) {
  if (spec.runtime != Runtime::python3 || is_folder(folder + "/debugpy")) return {};
  for (const char* known : kPythonFolders) {
    if (is_folder(fmt::format("{}/debugpy", known))) return {};
  }
  return fmt::format(
      "debugpy is not installed where the function sees it; install it with "
      "/usr/bin/python3 -m pip install --target {} debugpy",
      folder);
}

}  // namespace hearth::dev
