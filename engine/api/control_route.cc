#include "api/control_route.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "api/function_ref.h"
#include "api/percent.h"

namespace hearth::api {
namespace {

constexpr std::string_view kFunctions = "/2015-03-31/functions";
constexpr std::string_view kHearth = "/hearth/v1";

struct Verb {
  std::string_view rest;  // what stands behind the function's name
  std::string_view method;
  ControlOp op;
};
constexpr std::array<Verb, 6> kLambdaVerbs = {{
    {"", "GET", ControlOp::get_function},
    {"", "DELETE", ControlOp::delete_function},
    {"code", "PUT", ControlOp::update_code},
    {"configuration", "GET", ControlOp::get_configuration},
    {"configuration", "PUT", ControlOp::update_configuration},
    {"versions", "GET", ControlOp::list_versions},
}};
constexpr std::array<Verb, 3> kHearthVerbs = {{
    {"", "GET", ControlOp::hearth_get},
    {"logs", "GET", ControlOp::hearth_logs},
    {"code", "GET", ControlOp::hearth_code},
}};
constexpr std::array<Verb, 5> kHearthPlain = {{
    {"functions", "GET", ControlOp::hearth_list},
    {"state", "GET", ControlOp::hearth_state},
    {"doctor", "GET", ControlOp::hearth_doctor},
    {"sandbox", "GET", ControlOp::hearth_sandbox},
    {"version", "GET", ControlOp::hearth_version},
}};

std::string_view without_slash(std::string_view path) {
  if (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

// The path behind `prefix`, without slashes at both ends; nothing when it is another path.
std::optional<std::string_view> behind(std::string_view path, std::string_view prefix) {
  if (!path.starts_with(prefix)) return std::nullopt;
  path.remove_prefix(prefix.size());
  if (!path.empty() && path.front() != '/') return std::nullopt;
  path = without_slash(path);
  if (!path.empty()) path.remove_prefix(1);
  return path;
}

std::string_view effective_method(const http::RequestHead& head) {
  return head.method == "HEAD" ? std::string_view("GET") : head.method;
}

Error not_spoken(const http::RequestHead& head) {
  return Error{Code::not_supported,
               fmt::format("{} {}: this call of the Lambda API is not spoken here", head.method,
                           head.path.substr(0, 200))};
}

// Where a path takes GET it takes HEAD.
void add_method(std::string& list, std::string_view method) {
  if (!list.empty()) list += ", ";
  list += method == "GET" ? std::string_view("GET, HEAD") : method;
}

template <size_t N>
Result<ControlOp> pick(const std::array<Verb, N>& verbs, std::string_view rest,
                       const http::RequestHead& head, const Error& unknown) {
  std::string methods;
  for (const Verb& verb : verbs) {
    if (verb.rest != rest) continue;
    if (verb.method == effective_method(head)) return verb.op;
    add_method(methods, verb.method);
  }
  if (methods.empty()) return unknown;
  return Error{Code::method_not_allowed, methods};
}

Result<std::string> function_name(std::string_view segment, const http::RequestHead& head) {
  FunctionRef ref;
  if (!parse_function_ref(segment, ref)) {
    return Error{
        Code::invalid_parameter,
        fmt::format("'{}' is neither a function's name nor its ARN", segment.substr(0, 200))};
  }
  const auto qualifier = query_value(head.query, "Qualifier");
  const std::string_view wanted = qualifier && !qualifier->empty() ? *qualifier : ref.qualifier;
  if (!is_latest(wanted)) {
    return Error{Code::version_unknown,
                 fmt::format("Function not found: {}:{}; $LATEST is the only version so far",
                             ref.name, wanted.substr(0, 128))};
  }
  return std::string(ref.name);
}

Result<ControlRoute> lambda_route(std::string_view rest, const http::RequestHead& head) {
  if (rest.empty()) {
    if (head.method == "POST") return ControlRoute{ControlOp::create_function, {}};
    if (effective_method(head) == "GET") return ControlRoute{ControlOp::list_functions, {}};
    return Error{Code::method_not_allowed, "GET, HEAD, POST"};
  }
  const size_t slash = std::min(rest.find('/'), rest.size());
  const std::string_view verb = slash == rest.size() ? std::string_view() : rest.substr(slash + 1);
  if (verb == "versions" && head.method == "POST") return not_spoken(head);
  const ControlOp op = HEARTH_TRY(pick(kLambdaVerbs, verb, head, not_spoken(head)));
  return ControlRoute{op, HEARTH_TRY(function_name(rest.substr(0, slash), head))};
}

Result<ControlRoute> hearth_route(std::string_view rest, const http::RequestHead& head) {
  const Error unknown{Code::route_unknown, std::string(head.path.substr(0, 200))};
  if (!rest.starts_with("functions/")) {
    return ControlRoute{HEARTH_TRY(pick(kHearthPlain, rest, head, unknown)), {}};
  }
  rest.remove_prefix(std::string_view("functions/").size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  const std::string_view verb = slash == rest.size() ? std::string_view() : rest.substr(slash + 1);
  const ControlOp op = HEARTH_TRY(pick(kHearthVerbs, verb, head, unknown));
  return ControlRoute{op, HEARTH_TRY(function_name(rest.substr(0, slash), head))};
}

// "/2015-03-31/": the date of an API's version, as all paths of Lambda begin.
bool is_dated(std::string_view path) {
  constexpr std::string_view kShape = "/dddd-dd-dd/";
  if (path.size() < kShape.size()) return false;
  for (size_t i = 0; i < kShape.size(); ++i) {
    const bool digit = path[i] >= '0' && path[i] <= '9';
    if (kShape[i] == 'd' ? !digit : path[i] != kShape[i]) return false;
  }
  return true;
}

}  // namespace

bool is_control_path(std::string_view path) {
  return behind(path, kHearth).has_value() || is_dated(path);
}

Result<ControlRoute> control_route(const http::RequestHead& head) {
  if (const auto rest = behind(head.path, kHearth)) return hearth_route(*rest, head);
  if (const auto rest = behind(head.path, kFunctions)) return lambda_route(*rest, head);
  return not_spoken(head);
}

bool brings_code(const http::RequestHead& head) {
  const auto rest = behind(head.path, kFunctions);
  if (!rest) return false;
  return rest->empty() ? head.method == "POST" : head.method == "PUT" && rest->ends_with("/code");
}

std::optional<std::string> query_value(std::string_view query, std::string_view key) {
  QueryPair pair;
  while (next_query_pair(query, pair)) {
    if (!percent_equal(pair.key, key, Plus::space)) continue;
    std::string value(pair.value.size(), '\0');
    value.resize(percent_decode(value.data(), pair.value, Plus::space));
    return value;
  }
  return std::nullopt;
}

}  // namespace hearth::api
