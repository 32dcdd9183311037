// `hearth dev`: one engine in this process, on a temporary state folder, whose functions follow
// their folders.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"
#include "config/config.h"

namespace hearth::dev {

inline constexpr uint16_t kDefaultPort = 4327;

struct DevOptions {
  std::string folder;            // of one function, or a tree of them
  uint16_t port = kDefaultPort;  // 0: any free one
  uint16_t debug_port = 0;       // 0: no debugger
  SandboxMode sandbox = SandboxMode::automatic;
  std::string env_file;  // empty: none but each folder's .env
  bool json = false;
};

enum class DevEnd : uint8_t { stopped, spawner_lost };

// Runs until SIGINT, SIGTERM or SIGHUP, then ends everything; a second signal ends the process at
// once. Prints to stdout. Installs signal handlers: the process is this command's. Errors: those of
// Engine::open, io_failed and invalid_parameter (the folder), listen_failed (the port).
Result<DevEnd> run_dev(const DevOptions& options);

// An absolute path without symbolic links, as the messages have it. Errors: io_failed.
Result<std::string> real_path(const std::string& path);

}  // namespace hearth::dev
