// The completion script for zsh: one _arguments call a command.
#include <fmt/core.h>
#include <fmt/format.h>

#include "cli/command_table.h"

namespace hearth::cli {
namespace {

constexpr const char* kHead = R"zsh(#compdef hearth
# zsh completion for hearth; made by `hearth completion zsh`

_hearth_functions() {
  local -a names server
  # _arguments puts a backslash before each colon.
  if [[ -n ${opt_args[--server]} ]]; then server=(--server "${(Q)opt_args[--server]}"); fi
  names=(${(f)"$($_hearth_program completion --names functions $server 2>/dev/null </dev/null)"})
  compadd -a names
}

_hearth_text() {
  compset -P @ && _files
}

_hearth() {
  local curcontext=$curcontext state line _hearth_program=${~words[1]}
  typeset -A opt_args
  _arguments -C '1:command:->command' '*::argument:->argument' && return
  case $state in
    command)
      local -a commands=(
)zsh";

constexpr const char* kTail = R"(      esac ;;
  esac
}

if [[ ${funcstack[1]} == _hearth ]]; then _hearth "$@"; else compdef _hearth hearth; fi
)";

// Inside single quotes, in a description of _arguments or _describe.
std::string described(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
      continue;
    }
    if (c == ':' || c == '[' || c == ']') out += '\\';
    out += c;
  }
  return out;
}

std::string action(const std::string& kind) {
  if (kind == "DIR") return "_files -/";
  if (kind == "FILE") return "_files";
  if (kind == "JSON" || kind == "TEXT") return "_hearth_text";
  if (kind == "FUNCTION") return "_hearth_functions";
  const std::vector<std::string> words = words_for(kind);
  return words.empty() ? " " : fmt::format("({})", fmt::join(words, " "));
}

std::string option_spec(const OptionInfo& option, const std::string& name) {
  std::string spec = fmt::format("'{}[{}]", name, described(option.help));
  if (!option.value.empty()) spec += fmt::format(":{}:{}", option.value, action(option.value));
  return spec + "'";
}

std::string command_case(const CommandInfo& command) {
  std::string text = fmt::format("        {}) _arguments", command.name);
  for (const OptionInfo& option : command.options) {
    text += " \\\n          " + option_spec(option, option.name);
    if (!option.letter.empty()) text += " \\\n          " + option_spec(option, option.letter);
  }
  for (size_t i = 0; i < command.arguments.size(); ++i) {
    const ArgumentInfo& argument = command.arguments[i];
    text += fmt::format(" \\\n          '{}:{}:{}'",
                        argument.many ? std::string("*") : std::to_string(i + 1), argument.value,
                        action(argument.value));
  }
  return text + " ;;\n";
}

}  // namespace

std::string zsh_completion(const std::vector<CommandInfo>& commands) {
  std::string text = kHead;
  for (const CommandInfo& command : commands)
    text += fmt::format("        '{}:{}'\n", command.name, described(command.help));
  text +=
      "      )\n      _describe command commands ;;\n    argument)\n      case ${words[1]} in\n";
  for (const CommandInfo& command : commands) text += command_case(command);
  return text + kTail;
}

}  // namespace hearth::cli
