#include "api/route.h"

#include <algorithm>

#include "api/guard.h"

namespace hearth::api {
namespace {

constexpr std::string_view kFunctions = "/2015-03-31/functions/";
constexpr std::string_view kInvocations = "/invocations";
constexpr std::string_view kFn = "/fn/";

Route invoke_route(std::string_view path) {
  std::string_view rest = path.substr(kFunctions.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (!rest.ends_with(kInvocations)) return {};
  rest.remove_suffix(kInvocations.size());
  if (rest.empty() || rest.find('/') != std::string_view::npos) return {};
  return {RouteKind::invoke, rest, {}};
}

Route function_url_route(std::string_view path) {
  const std::string_view rest = path.substr(kFn.size());
  const size_t end = std::min(rest.find('/'), rest.size());
  const std::string_view behind = rest.substr(end);
  return {RouteKind::function_url, rest.substr(0, end),
          behind.empty() ? std::string_view("/") : behind};
}

}  // namespace

Route route_of(const http::RequestHead& head) {
  const std::string_view path = head.path;
  // OPTIONS *: asks about the server, and no event has such a path.
  if (!path.starts_with('/')) return {};
  if (!head.functions_only) {
    const std::string_view label = localhost_label(host_name(head.host));
    if (!label.empty()) return {RouteKind::function_host, label, path};
  }
  if (path.starts_with(kFn)) return function_url_route(path);
  if (path == "/healthz") return {RouteKind::healthz, {}, {}};
  if (head.functions_only) return {};
  if (path.starts_with(kFunctions)) return invoke_route(path);
  if (path == "/readyz") return {RouteKind::readyz, {}, {}};
  if (path == "/metrics") return {RouteKind::metrics, {}, {}};
  return {};
}

}  // namespace hearth::api
