#include "worker/runtime_api_route.h"

#include <algorithm>

#include "base/base64.h"
#include "base/json_scanner.h"
#include "base/json_text.h"

namespace hearth::worker {
namespace {

constexpr std::string_view kVersion = "/2018-06-01/runtime/";
constexpr size_t kMessageMax = 1'000;  // bytes of a body that is no JSON

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

ApiRoute only(std::string_view method, std::string_view wanted, ApiRoute route) {
  if (method != wanted) route.kind = ApiRoute::Kind::wrong_method;
  return route;
}

// As a header's value may have it. Control characters stand for themselves only between the tokens
// of JSON, and nowhere in the rest.
std::string as_header(std::string_view text) {
  std::string out(text);
  std::replace_if(
      out.begin(), out.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return out;
}

bool read_string(JsonScanner& scanner, std::string& to) {
  JsonString text;
  if (!scanner.string(text)) return false;
  to.resize(text.raw.size());
  to.resize(json_unescape(to.data(), text.raw));
  to = as_header(to);
  return true;
}

bool is_object(std::string_view text) {
  JsonScanner scanner(text);
  return scanner.peek() == JsonScanner::Kind::object && scanner.skip_value() && scanner.at_end();
}

bool letters(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
}

std::string_view known_type(std::string_view type) {
  std::string_view name = type;
  const bool function = take(name, "Function.");
  if (!function && !take(name, "Runtime.")) return "Runtime.Unknown";
  const bool good = name.size() >= 2 && name.front() >= 'A' && name.front() <= 'Z' && letters(name);
  if (good) return type;
  return function ? "Function.Unknown" : "Runtime.Unknown";
}

}  // namespace

ApiRoute api_route(std::string_view method, std::string_view path) {
  using Kind = ApiRoute::Kind;
  std::string_view rest = path;
  if (rest == "/ping" || rest == "/2018-06-01/ping") return only(method, "GET", {Kind::ping, {}});
  if (!take(rest, kVersion)) return {};
  if (rest == "init/error") return only(method, "POST", {Kind::init_error, {}});
  if (!take(rest, "invocation/")) return {};
  if (rest == "next") return only(method, "GET", {Kind::next, {}});
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return {};
  const std::string_view what = rest.substr(slash + 1);
  const std::string_view id = rest.substr(0, slash);
  if (what == "response") return only(method, "POST", {Kind::response, id});
  if (what == "error") return only(method, "POST", {Kind::error, id});
  return {};
}

ApiContext api_context(std::string_view extension) {
  ApiContext out;
  JsonScanner scanner(extension);
  if (extension.empty() || !scanner.enter(JsonScanner::Kind::object)) return out;
  JsonString key;
  while (scanner.next_member(key) == JsonScanner::Step::item) {
    std::string_view raw;
    bool good = true;
    if (key.raw == "traceId") {
      good = read_string(scanner, out.trace_id);
    } else if (key.raw == "arn") {
      good = read_string(scanner, out.arn);
    } else {
      good = scanner.skip_value(&raw);
      if (key.raw == "clientContext") out.client_context = as_header(raw);
    }
    if (!good) break;
  }
  return out;
}

std::string error_json(std::string_view type, std::string_view message) {
  std::string out = R"({"errorMessage":)";
  append_json_string(out, message);
  out += R"(,"errorType":)";
  append_json_string(out, type);
  out += '}';
  return out;
}

std::string api_error_json(std::string_view body, std::string_view type) {
  if (is_object(body)) return std::string(body);
  return error_json(known_type(type), body.substr(0, kMessageMax));
}

std::string api_trailer_error_json(std::string_view body, std::string_view type) {
  std::string decoded(base64_decoded_max(body.size()), '\0');
  const auto size = base64_decode(decoded.data(), body);
  if (!size) return api_error_json(body, type);
  decoded.resize(*size);
  return api_error_json(decoded, type);
}

}  // namespace hearth::worker
