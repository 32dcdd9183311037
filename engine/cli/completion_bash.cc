// The completion script for bash: its tables are made here, its code stands in kCode.
#include <fmt/core.h>
#include <fmt/format.h>

#include "cli/command_table.h"

namespace hearth::cli {
namespace {

// _hearth_kind COMMAND OPTION and _hearth_argument COMMAND NUMBER say in REPLY what a value stands
// for; _hearth_words KIND and _hearth_options COMMAND say in REPLY which words there are.
constexpr const char* kCode = R"bash(
_hearth_complete() {  # KIND: fills COMPREPLY
  local REPLY
  case $1 in
    DIR)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    FILE)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    JSON|TEXT)
      if [[ $cur == @* ]]; then mapfile -t COMPREPLY < <(compgen -P @ -f -- "${cur#@}"); fi ;;
    FUNCTION)
      REPLY=$("${COMP_WORDS[0]}" completion --names functions "${server[@]}" 2>/dev/null </dev/null)
      mapfile -t COMPREPLY < <(compgen -W "$REPLY" -- "$cur") ;;
    *)
      _hearth_words "$1"
      mapfile -t COMPREPLY < <(compgen -W "$REPLY" -- "$cur") ;;
  esac
}

# bash takes words apart at characters such as ':' and '@'; this puts them together again, in `words`.
_hearth_words_of_line() {
  local rest=${COMP_LINE:0:COMP_POINT} part
  words=()
  for part in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
    if [[ ${#words[@]} == 0 || $rest == [[:space:]]* || -z $rest ]]; then
      rest=${rest#"${rest%%[![:space:]]*}"}
      words+=("")
    fi
    words[-1]+=${rest:0:${#part}}
    rest=${rest:${#part}}
  done
}

_hearth() {
  local cur command= option= word REPLY
  local -a words server=()
  local -i number=0
  COMPREPLY=()
  _hearth_words_of_line
  cur=${words[-1]}
  for word in "${words[@]:1:${#words[@]}-2}"; do
    if [[ -n $option ]]; then
      if [[ $option == --server ]]; then server=(--server "$word"); fi
      option=
    elif [[ -z $command ]]; then
      command=$word
    elif [[ $word == -* ]]; then
      if _hearth_kind "$command" "$word"; then option=$word; fi
    else
      number+=1
    fi
  done
  if [[ -n $option ]]; then
    _hearth_kind "$command" "$option"
    _hearth_complete "$REPLY"
  elif [[ -z $command ]]; then
    _hearth_complete COMMAND
  elif [[ $cur == -* ]]; then
    _hearth_options "$command"
    mapfile -t COMPREPLY < <(compgen -W "$REPLY" -- "$cur")
  elif _hearth_argument "$command" "$number"; then
    _hearth_complete "$REPLY"
  fi
  # What stands before the last part is on the line already.
  local before=${cur%"${COMP_WORDS[COMP_CWORD]}"}
  before=${before%@}  # readline counts it to the last part
  COMPREPLY=("${COMPREPLY[@]#"$before"}")
}

complete -F _hearth hearth
)bash";

std::string kind_table(const std::vector<CommandInfo>& commands) {
  std::string text = "_hearth_kind() {\n  case \"$1 $2\" in\n";
  for (const CommandInfo& command : commands) {
    for (const OptionInfo& option : command.options) {
      if (!option.value.empty())
        text += fmt::format("    '{} {}') REPLY={} ;;\n", command.name, option.name, option.value);
    }
  }
  return text + "    *) return 1 ;;\n  esac\n}\n";
}

std::string argument_table(const std::vector<CommandInfo>& commands) {
  std::string text = "_hearth_argument() {\n  case \"$1 $2\" in\n";
  for (const CommandInfo& command : commands) {
    for (size_t i = 0; i < command.arguments.size(); ++i) {
      const ArgumentInfo& argument = command.arguments[i];
      text += fmt::format("    {}) REPLY={} ;;\n",
                          argument.many ? fmt::format("'{} '*", command.name)
                                        : fmt::format("'{} {}'", command.name, i),
                          argument.value);
    }
  }
  return text + "    *) return 1 ;;\n  esac\n}\n";
}

std::string options_table(const std::vector<CommandInfo>& commands) {
  std::string text = "_hearth_options() {\n  case $1 in\n";
  for (const CommandInfo& command : commands) {
    std::string names;
    for (const OptionInfo& option : command.options)
      names += fmt::format("{}{}", names.empty() ? "" : " ", option.name);
    text += fmt::format("    {}) REPLY='{}' ;;\n", command.name, names);
  }
  return text + "    *) REPLY= ;;\n  esac\n}\n";
}

std::string words_table() {
  std::string text = "_hearth_words() {\n  case $1 in\n";
  for (const char* kind : kKindsOfWords)
    text += fmt::format("    {}) REPLY='{}' ;;\n", kind, fmt::join(words_for(kind), " "));
  return text + "    *) REPLY= ;;\n  esac\n}\n";
}

}  // namespace

std::string bash_completion(const std::vector<CommandInfo>& commands) {
  return "# bash completion for hearth; made by `hearth completion bash`\n" + kind_table(commands) +
         argument_table(commands) + options_table(commands) + words_table() + kCode;
}

}  // namespace hearth::cli
