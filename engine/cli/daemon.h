// A daemon as the commands see it: JSON requests over http/client.h, and its refusals as Failures.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cli/output.h"
#include "http/client.h"

namespace hearth::cli {

inline constexpr milliseconds kControlTimeout{
    60'000};  // of a management request; a deploy fsyncs and unpacks

class Daemon {
 public:
  using Headers = std::vector<std::pair<std::string, std::string>>;
  // Nothing is connected before the first call. On failure `failure` is filled in.
  static std::optional<Daemon> open(const std::string& url, Failure& failure);

  // Sends one request. False: no answer came, and `failure` says why. An answer of any status is an
  // answer.
  bool call(const http::ClientRequest& request, milliseconds timeout,
            http::ClientResponse& response, Failure& failure);
  // The same with `body` as JSON (empty = none).
  bool call(std::string method, std::string target, std::string body,
            http::ClientResponse& response, Failure& failure);

  const std::string& url() const { return url_; }

 private:
  Daemon(http::Client client, std::string url) : client_(std::move(client)), url_(std::move(url)) {}
  http::Client client_;
  std::string url_;  // without a slash at the end
};

// What the daemon refused, from the status, X-Amzn-ErrorType and the body's message. `what` opens
// the message: "can't deploy hello". `name`: the function that the request was about, or empty.
Failure refusal(const http::ClientResponse& response, std::string_view what, std::string_view name);

// What answers is some other program's server: its answers are not ours.
Failure no_daemon(const Daemon& daemon);

// There is no function `name`: with the one that may have been meant, for which it asks the daemon.
Failure unknown_function(Daemon& daemon, const std::string& name);

// The names of all functions, in the daemon's order; as many as came until something went wrong.
// `timeout` is for each of its requests.
std::vector<std::string> function_names(Daemon& daemon, milliseconds timeout);

// For a query's value: what is not a letter, a digit, '-', '_' or '.' as %XX.
std::string url_encoded(std::string_view text);

// The body as JSON; a discarded value when it is none.
nlohmann::json parse_body(const http::ClientResponse& response);
// As text with two spaces of indent and a newline at the end; bytes that are not UTF-8 become
// U+FFFD.
std::string dump(const nlohmann::json& value);
// The same in one line.
std::string dump_line(const nlohmann::json& value);
// A member that is a string; empty when it is missing or something else.
std::string text_of(const nlohmann::json& object, const char* key);
// A member that is a number; `otherwise` when it is missing or something else.
double number_of(const nlohmann::json& object, const char* key, double otherwise = 0);

}  // namespace hearth::cli
