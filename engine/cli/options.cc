#include "cli/options.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "cli/command_table.h"
#include "cli/help_text.h"
#include "config/config.h"
#include "config/nearest.h"
#include "config/units_text.h"
#include "core/function_spec.h"
#include "kit/kit.h"

namespace hearth::cli {
namespace {

constexpr std::string_view kCommandNames[] = {"serve",  "dev",        "deploy", "invoke",  "list",
                                              "delete", "logs",       "doctor", "version", "new",
                                              "event",  "completion", "help"};

// Where the options of every command land before one is chosen.
struct Parsed {
  ServeOptions serve;
  DevOptions dev;
  DeployOptions deploy;
  InvokeOptions invoke;
  ListOptions list;
  DeleteOptions remove;
  LogsOptions logs;
  DoctorOptions doctor;
  VersionOptions version;
  NewOptions fresh;
  EventOptions event;
  CompletionOptions completion;
  std::string help_of;
  bool help_man = false;
  std::string wait;
};

void add_remote(CLI::App& command, RemoteOptions& options) {
  command.add_option("--server", options.server, "The daemon's URL")
      ->envname("HEARTH_SERVER")
      ->capture_default_str()
      ->type_name("URL");
  command.add_flag("--json", options.json, "Print JSON, for scripts");
}

void add_unsafe(CLI::App& command, bool& known) {
  command.add_flag("--i-know-this-is-unsafe", known,
                   "Needed beside --sandbox off: functions run unconfined");
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
  add_unsafe(*serve, options.know_this_is_unsafe);
  serve->footer(help::kServeFooter);
}

// A port's number, 0 to 65535 or 1 to 65535. CLI11 itself takes an empty word for 0.
CLI::Validator port_from(uint64_t least) {
  return CLI::Validator(
      [least](std::string& word) {
        const auto port = parse_whole(word);
        return port && *port >= least && *port <= UINT16_MAX
                   ? std::string()
                   : fmt::format("'{}' is not a port: {} to {}", word, least, UINT16_MAX);
      },
      "");
}

void add_dev(CLI::App& app, DevOptions& options) {
  CLI::App* dev =
      app.add_subcommand("dev", "Serve a folder's functions, and load each save at once");
  dev->add_option("folder", options.folder, "A function's folder, or a tree of them (default .)")
      ->type_name("DIR");
  dev->add_option("--port", options.port, "Port on 127.0.0.1; 0 takes a free one")
      ->capture_default_str()
      ->check(port_from(0))
      ->type_name("PORT");
  dev->add_option("--debug", options.debug_port,
                  "Open the Node inspector or debugpy at this port of 127.0.0.1")
      ->check(port_from(1))
      ->type_name("PORT");
  dev->add_option("--sandbox", options.sandbox, "How workers are confined (default auto)")
      ->type_name("MODE");
  add_unsafe(*dev, options.know_this_is_unsafe);
  dev->add_option("--env", options.env_file, "Environment over each folder's .env")
      ->type_name("FILE");
  dev->add_flag("--json", options.json, "Print one JSON object a line");
  dev->footer(help::kDevFooter);
}

void add_deploy(CLI::App& app, DeployOptions& options) {
  CLI::App* deploy = app.add_subcommand("deploy", "Create or update functions from folders");
  deploy->add_option("folder", options.folders, "Folders, one a function")
      ->required()
      ->type_name("DIR...");
  add_remote(*deploy, options);
  deploy->footer(help::kDeployFooter);
}

void add_local(CLI::App& invoke, InvokeOptions& options) {
  invoke.add_option("--local", options.local, "Call the function in this folder, without a daemon")
      ->type_name("DIR");
  invoke
      .add_option("--event", options.event,
                  "The event: a file, - for standard input, or a sample event's name")
      ->type_name("FILE|-|EVENT");
  invoke.add_option("--env", options.env_file, "With --local: environment over the folder's .env")
      ->type_name("FILE");
  invoke.add_option("--sandbox", options.sandbox, "With --local: how the call is confined")
      ->type_name("MODE");
  add_unsafe(invoke, options.know_this_is_unsafe);
}

void add_invoke(CLI::App& app, InvokeOptions& options, std::string& wait) {
  CLI::App* invoke = app.add_subcommand("invoke", "Call a function and print its reply");
  invoke->add_option("name", options.name, "The function; not with --local")->type_name("FUNCTION");
  add_local(*invoke, options);
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
  remove->add_option("name", parsed.remove.name, "The function")->required()->type_name("FUNCTION");
  add_remote(*remove, parsed.remove);
  remove->footer(help::kDeleteFooter);
  add_remote(*app.add_subcommand("version", "Print the versions of this program and of the daemon"),
             parsed.version);
  CLI::App* help = app.add_subcommand("help", "Print help, also of one command");
  help->add_option("command", parsed.help_of, "The command")->type_name("COMMAND");
  help->add_flag("--man", parsed.help_man, "Print the manual page hearth(1), as troff");
}

void add_new(CLI::App& app, NewOptions& options) {
  CLI::App* command = app.add_subcommand("new", "Make a function's folder from a template");
  command->add_option("template", options.name, "The template; --list shows them")
      ->type_name("TEMPLATE");
  command->add_option("folder", options.folder, "The new folder; its name becomes the function's")
      ->type_name("DIR");
  command->add_flag("--list", options.list, "List the templates");
  command->add_flag("--json", options.json, "Print JSON, for scripts");
  command->footer(help::kNewFooter);
}

void add_event(CLI::App& app, EventOptions& options) {
  CLI::App* command = app.add_subcommand("event", "Print a sample event, to call a function with");
  command->add_option("event", options.name, "The event; --list shows them")->type_name("EVENT");
  command->add_flag("--list", options.list, "List the events and their options");
  command->add_flag("--json", options.json, "With --list: print JSON, for scripts");
  for (const kit::EventField& field : kit::event_fields()) {
    const std::string name(field.name);
    command
        ->add_option_function<std::string>(
            fmt::format("--{}", name),
            [&options, name](const std::string& value) { options.fields[name] = value; },
            std::string(field.help))
        ->type_name(std::string(field.value));
  }
  command->footer(help::kEventFooter);
}

void add_completion(CLI::App& app, CompletionOptions& options) {
  CLI::App* command = app.add_subcommand("completion", "Print a shell's completion script");
  command->add_option("shell", options.shell, "bash, zsh or fish")->type_name("SHELL");
  command->add_option("--names", options.names, "Print the names of a KIND instead: functions")
      ->type_name("KIND");
  command->add_option("--server", options.server, "The daemon's URL, for --names functions")
      ->envname("HEARTH_SERVER")
      ->capture_default_str()
      ->type_name("URL");
  command->footer(help::kCompletionFooter);
}

void add_logs(CLI::App& app, LogsOptions& options) {
  CLI::App* logs = app.add_subcommand("logs", "Print what a function wrote");
  logs->add_option("name", options.name, "The function")->required()->type_name("FUNCTION");
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
  return Done{report(
      output,
      Failure{Exit::usage, fmt::format("'{}' is not a function's name", name),
              fmt::format("names are 1 to {} letters, digits, '-' and '_'", kFunctionNameMax),
              "`hearth list` shows the functions"})};
}

Command finish_serve(const ServeOptions& options, Output& output) {
  if (!options.sandbox.empty()) {
    const auto mode = sandbox_mode_from_name(options.sandbox);
    if (!mode)
      return usage(
          output, "--sandbox: " + mode.error().detail,
          "`hearth serve --help` explains the modes, `hearth doctor` says which work here");
  }
  return options;
}

Command bad_sandbox(const Error& error, Output& output) {
  return usage(output, "--sandbox: " + error.detail,
               "`hearth serve --help` explains the modes, `hearth doctor` says which work here");
}

// An engine of our own, without a hearth.yaml: `off` needs to be said twice, as with serve.
std::optional<Command> check_sandbox(const std::string& sandbox, bool know_this_is_unsafe,
                                     Output& output) {
  const auto mode = sandbox_mode_from_name(sandbox.empty() ? "auto" : sandbox);
  if (!mode) return bad_sandbox(mode.error(), output);
  if (*mode != SandboxMode::off || know_this_is_unsafe) return std::nullopt;
  return usage(output, "--sandbox off: functions would run unconfined",
               "add --i-know-this-is-unsafe if that is meant");
}

Command finish_dev(const DevOptions& options, Output& output) {
  if (auto refused = check_sandbox(options.sandbox, options.know_this_is_unsafe, output))
    return *std::move(refused);
  return options;
}

Command finish_local(const InvokeOptions& options, bool waits, Output& output) {
  if (waits || options.log_tail) {
    return usage(output, "--wait and --log-tail are for calls through a daemon",
                 "with --local the function's own timeout counts, and its log is printed in any "
                 "case");
  }
  if (!options.name.empty())
    return usage(output, fmt::format("'{}' and --local are one too many", options.name),
                 "--local DIR names the function by its folder");
  if (auto refused = check_sandbox(options.sandbox, options.know_this_is_unsafe, output))
    return *std::move(refused);
  return options;
}

std::optional<Command> check_event(const CLI::App& invoke, const std::string& event,
                                   Output& output) {
  if (invoke.count("--event") == 0) return std::nullopt;
  if (event.empty())
    return usage(output, "--event names no event",
                 "--event FILE, --event -, or a name of `hearth event --list`");
  if (invoke.count("--data") == 0) return std::nullopt;
  return usage(output, "--event and --data are one too many", "one event a call: leave one out");
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
  if (!options.local.empty()) return finish_local(options, !wait.empty(), output);
  if (!options.sandbox.empty() || !options.env_file.empty())
    return usage(output, "--sandbox and --env are for --local", "`hearth invoke --help` shows all");
  if (options.name.empty()) {
    return Done{report(
        output, Failure{Exit::usage, "hearth invoke: FUNCTION is required",
                        "it is written: hearth invoke FUNCTION, or hearth invoke --local DIR",
                        "`hearth invoke --help` shows all"})};
  }
  const std::string name = options.name;
  return check_name(name, std::move(options), output);
}

Command unknown_command(const std::string& name, Output& output) {
  return usage(output, fmt::format("'{}' is not a command", name),
               fmt::format("did you mean `hearth {}`? `hearth help` lists all",
                           nearest(name, kCommandNames)));
}

Command finish_new(const NewOptions& options, Output& output) {
  if (options.list || (!options.name.empty() && !options.folder.empty())) return options;
  return usage(
      output, options.name.empty() ? "no template is given" : "no folder is given",
      "hearth new TEMPLATE DIR, as in `hearth new http-python hello`; `hearth new --list` shows "
      "the templates");
}

Command finish_event(const EventOptions& options, Output& output) {
  if (options.list || !options.name.empty()) return options;
  return usage(output, "no event is given",
               "hearth event EVENT, as in `hearth event s3`; `hearth event --list` shows them");
}

Command finish_completion(const CompletionOptions& options, Output& output) {
  if (options.shell.empty() != options.names.empty()) return options;
  return usage(output, "name one shell: bash, zsh or fish", "hearth completion --help");
}

Command print_help(CLI::App& app, const Parsed& parsed, Output& output) {
  if (parsed.help_man) {
    output.out(man_page(command_table()));
    return Done{};
  }
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

Command chosen(CLI::App& app, Parsed& parsed, Output& output) {
  const std::string name = app.get_subcommands().front()->get_name();
  if (name == "serve") return finish_serve(parsed.serve, output);
  if (name == "dev") return finish_dev(parsed.dev, output);
  if (name == "deploy") return parsed.deploy;
  if (name == "invoke") {
    if (auto refused = check_event(*app.get_subcommands().front(), parsed.invoke.event, output))
      return *std::move(refused);
    return finish_invoke(parsed.invoke, parsed.wait, output);
  }
  if (name == "list") return parsed.list;
  if (name == "delete") return check_name(parsed.remove.name, parsed.remove, output);
  if (name == "logs") return check_name(parsed.logs.name, parsed.logs, output);
  if (name == "doctor") return parsed.doctor;
  if (name == "version") return parsed.version;
  if (name == "new") return finish_new(parsed.fresh, output);
  if (name == "event") return finish_event(parsed.event, output);
  if (name == "completion") return finish_completion(parsed.completion, output);
  return print_help(app, parsed, output);
}

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// The arguments as a usage line has them: "hearth invoke FUNCTION [OPTIONS]".
std::string usage_line(const std::string& command) {
  std::string text = fmt::format("hearth {}", command);
  for (const CommandInfo& info : command_table()) {
    if (info.name != command) continue;
    for (const ArgumentInfo& argument : info.arguments) {
      const std::string word = argument.value + (argument.many ? "..." : "");
      text += argument.required ? " " + word : fmt::format(" [{}]", word);
    }
  }
  return text + " [OPTIONS]";
}

// An option that there is not, or an argument too many.
Command left_over(const CLI::App& command, std::string word, Output& output) {
  const std::string name = command.get_name();
  const std::string help = fmt::format("`hearth {} --help` shows all", name);
  if (!word.starts_with('-')) {
    return Done{report(
        output,
        Failure{Exit::usage, fmt::format("hearth {}: '{}' is one argument too many", name, word),
                fmt::format("it is written: {}", usage_line(name)),
                "put quotes around what has spaces; " + help})};
  }
  word.resize(std::min(word.find('='), word.size()));
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& known : option->get_lnames()) names.push_back("--" + known);
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  return usage(output, fmt::format("hearth {} has no option {}", name, word),
               fmt::format("did you mean `{}`? {}", nearest(word, known), help));
}

// CLI11 gave up on the command line.
Command misread(CLI::App& app, const CLI::ParseError& error, Output& output) {
  const auto commands = app.get_subcommands();
  if (commands.empty()) {
    const std::vector<std::string> extra = app.remaining();
    return usage(output,
                 extra.empty() ? one_line(error.what())
                               : fmt::format("{} is not an option that stands before a command",
                                             extra.front()),
                 "`hearth help` lists the commands and options");
  }
  const CLI::App& command = *commands.front();
  const std::vector<std::string> rest = command.remaining();
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError) && !rest.empty()) {
    const auto option = std::find_if(rest.begin(), rest.end(),
                                     [](const auto& word) { return word.starts_with('-'); });
    return left_over(command, option == rest.end() ? rest.front() : *option, output);
  }
  return Done{report(
      output,
      Failure{Exit::usage, fmt::format("hearth {}: {}", command.get_name(), one_line(error.what())),
              fmt::format("it is written: {}", usage_line(command.get_name())),
              fmt::format("`hearth {} --help` shows all", command.get_name())})};
}

