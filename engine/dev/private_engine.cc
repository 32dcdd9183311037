#include "dev/private_engine.h"

#include <unistd.h>

namespace hearth::dev {

Config private_config(const std::string& state_dir, SandboxMode sandbox) {
  Config config;
  config.state_dir = state_dir;
  config.listen = "127.0.0.1:0";
  config.sandbox.mode = sandbox;
  config.sandbox.allow_degraded = sandbox == SandboxMode::degraded;
  config.log_level = LogLevel::warning;
  config.runtimes.substitute = Substitute::nearest;  // a developer's machine has what it has
  // Code changes with each save, and what it prints while it loads is to be seen once.
  config.limits.zygote_min_init = std::chrono::hours(24);
  return config;
}

Result<TemporaryState> make_state(SandboxMode sandbox) {
  return TemporaryState::make(sandbox == SandboxMode::degraded ? TemporaryState::Place::not_in_tmp
                                                               : TemporaryState::Place::anywhere);
}

Result<std::unique_ptr<Engine>> open_private_engine(EngineOptions options) {
  options.ask_versions = false;
  if (options.config.sandbox.mode != SandboxMode::automatic)
    return Engine::open(std::move(options));
  EngineOptions first = options;
  first.config.sandbox.mode = ::geteuid() == 0 ? SandboxMode::strict : SandboxMode::user;
  auto engine = Engine::open(std::move(first));
  if (engine || engine.error().code != Code::sandbox_unavailable) return engine;
  // What is missing, and how to mend it, is what the probe knows.
  return Engine::open(std::move(options));
}

}  // namespace hearth::dev
