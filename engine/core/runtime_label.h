// The names that a runtime goes by: ours ("python3", "nodejs", "native", "custom": whatever version
// there is) and Lambda's, which name a version ("python3.12", "nodejs20.x", "provided.al2023"; a
// system's version means nothing here). Pure functions.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/function_spec.h"

namespace hearth {

// What tells apart versions that are not interchangeable: 3.12 of Python, 20 of Node (minor 0).
struct RuntimeVersion {
  int major = 0;
  int minor = 0;
  friend bool operator==(const RuntimeVersion&, const RuntimeVersion&) = default;
};

struct RuntimeLabel {
  Runtime runtime = Runtime::python3;
  std::optional<RuntimeVersion> version;  // empty: any
};

// Errors: invalid_parameter, with the names that are known; also for runtimes that Lambda knows and
// that are not run here.
Result<RuntimeLabel> parse_runtime_label(std::string_view label);

// "3.11.2" of python3 -> 3.11; "20.19.2" of nodejs -> 20. Empty: `text` has no such number.
std::optional<RuntimeVersion> runtime_version(Runtime runtime, std::string_view text);

// The name that asks for this version: "python3.11", "nodejs20.x".
std::string runtime_label_text(Runtime runtime, RuntimeVersion version);

}  // namespace hearth
