// The commands and options as a table, made of the command line's own definitions: what completions
// and the manual page are written from, so that neither can know another command line than --help.
#pragma once
#include <string>
#include <vector>

namespace hearth::cli {

struct OptionInfo {
  std::string name;    // "--server"
  std::string letter;  // "-f", or empty
  std::string value;   // what its value stands for: "URL", "FILE", "DIR"; empty: a flag
  std::string help;
};

struct ArgumentInfo {
  std::string value;  // "FUNCTION", "DIR"
  std::string help;
  bool required = false;
  bool many = false;
};

struct CommandInfo {
  std::string name;
  std::string help;
  std::string notes;  // what --help prints below the options
  std::vector<ArgumentInfo> arguments;
  std::vector<OptionInfo> options;
};

// In the order of --help. Every command has --help.
std::vector<CommandInfo> command_table();

// Names of values of which there is a fixed set of words.
inline constexpr const char* kKindsOfWords[] = {"COMMAND", "TEMPLATE", "EVENT", "SHELL",
                                                "KIND",    "MODE",     "METHOD"};

// The words that a value of this name can be: "MODE" is auto, strict, ...; empty: nothing fixed.
std::vector<std::string> words_for(const std::string& value);

// hearth(1) as troff with the macros of man(7).
std::string man_page(const std::vector<CommandInfo>& commands);

// Completion scripts. They call the program itself for names that change: functions of a daemon.
std::string bash_completion(const std::vector<CommandInfo>& commands);
std::string zsh_completion(const std::vector<CommandInfo>& commands);
std::string fish_completion(const std::vector<CommandInfo>& commands);

}  // namespace hearth::cli
