// hearth completion: what a shell needs to complete a command line of ours.
#include <fmt/core.h>

#include "cli/command_table.h"
#include "cli/commands.h"
#include "cli/daemon.h"
#include "config/nearest.h"
#include "kit/kit.h"

namespace hearth::cli {
namespace {

constexpr std::string_view kShells[] = {"bash", "zsh", "fish"};
constexpr milliseconds kPatience{500};  // somebody waits with a finger on the tab key

// One a line. No daemon, or one that says nonsense: no names, and no word about it.
void print_functions(const std::string& server, Output& output) {
  Failure ignored;
  auto daemon = Daemon::open(server, ignored);
  if (!daemon) return;
  for (const std::string& name : function_names(*daemon, kPatience)) output.out(name + "\n");
}

}  // namespace

std::vector<std::string> words_for(const std::string& value) {
  if (value == "SHELL") return {std::begin(kShells), std::end(kShells)};
  if (value == "KIND") return {"functions"};
  if (value == "MODE") return {"auto", "strict", "user", "degraded", "off"};
  if (value == "METHOD") return {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"};
  std::vector<std::string> words;
  if (value == "TEMPLATE")
    for (const kit::Template& t : kit::templates()) words.emplace_back(t.name);
  if (value == "EVENT")
    for (const kit::SampleEvent& event : kit::sample_events()) words.emplace_back(event.name);
  if (value == "COMMAND")
    for (const CommandInfo& command : command_table()) words.push_back(command.name);
  return words;
}

Exit run_completion(const CompletionOptions& options, Output& output) {
  if (!options.names.empty()) {
    if (options.names != "functions")
      return report(
          output, Failure{Exit::usage, fmt::format("--names: '{}' is not known", options.names), "",
                          "`functions` is the one kind there is"});
    print_functions(options.server, output);
    return Exit::ok;
  }
  const std::vector<CommandInfo> commands = command_table();
  if (options.shell == "bash") {
    output.out(bash_completion(commands));
  } else if (options.shell == "zsh") {
    output.out(zsh_completion(commands));
  } else if (options.shell == "fish") {
    output.out(fish_completion(commands));
  } else {
    return report(
        output,
        Failure{Exit::usage, fmt::format("there are no completions for '{}'", options.shell), "",
                fmt::format("did you mean `hearth completion {}`? There are bash, zsh and fish",
                            nearest(options.shell, kShells))});
  }
  return Exit::ok;
}

}  // namespace hearth::cli
