// hearth invoke --local: one confined call without a daemon.
#include <fmt/core.h>
#include <signal.h>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/daemon.h"
#include "cli/folder_advice.h"
#include "cli/json_problem.h"
#include "dev/local.h"

namespace hearth::cli {
namespace {

using nlohmann::json;

Exit exit_of(const dev::LocalOutcome& outcome) {
  if (outcome.kind == Outcome::Kind::reply) return Exit::ok;
  if (outcome.code == Code::deadline_exceeded || outcome.code == Code::init_timeout)
    return Exit::timeout;
  if (outcome.kind == Outcome::Kind::function_error) return Exit::function_error;
  return Exit::refused;
}

void print_json(const dev::LocalOutcome& outcome, Output& output) {
  const json parsed = json::parse(outcome.payload, nullptr, /*allow_exceptions=*/false);
  const bool failed = outcome.kind != Outcome::Kind::reply;
  output.out(dump(json{{"status", failed ? info(outcome.code).http_status : 200},
                       {"error", failed ? json(name(outcome.code)) : json(nullptr)},
                       {"reply", parsed.is_discarded() ? json(outcome.payload) : parsed},
                       {"request_id", outcome.request_id},
                       {"duration_ms", static_cast<double>(outcome.exec.count()) / 1'000},
                       {"init_ms", static_cast<double>(outcome.init.count()) / 1'000},
                       {"memory_mb", (outcome.memory_bytes + (1u << 20) - 1) >> 20}}));
}

Exit finish(const InvokeOptions& options, const dev::LocalOutcome& outcome, Output& output) {
  const Exit exit = exit_of(outcome);
  if (options.json) {
    print_json(outcome, output);
    return exit;
  }
  std::string reply = shown(output, outcome.payload);
  if (output.terminal && !reply.empty()) reply += '\n';
  output.out(reply);
  if (exit != Exit::ok) {
    report(output, Failure{exit, fmt::format("{} failed: {}", outcome.function, name(outcome.code)),
                           outcome.detail, ""});
  }
  return exit;
}

Exit refuse(const InvokeOptions& options, const Error& error, Output& output) {
  const bool of_machine = error.code == Code::sandbox_unavailable ||
                          error.code == Code::runtime_unavailable ||
                          error.code == Code::state_unusable || error.code == Code::store_failed ||
                          error.code == Code::spawner_lost || error.code == Code::disk_full;
  std::string todo = folder_advice(options.local);
  if (of_machine) todo = "`hearth doctor` checks this machine";
  if (error.code == Code::body_too_large)
    todo = "send less: a larger event names where its data is";
  if (!options.env_file.empty() && error.detail.find(options.env_file) != std::string::npos)
    todo = "--env names a file that is there";
  return report(output, Failure{of_machine ? Exit::refused : Exit::usage,
                                fmt::format("can't call the function in {}", options.local),
                                folder_problem(error), todo});
}

}  // namespace

Exit run_invoke_local(const InvokeOptions& options, Output& output) {
  auto event = event_of(options);
  if (!event) {
    return report(output, Failure{Exit::usage, "can't read the event", event.error().detail,
                                  "--event FILE, --event -, or a name of `hearth event --list`"});
  }
  if (const std::string problem = json_problem(*event); !problem.empty())
    return report(output, Failure{Exit::usage, "the event is not JSON", problem,
                                  "text needs its quotes: --data '\"text\"'"});
  dev::LocalOptions local;
  local.folder = options.local;
  local.event = *std::move(event);
  local.sandbox = *sandbox_mode_from_name(options.sandbox.empty() ? "auto" : options.sandbox);
  local.env_file = options.env_file;
  local.on_line = [&output](std::string_view line) {
    std::string text = shown(output, line.ends_with('\n') ? line.substr(0, line.size() - 1) : line);
    output.err(text += '\n');
  };
  const auto outcome = dev::call_locally(local);
  if (!outcome) return refuse(options, outcome.error(), output);
  if (outcome->signal != 0) {
    // As any program that the signal ends: shells look at that.
    ::signal(outcome->signal, SIG_DFL);
    ::raise(outcome->signal);
  }
  if (!outcome->note.empty()) output.err(fmt::format("note: {}\n", shown(output, outcome->note)));
  return finish(options, *outcome, output);
}

}  // namespace hearth::cli
