// hearth dev: the developer's loop. The module dev does the work; here is what it is told, and what
// becomes of its errors.
#include <fmt/core.h>

#include "cli/commands.h"
#include "cli/folder_advice.h"
#include "dev/session.h"

namespace hearth::cli {
namespace {

std::string port_advice(const Error& error, const DevOptions& options) {
  if (error.detail.find("ermission denied") != std::string::npos)
    return "ports below 1024 are root's: --port with a larger one, or 0 for any that is free";
  return options.debug_port != 0
             ? "is another program there? --port and --debug name other ports"
             : fmt::format("is another program at port {}? `--port 0` takes a free one",
                           options.port);
}

std::string advice(const Error& error, const DevOptions& options) {
  switch (error.code) {
    case Code::listen_failed:
      return port_advice(error, options);
    case Code::io_failed:
    case Code::manifest_invalid:
      if (!options.env_file.empty() && error.detail.find(options.env_file) != std::string::npos)
        return "--env names a file that is there";
      return folder_advice(options.folder);
    case Code::invalid_parameter:
    case Code::config_invalid:
      return "`hearth dev --help` says what the folder and the options can be";
    default:
      return "`hearth doctor` checks this machine: what works, and the fix for what does not";
  }
}

Exit exit_of(Code code) {
  switch (code) {
    case Code::io_failed:
    case Code::invalid_parameter:
    case Code::config_invalid:
    case Code::manifest_invalid:
    case Code::listen_failed:
      return Exit::usage;
    default:
      return Exit::refused;
  }
}

}  // namespace

Exit run_dev(const DevOptions& options, Output& output) {
  dev::DevOptions wanted;
  wanted.folder = options.folder;
  wanted.port = options.port;
  wanted.debug_port = options.debug_port;
  wanted.sandbox = *sandbox_mode_from_name(options.sandbox);
  wanted.env_file = options.env_file;
  wanted.json = options.json;
  const auto end = dev::run_dev(wanted);
  if (!end) {
    return report(output, Failure{exit_of(end.error().code),
                                  fmt::format("can't serve {}",
                                              options.folder.empty() ? "''" : options.folder),
                                  folder_problem(end.error()), advice(end.error(), options)});
  }
  if (*end == dev::DevEnd::spawner_lost)
    return report(output, Failure{Exit::refused, "the spawner has ended, and all workers with it",
                                  "", "start `hearth dev` again"});
  return Exit::ok;
}

}  // namespace hearth::cli
