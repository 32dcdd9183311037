// hearth list
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/daemon.h"
#include "cli/function_json.h"
#include "config/units_text.h"

namespace hearth::cli {
namespace {

using nlohmann::json;

constexpr int kPagesMax = 10'000;  // a daemon that always says "more" ends here

// All pages. False: `failure` says why not.
bool fetch(Daemon& daemon, json& functions, Failure& failure) {
  std::string marker;
  for (int page = 0; page < kPagesMax; ++page) {
    const std::string query = marker.empty() ? "" : "?Marker=" + url_encoded(marker);
    http::ClientResponse response;
    if (!daemon.call("GET", "/2015-03-31/functions" + query, "", response, failure)) return false;
    if (response.status != 200) {
      failure = refusal(response, "can't list the functions", "");
      return false;
    }
    json body = parse_body(response);
    if (!body.is_object() || !body.contains("Functions") || !body["Functions"].is_array()) {
      failure = no_daemon(daemon);
      return false;
    }
    for (json& function : body["Functions"]) functions.push_back(std::move(function));
    marker = text_of(body, "NextMarker");
    if (marker.empty()) return true;
  }
  return true;
}

std::string timeout_text(const json& function) {
  const json hearth =
      function.is_object() && function.contains("Hearth") ? function["Hearth"] : json();
  const double ms = number_of(hearth, "TimeoutMs", number_of(function, "Timeout") * 1'000);
  return format_duration(milliseconds(static_cast<int64_t>(ms)));
}

// "python3.12", and what runs it if that is something else.
std::string runtime_text(const json& function) {
  std::string text = text_of(function, "Runtime");
  if (text_of(function, "State") == "Failed") return text + " (not there)";
  if (substitution_note(function).empty()) return text;
  return fmt::format("{} (on {})", text, text_of(function["Hearth"], "InterpreterVersion"));
}

void print_table(const json& functions, Output& output) {
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "RUNTIME", "HANDLER", "TIMEOUT", "MEMORY", "REVISION", "MODIFIED"}};
  for (const json& f : functions) {
    std::vector<std::string> row = {
        text_of(f, "FunctionName"),
        runtime_text(f),
        text_of(f, "Handler"),
        timeout_text(f),
        fmt::format("{}MB", static_cast<int64_t>(number_of(f, "MemorySize"))),
        short_revision(f),
        text_of(f, "LastModified")};
    for (std::string& cell : row) cell = shown(output, cell);
    rows.push_back(std::move(row));
  }
  output.out(table(rows));
}

}  // namespace

Exit run_list(const ListOptions& options, Output& output) {
  Failure failure;
  auto daemon = Daemon::open(options.server, failure);
  json functions = json::array();
  if (!daemon || !fetch(*daemon, functions, failure)) return report(output, failure);
  if (options.json) {
    output.out(dump(functions));
  } else if (functions.empty()) {
    output.err("no functions yet: `hearth deploy DIR` makes one\n");
  } else {
    print_table(functions, output);
  }
  return Exit::ok;
}

}  // namespace hearth::cli
