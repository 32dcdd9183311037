#include "cli/daemon.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "config/nearest.h"
#include "core/function_spec.h"

namespace hearth::cli {
namespace {

constexpr int kDepthMax = 64;
constexpr size_t kBodyShown = 300;

Failure unanswered(const Error& error, const std::string& url, bool late) {
  Failure failure;
  failure.exit = late ? Exit::timeout : Exit::refused;
  if (error.code == Code::usage) failure.exit = Exit::usage;
  failure.what =
      late ? fmt::format("no answer from {} in time", url) : fmt::format("no answer from {}", url);
  failure.why = error.message();
  if (late) {
    failure.todo =
        "its log tells what it is busy with; `hearth invoke --wait` sets how long to wait";
  } else if (error.code == Code::server_unreachable) {
    // The reason alone: what to do about it comes below.
    failure.why = error.detail.substr(0, error.detail.find("; is the daemon running?"));
    failure.todo = "start one with `hearth serve`, or name another with --server or HEARTH_SERVER";
  } else {
    failure.todo = "run the command again; if it stays so, the daemon's log tells more";
  }
  return failure;
}

std::string_view advice(int status, std::string_view name) {
  switch (status) {
    case 400:
      return "correct what it names, and run the command again";
    case 403:
      return "call it from this machine, without a browser's Origin header in between";
    case 404:
      return name.empty() ? "is it a Hearth daemon? `hearth version` asks it"
                          : "`hearth list` shows the functions";
    case 409:
      return "somebody else changed the function at the same time; run the command again";
    case 413:
      return "the request is larger than the daemon takes (limits.* in hearth.yaml)";
    case 421:
      return "add the host of --server to http.allowed_hosts, or use a loopback address";
    case 429:
      return "the daemon is busy; try again later";
    case 503:
      return "try again later; the daemon's log tells more";
    case 507:
      return "free some space where the daemon's state folder is";
    default:
      return "the daemon's log tells more";
  }
}

}  // namespace

std::optional<Daemon> Daemon::open(const std::string& url, Failure& failure) {
  std::string clean = url;
  while (clean.ends_with('/')) clean.pop_back();
  auto client = http::Client::open(clean);
  if (!client) {
    failure =
        Failure{Exit::usage, fmt::format("'{}' is not a daemon's URL", url), client.error().detail,
                fmt::format("write it as {}", "http://127.0.0.1:4327")};
    return std::nullopt;
  }
  return Daemon(*std::move(client), std::move(clean));
}

bool Daemon::call(const http::ClientRequest& request, milliseconds timeout,
                  http::ClientResponse& response, Failure& failure) {
  const SystemClock clock;
  const MonotonicTime start = clock.now();
  auto answer = client_.call(request, timeout);
  if (!answer) {
    const bool late = answer.error().code == Code::io_failed && clock.now() - start >= timeout;
    failure = unanswered(answer.error(), url_, late);
    return false;
  }
  response = *std::move(answer);
  return true;
}

bool Daemon::call(std::string method, std::string target, std::string body,
                  http::ClientResponse& response, Failure& failure) {
  http::ClientRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  if (!body.empty()) request.headers.emplace_back("Content-Type", "application/json");
  request.body = std::move(body);
  return call(request, kControlTimeout, response, failure);
}

Failure refusal(const http::ClientResponse& response, std::string_view what,
                std::string_view name) {
  const nlohmann::json body = parse_body(response);
  std::string message = text_of(body, "message");
  if (message.empty()) message = text_of(body, "Message");
  if (message.empty()) message = response.body.substr(0, kBodyShown);
  Failure failure;
  failure.exit = Exit::refused;
  if (response.status == 429 || response.status == 503) failure.exit = Exit::busy;
  if (response.status == 504 || response.status == 408) failure.exit = Exit::timeout;
  failure.what = std::string(what);
  const std::string_view type = response.header("x-amzn-errortype");
  failure.why =
      fmt::format("{} (HTTP {}{}{})", message, response.status, type.empty() ? "" : ", ", type);
  failure.todo = advice(response.status, name);
  if (!body.is_object() && type.empty()) {
    failure.why = fmt::format("HTTP {}, and not as a Hearth daemon says it", response.status);
    failure.todo = "name the daemon's address with --server or HEARTH_SERVER";
  }
  return failure;
}

Failure no_daemon(const Daemon& daemon) {
  return {Exit::refused, fmt::format("{} is no Hearth daemon", daemon.url()),
          "it answers, but not what a daemon answers",
          "name the daemon's address with --server or HEARTH_SERVER; `hearth serve` prints it"};
}

std::vector<std::string> function_names(Daemon& daemon, milliseconds timeout) {
  constexpr int kPagesMax = 1'000;
  std::vector<std::string> names;
  std::string marker;
  for (int page = 0; page < kPagesMax; ++page) {
    http::ClientRequest request;
    request.target = "/2015-03-31/functions";
    if (!marker.empty()) request.target += "?Marker=" + url_encoded(marker);
    http::ClientResponse response;
    Failure ignored;
    if (!daemon.call(request, timeout, response, ignored)) return names;
    const nlohmann::json body = parse_body(response);
    if (!body.is_object() || !body.contains("Functions") || !body["Functions"].is_array())
      return names;
    for (const nlohmann::json& function : body["Functions"]) {
      const std::string name = text_of(function, "FunctionName");
      if (valid_function_name(name)) names.push_back(name);
    }
    marker = text_of(body, "NextMarker");
    if (marker.empty()) return names;
  }
  return names;
}

Failure unknown_function(Daemon& daemon, const std::string& name) {
  constexpr milliseconds kPatience{2'000};
  const std::vector<std::string> names = function_names(daemon, kPatience);
  const std::vector<std::string_view> known(names.begin(), names.end());
  const std::string_view meant = nearest(name, known);
  // Another word altogether is no help.
  const bool alike = !meant.empty() && edit_distance(name, meant) <= 1 + name.size() / 3;
  Failure failure{Exit::refused, fmt::format("there is no function '{}'", name),
                  fmt::format("the daemon at {} has {}", daemon.url(),
                              names.empty() ? "none" : fmt::format("{} others", names.size())),
                  "`hearth list` shows the functions, `hearth deploy DIR` makes one"};
  if (alike) failure.todo = fmt::format("did you mean '{}'? {}", meant, failure.todo);
  return failure;
}

std::string url_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

nlohmann::json parse_body(const http::ClientResponse& response) {
  // What is deeper than any answer of ours is not built: the parser itself has no limit.
  const auto limit = [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    return depth <= kDepthMax;
  };
  return nlohmann::json::parse(response.body, limit, /*allow_exceptions=*/false);
}

std::string dump(const nlohmann::json& value) {
  return value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string dump_line(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string text_of(const nlohmann::json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

double number_of(const nlohmann::json& object, const char* key, double otherwise) {
  if (!object.is_object()) return otherwise;
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : otherwise;
}

}  // namespace hearth::cli
