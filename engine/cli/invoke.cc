// hearth invoke: one call by the Lambda API.
#include <fmt/core.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "cli/input.h"
#include "cli/json_problem.h"
#include "config/nearest.h"
#include "kit/kit.h"

namespace hearth::cli {
namespace {

using nlohmann::json;

bool is_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && !S_ISDIR(info.st_mode);
}

// What became of the call.
struct Outcome {
  int status = 0;
  std::string error;  // empty: none
  std::string reply;
  std::string request_id;
  std::string log_tail;
  double duration_ms = 0;
};

std::string decoded(std::string_view base64) {
  std::string bytes(base64_decoded_max(base64.size()), '\0');
  const auto size = base64_decode(bytes.data(), base64);
  bytes.resize(size.value_or(0));
  return bytes;
}

// "Unhandled" says little; the error's own type is what a script wants to look at.
std::string error_of(const http::ClientResponse& response) {
  const std::string_view kind = response.header("x-amz-function-error");
  if (!kind.empty()) {
    const std::string type = text_of(parse_body(response), "errorType");
    return type.empty() ? std::string(kind) : type;
  }
  if (response.status / 100 == 2) return {};
  const std::string_view type = response.header("x-amzn-errortype");
  return type.empty() ? fmt::format("HTTP {}", response.status) : std::string(type);
}

Exit exit_of(const http::ClientResponse& response, const Outcome& outcome) {
  if (outcome.error.empty()) return Exit::ok;
  if (response.status / 100 == 2)
    return outcome.error == "Sandbox.Timedout" ? Exit::timeout : Exit::function_error;
  return refusal(response, "", "").exit;
}

void print_json(const Outcome& outcome, Output& output) {
  const json parsed = json::parse(outcome.reply, nullptr, /*allow_exceptions=*/false);
  json line{{"status", outcome.status},
            {"error", outcome.error.empty() ? json(nullptr) : json(outcome.error)},
            {"reply", parsed.is_discarded() ? json(outcome.reply) : parsed},
            {"request_id", outcome.request_id},
            {"duration_ms", outcome.duration_ms}};
  if (!outcome.log_tail.empty()) line["log_tail"] = outcome.log_tail;
  output.out(dump(line));
}

void print_text(const Outcome& outcome, Output& output) {
  std::string reply = shown(output, outcome.reply);
  // On a terminal only: what a pipe gets is the reply byte for byte.
  if (output.terminal) reply += '\n';
  output.out(reply);
}

// Line by line, so that the line ends stay and everything else is escaped.
void print_tail(const Outcome& outcome, Output& output) {
  std::string text;
  for (size_t start = 0; start < outcome.log_tail.size();) {
    const size_t end = std::min(outcome.log_tail.find('\n', start), outcome.log_tail.size());
    append_escaped(text, std::string_view(outcome.log_tail).substr(start, end - start));
    text += '\n';
    start = end + 1;
  }
  output.err(text);
}

http::ClientRequest request_of(const InvokeOptions& options, std::string event) {
  http::ClientRequest request;
  request.method = "POST";
  request.target = fmt::format("/2015-03-31/functions/{}/invocations", options.name);
  request.headers.emplace_back("Content-Type", "application/json");
  if (options.log_tail) request.headers.emplace_back("X-Amz-Log-Type", "Tail");
  request.body = std::move(event);
  return request;
}

Exit finish(const InvokeOptions& options, Daemon& daemon, const http::ClientResponse& response,
            const Outcome& outcome, Output& output) {
  const Exit exit = exit_of(response, outcome);
  if (options.json) {
    print_json(outcome, output);
    return exit;
  }
  if (!outcome.log_tail.empty()) print_tail(outcome, output);
  if (response.status == 404 && outcome.error == "ResourceNotFoundException")
    return report(output, unknown_function(daemon, options.name));
  if (response.status / 100 != 2)
    return report(output,
                  refusal(response, fmt::format("can't invoke {}", options.name), options.name));
  print_text(outcome, output);
  if (exit != Exit::ok) {
    report(output, Failure{exit, fmt::format("{} failed: {}", options.name, outcome.error),
                           text_of(parse_body(response), "errorMessage"),
                           fmt::format("`hearth logs {} --request {}` shows what it wrote",
                                       options.name, outcome.request_id)});
  }
  return exit;
}

// Some editors put a byte order mark before a file's text; it is no part of its JSON.
Result<std::string> read_event(const std::string& value) {
  std::string text = HEARTH_TRY(read_input(value));
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  return text;
}

}  // namespace

Result<std::string> event_of(const InvokeOptions& options) {
  if (options.event.empty()) return read_event(options.data);
  if (options.event == "-") return read_event("-");
  // A file wins over a sample event of the same name.
  if (is_file(options.event)) return read_event("@" + options.event);
  if (const kit::SampleEvent* sample = kit::find_sample_event(options.event))
    return std::string(sample->json);
  std::vector<std::string_view> names;
  for (const kit::SampleEvent& known : kit::sample_events()) names.push_back(known.name);
  return Error{Code::usage,
               fmt::format("'{}' is neither a file nor a sample event; the nearest event is '{}'",
                           options.event, nearest(options.event, names))};
}

Exit run_invoke(const InvokeOptions& options, Output& output) {
  if (!options.local.empty()) return run_invoke_local(options, output);
  auto event = event_of(options);
  if (!event)
    return report(output, Failure{Exit::usage, "can't read the event", event.error().detail,
                                  "name a file that is there, --data @FILE; or - for standard "
                                  "input"});
  if (const std::string problem = json_problem(*event); !problem.empty()) {
    return report(
        output,
        Failure{Exit::usage, "the event is not JSON", problem,
                "text needs its quotes: --data '\"text\"'; a file needs an @: --data @FILE"});
  }
  Failure failure;
  auto daemon = Daemon::open(options.server, failure);
  if (!daemon) return report(output, failure);
  const SystemClock clock;
  const MonotonicTime start = clock.now();
  http::ClientResponse response;
  if (!daemon->call(request_of(options, *std::move(event)), options.wait, response, failure))
    return report(output, failure);
  Outcome outcome;
  outcome.status = response.status;
  outcome.error = error_of(response);
  outcome.reply = response.body;
  outcome.request_id = response.header("x-amzn-requestid");
  outcome.log_tail = decoded(response.header("x-amz-log-result"));
  outcome.duration_ms = static_cast<double>(to_us(clock.now() - start)) / 1'000;
  return finish(options, *daemon, response, outcome, output);
}

}  // namespace hearth::cli