// Every command, in the order in which --help lists them.
void add_all(CLI::App& app, Parsed& parsed) {
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  add_new(app, parsed.fresh);
  add_event(app, parsed.event);
  add_serve(app, parsed.serve);
  add_dev(app, parsed.dev);
  add_deploy(app, parsed.deploy);
  add_invoke(app, parsed.invoke, parsed.wait);
  add_small(app, parsed);
  add_logs(app, parsed.logs);
  add_doctor(app, parsed.doctor);
  add_completion(app, parsed.completion);
  // Last, since a new command takes over what its parent has.
  app.footer(fmt::format("{}\n\nExit codes:{}", help::kProgramExamples, help::kProgramExits));
}

// `option` as the table has it. CLI11 keeps names apart by their dashes.
OptionInfo describe(const CLI::Option& option) {
  OptionInfo info;
  if (!option.get_lnames().empty()) info.name = "--" + option.get_lnames().front();
  if (!option.get_snames().empty()) info.letter = "-" + option.get_snames().front();
  if (option.get_type_size() > 0) info.value = option.get_type_name();
  info.help = option.get_description();
  return info;
}

CommandInfo describe(CLI::App& command) {
  CommandInfo info;
  info.name = command.get_name();
  info.help = command.get_description();
  info.notes = command.get_footer();
  for (const CLI::Option* option : command.get_options()) {
    if (!option->get_positional()) {
      info.options.push_back(describe(*option));
      continue;
    }
    std::string value = option->get_type_name();
    const bool many = value.ends_with("...");
    if (many) value.resize(value.size() - 3);
    info.arguments.push_back({value, option->get_description(), option->get_required(), many});
  }
  return info;
}

}  // namespace

std::vector<CommandInfo> command_table() {
  Parsed parsed;
  CLI::App app(help::kProgram, "hearth");
  add_all(app, parsed);
  std::vector<CommandInfo> commands;
  for (CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    commands.push_back(describe(*command));
  return commands;
}

Command parse_command_line(const std::vector<std::string>& arguments, Output& output) {
  if (arguments.size() == 1 && arguments[0] == "--version") return VersionOptions{};
  Parsed parsed;
  CLI::App app(help::kProgram, "hearth");
  add_all(app, parsed);
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
    return misread(app, e, output);
  }
  return chosen(app, parsed, output);
}

}  // namespace hearth::cli
