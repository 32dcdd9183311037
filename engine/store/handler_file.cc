#include "store/handler_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <vector>

#include "store/files.h"

namespace hearth {
namespace {

bool is_file(int code, const std::string& path, mode_t* mode = nullptr) {
  struct stat status {};
  if (::fstatat(code, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return false;
  if (mode != nullptr) *mode = status.st_mode;
  return S_ISREG(status.st_mode);
}

Status any_of(int code, const FunctionSpec& spec, const std::vector<std::string>& candidates) {
  std::string tried;
  for (const auto& path : candidates) {
    if (is_file(code, path)) return ok();
    tried += tried.empty() ? path : ", " + path;
  }
  return Error{Code::invalid_parameter,
               fmt::format("handler '{}': the code has none of {}", spec.handler, tried)};
}

// MODULE.so, MODULE.cpython-311-x86_64-linux-gnu.so, MODULE.pyc: importable as well.
bool is_binary_module(int code, const std::string& module) {
  const size_t slash = module.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : module.substr(0, slash);
  const std::string prefix = module.substr(slash == std::string::npos ? 0 : slash + 1) + ".";
  const auto fd = open_at(code, folder, O_RDONLY | O_DIRECTORY);
  if (!fd) return false;
  const auto names = list_names(fd->get());
  if (!names) return false;
  return std::any_of(names->begin(), names->end(), [&](const std::string& name) {
    return name.starts_with(prefix) && (name.ends_with(".so") || name == prefix + "pyc");
  });
}

Status check_python(int code, const FunctionSpec& spec) {
  std::string module = spec.handler.substr(0, spec.handler.rfind('.'));
  std::replace(module.begin(), module.end(), '.', '/');
  if (is_binary_module(code, module)) return ok();
  return any_of(code, spec, {module + ".py", module + "/__init__.py"});
}

Status check_node(int code, const FunctionSpec& spec) {
  // The file's name ends at the first dot of the last component: "src/app.handler.inner".
  const size_t slash = spec.handler.rfind('/');
  const size_t dot = spec.handler.find('.', slash == std::string::npos ? 0 : slash);
  if (dot == std::string::npos) {
    return Error{
        Code::invalid_parameter,
        fmt::format("handler '{}' names no function: write it as file.function", spec.handler)};
  }
  const std::string file = spec.handler.substr(0, dot);
  return any_of(code, spec, {file + ".mjs", file + ".cjs", file + ".js"});
}

Status check_native(int code, const FunctionSpec& spec) {
  mode_t mode = 0;
  if (!is_file(code, spec.handler, &mode)) {
    return Error{Code::invalid_parameter,
                 fmt::format("handler '{}': the code has no file of that name", spec.handler)};
  }
  if ((mode & 0111) == 0) {
    return Error{
        Code::invalid_parameter,
        fmt::format("handler '{}' is not executable: chmod +x it before packing", spec.handler)};
  }
  return ok();
}

}  // namespace

Status check_handler_file(int code, const FunctionSpec& spec) {
  switch (spec.runtime) {
    case Runtime::python3:
      return check_python(code, spec);
    case Runtime::nodejs:
      return check_node(code, spec);
    case Runtime::native:
      return check_native(code, spec);
    case Runtime::host:
      break;  // has no files
  }
  return ok();
}

}  // namespace hearth
