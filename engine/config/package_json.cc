#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "config/manifest.h"

namespace hearth {
namespace {

constexpr int kDepthMax = 64;

// A relative path without "..", as "./src/a.js" -> "src/a.js"; empty when it is anything else.
std::string clean_path(std::string_view path) {
  if (path.starts_with("./")) path.remove_prefix(2);
  for (size_t start = 0; start <= path.size();) {
    const size_t end = std::min(path.find('/', start), path.size());
    const std::string_view part = path.substr(start, end - start);
    if (part.empty() || part == "." || part == "..") return {};
    start = end + 1;
  }
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return {};
  }
  return std::string(path);
}

}  // namespace

Result<std::optional<std::string>> package_main(std::string_view text, std::string_view file) {
  const auto bad = [&](std::string_view problem) {
    return Error{Code::manifest_invalid, fmt::format("{}: {}", file, problem)};
  };
  // The parser itself has no limit of depth, and freeing a deep tree is slow: what lies deeper is
  // never built.
  bool deep = false;
  const auto limit = [&deep](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    deep = deep || depth > kDepthMax;
    return depth <= kDepthMax;
  };
  const nlohmann::json package = nlohmann::json::parse(text, limit, /*allow_exceptions=*/false);
  if (deep) return bad(fmt::format("more than {} levels inside each other", kDepthMax));
  if (!package.is_object()) return bad("this is not a JSON object");
  const auto main = package.find("main");
  if (main == package.end()) return std::optional<std::string>();
  std::string path =
      main->is_string() ? clean_path(main->get_ref<const std::string&>()) : std::string();
  if (path.empty()) return bad("main: write a path to a file inside of this folder");
  return std::optional<std::string>(std::move(path));
}

}  // namespace hearth
