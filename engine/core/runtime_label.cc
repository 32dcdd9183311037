#include "core/runtime_label.h"

#include <fmt/core.h>

#include <charconv>

namespace hearth {
namespace {

constexpr std::string_view kKnown =
    "python3, python3.N, nodejs, nodejsN.x, native, custom and provided.al2023 are known";
constexpr size_t kShown = 64;  // of a label in a message

// A whole number of at most four digits at the front of `text`, which it is cut off from.
std::optional<int> take_number(std::string_view& text) {
  int value = 0;
  const char* begin = text.data();
  const auto [end, error] = std::from_chars(begin, begin + text.size(), value);
  const auto digits = static_cast<size_t>(end - begin);
  if (error != std::errc() || digits > 4 || *begin == '-') return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

Error bad(std::string_view label, std::string_view why) {
  return Error{Code::invalid_parameter, fmt::format("'{}': {}", label.substr(0, kShown), why)};
}

}  // namespace

Result<RuntimeLabel> parse_runtime_label(std::string_view label) {
  if (const auto runtime = runtime_from_name(label)) return RuntimeLabel{*runtime, std::nullopt};
  std::string_view rest = label;
  if (take(rest, "python3.")) {
    const auto minor = take_number(rest);
    if (minor && rest.empty()) return RuntimeLabel{Runtime::python3, RuntimeVersion{3, *minor}};
  } else if (take(rest, "nodejs")) {
    const auto major = take_number(rest);
    if (major && rest == ".x") return RuntimeLabel{Runtime::nodejs, RuntimeVersion{*major, 0}};
  } else if (rest == "provided" || rest == "provided.al2" || rest == "provided.al2023") {
    return RuntimeLabel{Runtime::custom, std::nullopt};
  }
  return bad(label, kKnown);
}

std::optional<RuntimeVersion> runtime_version(Runtime runtime, std::string_view text) {
  const auto major = take_number(text);
  if (!major) return std::nullopt;
  if (runtime != Runtime::python3) return RuntimeVersion{*major, 0};
  if (!take(text, ".")) return std::nullopt;
  const auto minor = take_number(text);
  if (!minor) return std::nullopt;
  return RuntimeVersion{*major, *minor};
}

std::string runtime_label_text(Runtime runtime, RuntimeVersion version) {
  if (runtime == Runtime::nodejs) return fmt::format("nodejs{}.x", version.major);
  return fmt::format("python{}.{}", version.major, version.minor);
}

}  // namespace hearth
