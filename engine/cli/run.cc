#include <type_traits>

#include "cli/commands.h"

namespace hearth::cli {

int run(const std::vector<std::string>& arguments, Output& output) {
  const Command command = parse_command_line(arguments, output);
  return std::visit(
      [&output](const auto& options) -> int {
        using T = std::decay_t<decltype(options)>;
        if constexpr (std::is_same_v<T, Done>) return static_cast<int>(options.exit);
        if constexpr (std::is_same_v<T, ServeOptions>) return run_serve(options, output);
        if constexpr (std::is_same_v<T, DeployOptions>)
          return static_cast<int>(run_deploy(options, output));
        if constexpr (std::is_same_v<T, InvokeOptions>)
          return static_cast<int>(run_invoke(options, output));
        if constexpr (std::is_same_v<T, ListOptions>)
          return static_cast<int>(run_list(options, output));
        if constexpr (std::is_same_v<T, DeleteOptions>)
          return static_cast<int>(run_delete(options, output));
        if constexpr (std::is_same_v<T, LogsOptions>)
          return static_cast<int>(run_logs(options, output));
        if constexpr (std::is_same_v<T, DoctorOptions>)
          return static_cast<int>(run_doctor(options, output));
        if constexpr (std::is_same_v<T, VersionOptions>)
          return static_cast<int>(run_version(options, output));
      },
      command);
}

}  // namespace hearth::cli
