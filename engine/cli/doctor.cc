// hearth doctor: what this machine allows, and what a daemon has on.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "cli/advice.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "cli/trial.h"

namespace hearth::cli {
namespace {

using nlohmann::json;

constexpr int kDepthShown = 6;

// What the daemon says, or null when none answers.
json ask_daemon(const DoctorOptions& options) {
  Failure failure;
  auto daemon = Daemon::open(options.server, failure);
  if (!daemon) return nullptr;
  http::ClientRequest request;
  request.target = "/hearth/v1/doctor";
  http::ClientResponse response;
  constexpr milliseconds kTimeout{5'000};
  if (!daemon->call(request, kTimeout, response, failure) || response.status != 200) return nullptr;
  json answer = parse_body(response);
  return answer.is_object() ? answer : json(nullptr);
}

std::string scalar(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  return value.is_null() ? "-" : value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Any JSON as indented `key: value` lines: the daemon may say more than this program knows.
void print_any(const json& value, int depth, Output& output) {
  const std::string indent(static_cast<size_t>(depth) * 2, ' ');
  if (depth > kDepthShown) return output.out(indent + "...\n");
  for (const auto& [key, member] : value.items()) {
    const std::string name = value.is_array() ? "-" : shown(output, key) + ":";
    if (!member.is_structured()) {
      output.out(fmt::format("{}{} {}\n", indent, name, shown(output, scalar(member))));
      continue;
    }
    output.out(fmt::format("{}{}\n", indent, name));
    print_any(member, depth + 1, output);
  }
}

void print_runtimes(const Trial& trial, Output& output) {
  std::vector<std::vector<std::string>> rows;
  for (const RuntimeInfo& runtime : trial.runtimes) {
    std::string where = runtime.path;
    if (runtime.runtime == Runtime::native) where = "the function's own executable";
    if (runtime.runtime == Runtime::custom) where = "the function's own bootstrap";
    if (runtime.real_path != runtime.path && !runtime.real_path.empty())
      where += " -> " + runtime.real_path;
    if (!runtime.usable()) where = runtime.problem;
    const std::string name = runtime.number == 0 ? runtime.name : runtime.name + " (by version)";
    rows.push_back({runtime.usable() ? "  ok" : "  --", name,
                    runtime.version.empty() ? "-" : runtime.version, where});
  }
  output.out("interpreters\n" + table(rows));
}

void print_sandbox(const Trial& trial, Output& output) {
  std::vector<std::vector<std::string>> rows;
  for (const sandbox::ProbeItem& item : trial.items) {
    // What stands behind is the fix, which comes below if it is needed.
    rows.push_back({item.available ? "  ok" : "  --", item.name,
                    item.detail.substr(0, item.detail.find(';'))});
  }
  if (!trial.probe_problem.empty()) rows.push_back({"  --", "probe", trial.probe_problem});
  output.out("what this machine allows\n" + table(rows));
  if (trial.layers.empty()) return;
  rows.clear();
  for (const TrialLayer& layer : trial.layers)
    rows.push_back({layer.on ? "  on " : "  off", layer.name, layer.reason});
  output.out(fmt::format("layers of a daemon here (mode {})\n{}", trial.mode, table(rows)));
}

// One line each of what is "one; two; three".
void append_list(std::string& text, const char* name, std::string_view list) {
  while (!list.empty()) {
    const size_t end = std::min(list.find("; "), list.size());
    text += fmt::format("    {:<12} {}\n", name, list.substr(0, end));
    list.remove_prefix(std::min(end + 2, list.size()));
    name = "";
  }
}

void print_missing(const std::vector<Missing>& all, Output& output) {
  if (all.empty()) return;
  std::string text = "what is missing, and the fix\n";
  const auto line = [&text](const char* name, const std::string& value) {
    if (!value.empty()) text += fmt::format("    {:<12} {}\n", name, value);
  };
  for (const Missing& missing : all) {
    text += fmt::format("  {}\n", missing.name);
    line("why", missing.why);
    append_list(text, "without it", missing.means);
    line("type", missing.command);
    line(missing.command.empty() ? "hearth.yaml" : "or in yaml", missing.config);
  }
  output.out(text);
}

json trial_json(const Trial& trial) {
  json runtimes = json::array();
  for (const RuntimeInfo& r : trial.runtimes) {
    runtimes.push_back({{"name", r.name},
                        {"default", r.number == 0},
                        {"path", r.path},
                        {"real_path", r.real_path},
                        {"version", r.version},
                        {"usable", r.usable()},
                        {"problem", r.problem}});
  }
  json probe = json::array();
  for (const sandbox::ProbeItem& item : trial.items) {
    probe.push_back({{"name", item.name},
                     {"available", item.available},
                     {"detail", item.detail},
                     {"fix", item.fix}});
  }
  json layers = json::array();
  for (const TrialLayer& layer : trial.layers)
    layers.push_back({{"name", layer.name}, {"on", layer.on}, {"reason", layer.reason}});
  return json{{"runtimes", runtimes},
              {"probe", probe},
              {"layers", layers},
              {"mode", trial.mode.empty() ? json(nullptr) : json(trial.mode)}};
}

// The last line: ready, or not and why.
std::string verdict(const Trial& trial, const std::vector<Missing>& missing, const json& daemon,
                    const std::string& url) {
  if (!trial.ready()) {
    if (missing.empty()) return "not ready: no interpreter can be used";
    return fmt::format("not ready: no {}: {}", missing.front().name, missing.front().why);
  }
  const char* unconfined = trial.mode == "off" ? " (nothing is confined)" : "";
  std::string text = fmt::format("ready: sandbox mode {}{}, functions in", trial.mode, unconfined);
  std::string lacking;
  for (const RuntimeInfo& runtime : trial.runtimes) {
    if (runtime.number != 0) continue;
    if (runtime.usable()) {
      text += fmt::format("{} {}", text.ends_with(" in") ? "" : ",", runtime.name);
    } else {
      lacking += fmt::format("; not {}: {}", runtime.name, runtime.problem);
    }
  }
  text += lacking;
  return daemon.is_null() ? text : fmt::format("{} (a daemon answers at {})", text, url);
}

json missing_json(const std::vector<Missing>& all) {
  json list = json::array();
  for (const Missing& missing : all) {
    list.push_back({{"name", missing.name},
                    {"why", missing.why},
                    {"means", missing.means},
                    {"command", missing.command},
                    {"config", missing.config},
                    {"fatal", missing.fatal}});
  }
  return list;
}

}  // namespace

Exit run_doctor(const DoctorOptions& options, Output& output) {
  Config config;
  if (!options.config.empty()) {
    auto loaded = load_config(options.config);
    if (!loaded)
      return report(
          output, Failure{Exit::usage, "the configuration can't be used", loaded.error().detail,
                          "correct the file, or leave --config out to see what the defaults give"});
    config = *std::move(loaded);
  }
  Failure failure;
  if (!Daemon::open(options.server, failure)) return report(output, failure);
  const Trial trial = try_machine(config);
  const json daemon = ask_daemon(options);
  const std::vector<Missing> missing = what_is_missing(trial, config.sandbox, read_switches());
  const std::string last = verdict(trial, missing, daemon, options.server);
  const Exit exit = trial.ready() ? Exit::ok : Exit::function_error;
  if (options.json) {
    json all = trial_json(trial);
    all["daemon"] = daemon;
    all["missing"] = missing_json(missing);
    all["ready"] = trial.ready();
    all["verdict"] = last;
    output.out(dump(all));
    return exit;
  }
  print_runtimes(trial, output);
  print_sandbox(trial, output);
  print_missing(missing, output);
  if (!daemon.is_null()) {
    output.out(fmt::format("the daemon at {}\n", options.server));
    print_any(daemon, 1, output);
  }
  output.out(shown(output, last) + "\n");
  return exit;
}

}  // namespace hearth::cli
