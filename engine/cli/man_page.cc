// hearth(1), written from the table of commands.
#include <fmt/core.h>

#include "cli/command_table.h"
#include "cli/help_text.h"
#include "engine.h"

namespace hearth::cli {
namespace {

// Text that troff prints as it stands.
std::string plain(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    line_start = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '\'') {
      out += "\\(aq";
    } else if (c == '`') {
      out += "\\(ga";
    } else {
      out += c;
    }
  }
  return out;
}

// Lines that keep their breaks: examples and tables.
std::string verbatim(std::string_view text) {
  while (text.starts_with('\n')) text.remove_prefix(1);
  return text.empty() ? "" : fmt::format(".PP\n.nf\n{}\n.fi\n", plain(text));
}

std::string synopsis(const CommandInfo& command) {
  std::string text = fmt::format(".B hearth {}\n", plain(command.name));
  for (const ArgumentInfo& argument : command.arguments) {
    const std::string word =
        fmt::format("\\fI{}\\fR{}", plain(argument.value), argument.many ? "..." : "");
    text += argument.required ? word + "\n" : fmt::format("[{}]\n", word);
  }
  return text + "[\\fIoptions\\fR]\n";
}

std::string option(const OptionInfo& info) {
  std::string names = info.letter.empty() ? "" : fmt::format("\\fB{}\\fR, ", plain(info.letter));
  names += fmt::format("\\fB{}\\fR", plain(info.name));
  if (!info.value.empty()) names += fmt::format(" \\fI{}\\fR", plain(info.value));
  return fmt::format(".TP\n{}\n{}.\n", names, plain(info.help));
}

std::string command_section(const CommandInfo& command) {
  std::string text =
      fmt::format(".SS hearth {}\n{}.\n.PP\n", plain(command.name), plain(command.help));
  text += synopsis(command);
  for (const ArgumentInfo& argument : command.arguments)
    text += fmt::format(".TP\n\\fI{}\\fR\n{}.\n", plain(argument.value), plain(argument.help));
  for (const OptionInfo& info : command.options) {
    if (info.name != "--help") text += option(info);
  }
  return text + verbatim(command.notes);
}

}  // namespace

std::string man_page(const std::vector<CommandInfo>& commands) {
  std::string text =
      fmt::format(".TH HEARTH 1 \"\" \"Hearth {}\" \"User Commands\"\n", plain(kEngineVersion));
  text += ".SH NAME\nhearth \\- run functions: warm workers, one confined process each\n";
  text += ".SH SYNOPSIS\n.B hearth\n\\fIcommand\\fR [\\fIargument\\fR...] [\\fIoptions\\fR]\n";
  text += fmt::format(".SH DESCRIPTION\n{}\n", plain(help::kProgram));
  text += verbatim(help::kProgramExamples);
  text += ".SH COMMANDS\nEvery command has \\fB\\-\\-help\\fR.\n";
  for (const CommandInfo& command : commands) text += command_section(command);
  text += ".SH EXIT STATUS\n";
  text += verbatim(help::kProgramExits);
  text += ".SH ENVIRONMENT\n.TP\n.B HEARTH_SERVER\n";
  text += plain("The daemon's URL, where --server is not given.") + "\n";
  text += ".TP\n.B NO_COLOR\nIf it is set and not empty, errors are printed without colour.\n";
  text += ".TP\n.B XDG_STATE_HOME\n";
  text += plain("The folder above the state folder of a daemon that is not root's.") + "\n";
  text += ".SH FILES\n.TP\n.I function.yaml\nIn a function's folder: its settings.\n";
  text += ".TP\n.I hearth.yaml\n" + plain("A daemon's configuration; named by --config.") + "\n";
  text += ".TP\n.I /var/lib/hearth\nThe state folder of root's daemon.\n";
  return text;
}

}  // namespace hearth::cli
