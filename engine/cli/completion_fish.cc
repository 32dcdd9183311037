// The completion script for fish: one `complete` line an option and argument.
#include <fmt/core.h>
#include <fmt/format.h>

#include "cli/command_table.h"

namespace hearth::cli {
namespace {

// The case line of options that take a value is made from the table.
constexpr const char* kHead = R"(# fish completion for hearth; made by `hearth completion fish`

# __hearth_at COMMAND [NUMBER]: is this command being typed, and at its argument of this number?
function __hearth_at
    set -l tokens (commandline -opc)
    set -l command $tokens[2]
    test "$command" = "$argv[1]"; or return 1
    set -q argv[2]; or return 0
    set -e tokens[1..2]
    set -l number 0
    set -l skip no
    for token in $tokens
        if test $skip = yes
            set skip no
            continue
        end
        switch "$command $token"
            case {}
                set skip yes
            case '* -*'
            case '*'
                set number (math $number + 1)
        end
    end
    test $number -eq $argv[2]
end

function __hearth_no_command
    test (count (commandline -opc)) -eq 1
end

function __hearth_functions
    set -l tokens (commandline -opc)
    set -l server
    if set -l at (contains -i -- --server $tokens)
        set server --server $tokens[(math $at + 1)]
    end
    eval $tokens[1] completion --names functions (string escape -- $server) 2>/dev/null </dev/null
end

complete -c hearth -f
)";

std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

// What stands behind the condition: which values there are for a kind.
std::string values(const std::string& kind) {
  if (kind == "DIR") return " -a '(__fish_complete_directories)'";
  if (kind == "FILE") return " -F";
  if (kind == "FUNCTION") return " -a '(__hearth_functions)'";
  const std::vector<std::string> words = words_for(kind);
  return words.empty() ? "" : fmt::format(" -a '{}'", fmt::join(words, " "));
}

std::string command_lines(const CommandInfo& command) {
  std::string text = fmt::format("complete -c hearth -n __hearth_no_command -a {} -d {}\n",
                                 command.name, quoted(command.help));
  for (const OptionInfo& option : command.options) {
    text += fmt::format("complete -c hearth -n '__hearth_at {}' -l {}", command.name,
                        option.name.substr(2));
    if (!option.letter.empty()) text += fmt::format(" -s {}", option.letter.substr(1));
    if (!option.value.empty())
      text += (option.value == "FILE" ? " -r" : " -x") + values(option.value);
    text += fmt::format(" -d {}\n", quoted(option.help));
  }
  for (size_t i = 0; i < command.arguments.size(); ++i) {
    const ArgumentInfo& argument = command.arguments[i];
    const std::string offered = values(argument.value);
    if (offered.empty()) continue;
    text += fmt::format("complete -c hearth -n '__hearth_at {}{}'{}\n", command.name,
                        argument.many ? "" : fmt::format(" {}", i), offered);
  }
  return text;
}

}  // namespace

std::string fish_completion(const std::vector<CommandInfo>& commands) {
  std::string with_value;
  std::string lines;
  for (const CommandInfo& command : commands) {
    for (const OptionInfo& option : command.options) {
      if (!option.value.empty())
        with_value +=
            fmt::format("{}'{} {}'", with_value.empty() ? "" : " ", command.name, option.name);
    }
    lines += command_lines(command);
  }
  std::string text = kHead;
  return text.replace(text.find("{}"), 2, with_value) + lines;
}

}  // namespace hearth::cli
