#include "store/handler_file.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

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

Error bad(std::string detail) { return Error{Code::invalid_parameter, std::move(detail)}; }

// `line`: what follows "#!". `what` names the file.
Status check_script(std::string_view line, const std::string& what) {
  line = line.substr(0, line.find('\n'));
  if (line.ends_with('\r')) {
    return bad(fmt::format("{} has the line ends of Windows: save it with those of Unix", what));
  }
  while (line.starts_with(' ') || line.starts_with('\t')) line.remove_prefix(1);
  const std::string program(line.substr(0, line.find_first_of(" \t")));
  if (!program.starts_with('/'))
    return bad(fmt::format("{} begins with #! and no absolute path behind it", what));
  // What comes with the code, or with what is mounted beside it, is there only in the sandbox.
  const bool of_system = program.starts_with("/usr/") || program.starts_with("/bin/");
  if (of_system && ::access(program.c_str(), X_OK) != 0) {
    return bad(
        fmt::format("{} is a script for {}, which is not on this machine: install it, or "
                    "change the first line",
                    what, program));
  }
  return ok();
}

std::string machine_name(uint16_t machine) {
  switch (machine) {
    case EM_X86_64:
      return "x86_64";
    case EM_AARCH64:
      return "arm64";
    case EM_386:
      return "i386";
    case EM_ARM:
      return "32-bit arm";
    case EM_RISCV:
      return "riscv";
    default:
      return fmt::format("machine {}", machine);
  }
}

// Of this machine, or a script: what the kernel would refuse is told now.
Status check_format(std::string_view begin, const std::string& what) {
#if defined(__x86_64__)
  constexpr uint16_t kOwn = EM_X86_64;
#elif defined(__aarch64__)
  constexpr uint16_t kOwn = EM_AARCH64;
#else
#error "say what the executables of this processor are"
#endif
  if (begin.starts_with("#!")) return check_script(begin.substr(2), what);
  Elf64_Ehdr head{};
  if (!begin.starts_with(std::string_view(ELFMAG, SELFMAG)) || begin.size() < sizeof head) {
    return bad(
        fmt::format("{} is neither a program (ELF) nor a script with #! and an interpreter's "
                    "path in its first line",
                    what));
  }
  begin.copy(reinterpret_cast<char*>(&head), sizeof head);
  if (head.e_machine != kOwn) {
    return bad(fmt::format("{} is a program for {}, and this machine is {}: build it for that",
                           what, machine_name(head.e_machine), machine_name(kOwn)));
  }
  if (head.e_type != ET_EXEC && head.e_type != ET_DYN)
    return bad(fmt::format("{} is an object file or a core dump, not a program", what));
  return ok();
}

Status check_executable(int code, const std::string& path, const std::string& what) {
  mode_t mode = 0;
  if (!is_file(code, path, &mode))
    return bad(fmt::format("{}: the code has no file of that name", what));
  if ((mode & 0111) == 0)
    return bad(fmt::format("{} is not executable: chmod +x it before packing", what));
  const auto fd = open_at(code, path, O_RDONLY);
  if (!fd) return fd.error();
  char begin[256];
  const ssize_t n = ::read(fd->get(), begin, sizeof begin);
  return check_format({begin, n > 0 ? static_cast<size_t>(n) : 0}, what);
}

}  // namespace

Status check_handler_file(int code, const FunctionSpec& spec) {
  switch (spec.runtime) {
    case Runtime::python3:
      return check_python(code, spec);
    case Runtime::nodejs:
      return check_node(code, spec);
    case Runtime::native:
      return check_executable(code, spec.handler, fmt::format("handler '{}'", spec.handler));
    case Runtime::custom:
      return check_executable(code, std::string(kBootstrapName), "bootstrap");
    case Runtime::host:
      break;  // has no files
  }
  return ok();
}

}  // namespace hearth
