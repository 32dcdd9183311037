#include <cstdint>
#include <type_traits>

#include "cli/commands.h"
#include "config/units_text.h"
#include "dev/worker_socket.h"

namespace hearth::cli {

int run(const std::vector<std::string>& arguments, Output& output) {
  if (arguments.size() == 3 && arguments[0] == dev::kWorkerSocketCommand) {
    const auto worker = parse_whole(arguments[1]);
    const auto port = parse_whole(arguments[2]);
    if (!worker || !port || *worker > INT32_MAX || *port > UINT16_MAX)
      return static_cast<int>(Exit::usage);
    return dev::give_worker_socket(static_cast<int>(*worker), static_cast<uint16_t>(*port));
  }
  const Command command = parse_command_line(arguments, output);
  return std::visit(
      [&output](const auto& options) -> int {
        using T = std::decay_t<decltype(options)>;
        if constexpr (std::is_same_v<T, Done>) return static_cast<int>(options.exit);
        if constexpr (std::is_same_v<T, ServeOptions>) return run_serve(options, output);
        if constexpr (std::is_same_v<T, DevOptions>)
          return static_cast<int>(run_dev(options, output));
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
        if constexpr (std::is_same_v<T, NewOptions>)
          return static_cast<int>(run_new(options, output));
        if constexpr (std::is_same_v<T, EventOptions>)
          return static_cast<int>(run_event(options, output));
        if constexpr (std::is_same_v<T, CompletionOptions>)
          return static_cast<int>(run_completion(options, output));
      },
      command);
}

}  // namespace hearth::cli
