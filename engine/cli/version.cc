// hearth version
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/daemon.h"
#include "engine.h"

namespace hearth::cli {

// A daemon that can't be reached is no failure: the question was which version this is.
Exit run_version(const VersionOptions& options, Output& output) {
  Failure failure;
  auto daemon = Daemon::open(options.server, failure);
  if (!daemon) return report(output, failure);
  http::ClientRequest request;
  request.target = "/hearth/v1/version";
  http::ClientResponse response;
  nlohmann::json server;
  constexpr milliseconds kTimeout{2'000};
  const bool answered =
      daemon->call(request, kTimeout, response, failure) && response.status == 200;
  if (answered) server = parse_body(response);
  if (!server.is_object()) server = nullptr;
  if (options.json) {
    output.out(dump(nlohmann::json{{"version", kEngineVersion}, {"server", server}}));
    return Exit::ok;
  }
  output.out(fmt::format("hearth {}\n", kEngineVersion));
  if (!server.is_null())
    output.out(fmt::format("daemon at {}: {}\n", daemon->url(),
                           shown(output, text_of(server, "version"))));
  return Exit::ok;
}

}  // namespace hearth::cli
