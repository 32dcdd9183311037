#include "cli/serve_config.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"

namespace hearth::cli {
namespace {

Error bad(std::string detail) { return Error{Code::config_invalid, std::move(detail)}; }

Result<std::string> absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  char folder[PATH_MAX];
  if (::getcwd(folder, sizeof folder) == nullptr)
    return bad(fmt::format("--state: '{}': {}", path, std::strerror(errno)));
  return fmt::format("{}/{}", folder, path);
}

Result<Config> from_file(const std::string& path) {
  if (path.empty()) return Config();
  auto config = load_config(path);
  // A file that can't be read is as wrong as one that says nonsense, and has the same exit code.
  if (!config && config.error().code == Code::io_failed) return bad(config.error().detail);
  return config;
}

}  // namespace

Result<std::string> default_state_dir(bool as_root) {
  if (as_root) return std::string("/var/lib/hearth");
  const char* state = ::getenv("XDG_STATE_HOME");
  if (state != nullptr && state[0] == '/') return fmt::format("{}/hearth", state);
  const char* home = ::getenv("HOME");
  if (home != nullptr && home[0] == '/') return fmt::format("{}/.local/state/hearth", home);
  return bad("neither XDG_STATE_HOME nor HOME is set: name the state folder with --state");
}

Result<Config> serve_config(const ServeOptions& options, bool as_root) {
  Config config = HEARTH_TRY(from_file(options.config));
  if (!options.listen.empty()) config.listen = options.listen;
  if (!options.sandbox.empty())
    config.sandbox.mode = HEARTH_TRY(sandbox_mode_from_name(options.sandbox));
  if (!options.state.empty()) config.state_dir = HEARTH_TRY(absolute(options.state));
  if (config.state_dir.empty()) config.state_dir = HEARTH_TRY(default_state_dir(as_root));
  if (config.sandbox.mode == SandboxMode::off && !options.know_this_is_unsafe) {
    return bad(
        "sandbox mode off: functions would run unconfined, with the daemon's rights; add "
        "--i-know-this-is-unsafe if that is meant");
  }
  HEARTH_TRY(validate(config));
  return config;
}

std::string listen_file(const std::string& state_dir) {
  return fmt::format("{}/listen", state_dir);
}

Status write_listen_file(const std::string& state_dir, const std::string& address) {
  const std::string path = listen_file(state_dir);
  const std::string fresh = path + ".new";
  const auto failed = [&] {
    return Error{Code::state_unusable,
                 fmt::format("{} can't be written: {}", path, std::strerror(errno))};
  };
  const UniqueFd fd(
      ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd.valid()) return failed();
  const std::string text = address + "\n";
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return failed();
  if (::rename(fresh.c_str(), path.c_str()) != 0) return failed();
  return ok();
}

}  // namespace hearth::cli
