// hearth delete
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/daemon.h"

namespace hearth::cli {

Exit run_delete(const DeleteOptions& options, Output& output) {
  Failure failure;
  auto daemon = Daemon::open(options.server, failure);
  if (!daemon) return report(output, failure);
  http::ClientResponse response;
  if (!daemon->call("DELETE", fmt::format("/2015-03-31/functions/{}", options.name), "", response,
                    failure))
    return report(output, failure);
  if (response.status == 404) return report(output, unknown_function(*daemon, options.name));
  if (response.status / 100 != 2)
    return report(output,
                  refusal(response, fmt::format("can't delete {}", options.name), options.name));
  output.out(options.json ? dump(nlohmann::json{{"name", options.name}, {"action", "deleted"}})
                          : fmt::format("{}  deleted\n", options.name));
  return Exit::ok;
}

}  // namespace hearth::cli
