#include "core/start_environment.h"

#include <algorithm>
#include <array>

namespace hearth {
namespace {

// Read by ld.so and the C library.
constexpr std::array<std::string_view, 4> kOfAll = {"LD_*", "GLIBC_TUNABLES", "MALLOC_*",
                                                    "GCONV_PATH"};
constexpr std::array<std::string_view, 1> kOfPython = {"PYTHON*"};
// NODE_ENV and other names of this kind are read by the function's own code: they come with INIT.
constexpr std::array<std::string_view, 17> kOfNode = {"NODE_OPTIONS",
                                                      "NODE_PATH",
                                                      "NODE_EXTRA_CA_CERTS",
                                                      "NODE_ICU_DATA",
                                                      "NODE_DEBUG",
                                                      "NODE_DEBUG_NATIVE",
                                                      "NODE_NO_WARNINGS",
                                                      "NODE_PENDING_DEPRECATION",
                                                      "NODE_PRESERVE_SYMLINKS",
                                                      "NODE_REDIRECT_WARNINGS",
                                                      "NODE_COMPILE_CACHE",
                                                      "NODE_DISABLE_COMPILE_CACHE",
                                                      "NODE_V8_COVERAGE",
                                                      "OPENSSL_CONF",
                                                      "SSL_CERT_DIR",
                                                      "SSL_CERT_FILE",
                                                      "UV_*"};

bool matches(std::string_view pattern, std::string_view name) {
  if (!pattern.ends_with('*')) return pattern == name;
  return name.starts_with(pattern.substr(0, pattern.size() - 1));
}

template <class List>
bool in(const List& list, std::string_view name) {
  return std::any_of(list.begin(), list.end(),
                     [name](std::string_view pattern) { return matches(pattern, name); });
}

}  // namespace

bool counts_at_start(Runtime runtime, std::string_view name) {
  if (in(kOfAll, name)) return true;
  if (runtime == Runtime::python3) return in(kOfPython, name);
  return runtime == Runtime::nodejs && in(kOfNode, name);
}

std::string_view start_variable(const FunctionSpec& spec) {
  for (const auto& [name, value] : spec.environment)
    if (counts_at_start(spec.runtime, name)) return name;
  return {};
}

bool starts_with_environment(const FunctionSpec& spec) {
  if (spec.runtime == Runtime::custom) return true;
  if (spec.runtime == Runtime::native) return !spec.environment.empty();
  return has_interpreter(spec.runtime) && !start_variable(spec).empty();
}

}  // namespace hearth
