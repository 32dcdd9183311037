#include "cli/options.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "cli/help_text.h"
#include "config/config.h"
#include "config/nearest.h"
#include "config/units_text.h"
#include "core/function_spec.h"

namespace hearth::cli {
namespace {

constexpr std::string_view kCommandNames[] = {"serve", "deploy", "invoke",  "list", "delete",
                                              "logs",  "doctor", "version", "help"};

// Where the options of every command land before one is chosen.
struct Parsed {
  ServeOptions serve;
  DeployOptions deploy;
  InvokeOptions invoke;
  ListOptions list;
  DeleteOptions remove;
  LogsOptions logs;
  DoctorOptions doctor;
  VersionOptions version;
  std::string help_of;
  std::string wait;
};

void add_remote(CLI::App& command, RemoteOptions& options) {
  command.add_option("--server", options.server, "The daemon's URL")
      ->envname("HEARTH_SERVER")
      ->capture_default_str()
      ->type_name("URL");
  command.add_flag("--json", options.json, "Print JSON, for scripts");
}

void add_serve(CLI::App& app, ServeOptions& options) {
  CLI::App* serve = app.add_subcommand("serve", "Run the daemon");
  serve
      ->add_option("--config", options.config,
                   "Configuration (hearth.yaml); without it, the defaults")
      ->type_name("FILE");
  serve->add_option("--state", options.state, "State folder: functions, code, logs")
      ->type_name("DIR");
  serve
      ->add_option("--listen", options.listen,
                   "Address to listen on, loopback only (default 127.0.0.1:4327)")
      ->type_name("IP:PORT");
  serve->add_option("--sandbox", options.sandbox, "How workers are confined (default auto)")
      ->type_name("MODE");
  serve->add_flag("--i-know-this-is-unsafe", options.know_this_is_unsafe,
                  "Needed beside --sandbox off: functions run unconfined");
  serve->footer(help::kServeFooter);
}

void add_deploy(CLI::App& app, DeployOptions& options) {
  CLI::App* deploy = app.add_subcommand("deploy", "Create or update functions from folders");
  deploy->add_option("folder", options.folders, "Folders, one a function")
      ->required()
      ->type_name("DIR...");
  add_remote(*deploy, options);
  deploy->footer(help::kDeployFooter);
}

void add_invoke(CLI::App& app, InvokeOptions& options, std::string& wait) {
  CLI::App* invoke = app.add_subcommand("invoke", "Call a function and print its reply");
  invoke->add_option("name", options.name, "The function")->required()->type_name("NAME");
  invoke->add_option("--data", options.data, "The event: JSON, @FILE, or - for standard input")
      ->capture_default_str()
      ->type_name("JSON");
  invoke->add_flag("--log-tail", options.log_tail,
                   "Print the end of the call's log to standard error");
  invoke->add_option("--wait", wait, "The longest wait for an answer (default 1000s)")
      ->type_name("DURATION");
  add_remote(*invoke, options);
  invoke->footer(help::kInvokeFooter);
}

void add_small(CLI::App& app, Parsed& parsed) {
  add_remote(*app.add_subcommand("list", "List the functions"), parsed.list);
  CLI::App* remove = app.add_subcommand("delete", "Delete a function");
  remove->add_option("name", parsed.remove.name, "The function")->required()->type_name("NAME");
  add_remote(*remove, parsed.remove);
  remove->footer(help::kDeleteFooter);
  add_remote(*app.add_subcommand("version", "Print the versions of this program and of the daemon"),
             parsed.version);
  CLI::App* help = app.add_subcommand("help", "Print help, also of one command");
  help->add_option("command", parsed.help_of, "The command")->type_name("COMMAND");
}

void add_logs(CLI::App& app, LogsOptions& options) {
  CLI::App* logs = app.add_subcommand("logs", "Print what a function wrote");
  logs->add_option("name", options.name, "The function")->required()->type_name("NAME");
  logs->add_flag("--follow,-f", options.follow, "Go on printing new lines");
  logs->add_option("--request", options.request_id, "Lines of this request only")->type_name("ID");
  add_remote(*logs, options);
  logs->footer(help::kLogsFooter);
}

void add_doctor(CLI::App& app, DoctorOptions& options) {
  CLI::App* doctor =
      app.add_subcommand("doctor", "Say what this machine allows, and what the daemon has on");
  doctor
      ->add_option("--config", options.config,
                   "The hearth.yaml whose interpreters and sandbox mode to check")
      ->type_name("FILE");
  add_remote(*doctor, options);
  doctor->footer(help::kDoctorFooter);
}

Command usage(Output& output, std::string what, std::string todo) {
  return Done{report(output, Failure{Exit::usage, std::move(what), "", std::move(todo)})};
}

Command check_name(const std::string& name, Command command, Output& output) {
  if (valid_function_name(name)) return command;
  return usage(output, fmt::format("'{}' is not a function's name", name),
               "names are 1 to 64 letters, digits, '-' and '_'; `hearth list` shows them");
}

Command finish_serve(const ServeOptions& options, Output& output) {
  if (!options.sandbox.empty()) {
    const auto mode = sandbox_mode_from_name(options.sandbox);
    if (!mode) return usage(output, "--sandbox: " + mode.error().detail, "");
  }
  return options;
}

Command finish_invoke(InvokeOptions options, const std::string& wait, Output& output) {
  if (!wait.empty()) {
    const auto duration = parse_duration(wait, Bare::unit);
    if (!duration || *duration < milliseconds(1) || *duration > std::chrono::hours(24)) {
      return usage(output, fmt::format("--wait: '{}' is not allowed", wait),
                   fmt::format("write {}, up to 24h", kDurationForm));
    }
    options.wait = std::chrono::duration_cast<milliseconds>(*duration);
  }
  const std::string name = options.name;
  return check_name(name, std::move(options), output);
}

Command unknown_command(const std::string& name, Output& output) {
  return usage(output, fmt::format("'{}' is not a command", name),
               fmt::format("did you mean `hearth {}`? `hearth help` lists all",
                           nearest(name, kCommandNames)));
}

Command chosen(CLI::App& app, Parsed& parsed, Output& output) {
  const std::string name = app.get_subcommands().front()->get_name();
  if (name == "serve") return finish_serve(parsed.serve, output);
  if (name == "deploy") return parsed.deploy;
  if (name == "invoke") return finish_invoke(parsed.invoke, parsed.wait, output);
  if (name == "list") return parsed.list;
  if (name == "delete") return check_name(parsed.remove.name, parsed.remove, output);
  if (name == "logs") return check_name(parsed.logs.name, parsed.logs, output);
  if (name == "doctor") return parsed.doctor;
  if (name == "version") return parsed.version;
  if (parsed.help_of.empty()) {
    app.clear();  // else it would be the help of `help`
    output.out(app.help());
    return Done{};
  }
  const auto command =
      std::find(std::begin(kCommandNames), std::end(kCommandNames), parsed.help_of);
  if (command == std::end(kCommandNames)) return unknown_command(parsed.help_of, output);
  output.out(app.get_subcommand(parsed.help_of)->help("hearth"));
  return Done{};
}

// The command whose options were being read when the parser gave up.
std::string context(CLI::App& app) {
  const auto commands = app.get_subcommands();
  return commands.empty() ? "hearth" : fmt::format("hearth {}", commands.front()->get_name());
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

Command parse_command_line(const std::vector<std::string>& arguments, Output& output) {
  if (arguments.size() == 1 && arguments[0] == "--version") return VersionOptions{};
  Parsed parsed;
  CLI::App app(help::kProgram, "hearth");
  app.require_subcommand(1);
  app.footer(help::kProgramFooter);
  app.get_formatter()->column_width(34);
  add_serve(app, parsed.serve);
  add_deploy(app, parsed.deploy);
  add_invoke(app, parsed.invoke, parsed.wait);
  add_small(app, parsed);
  add_logs(app, parsed.logs);
  add_doctor(app, parsed.doctor);
  if (arguments.empty())
    return usage(output, "no command is given", "`hearth help` lists the commands");
  const std::string& first = arguments[0];
  if (first[0] != '-' && std::find(std::begin(kCommandNames), std::end(kCommandNames), first) ==
                             std::end(kCommandNames)) {
    return unknown_command(first, output);
  }
  // CLI11 reports by throwing; nothing else here does.
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    std::ostringstream text;
    std::ostringstream nothing;
    app.exit(CLI::CallForHelp(), text, nothing);
    output.out(text.str());
    return Done{};
  } catch (const CLI::ParseError& e) {
    return usage(output, fmt::format("{}: {}", context(app), one_line(e.what())),
                 fmt::format("{} --help", context(app)));
  }
  return chosen(app, parsed, output);
}

}  // namespace hearth::cli
