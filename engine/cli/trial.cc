#include "cli/trial.h"

#include <fmt/core.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "sandbox/start.h"

namespace hearth::cli {
namespace {

using sandbox::Layer;
using sandbox::Mode;

constexpr size_t kLayers = static_cast<size_t>(Layer::kLayersCount);
constexpr std::array<const char*, kLayers> kLayerNames = {
    "user namespace",  "pid namespace",    "mount namespace", "network namespace", "ipc namespace",
    "uts namespace",   "cgroup namespace", "read-only root",  "private /tmp",      "uid of its own",
    "no capabilities", "no_new_privs",     "seccomp filter",  "resource limits",   "code read-only",
    "landlock",        "cgroup: memory",   "cgroup: cpu",     "cgroup: processes", "cgroup: io",
    "freezer",         "not dumpable"};

const char* mode_text(Mode mode) {
  switch (mode) {
    case Mode::kStrict:
      return "strict";
    case Mode::kUser:
      return "user";
    case Mode::kDegraded:
      return "degraded";
    case Mode::kOff:
      break;
  }
  return "off";
}

Result<Mode> mode_for(const sandbox::ProbeReport& report, const SandboxConfig& config) {
  const auto exactly = [&](Mode mode) -> Result<Mode> {
    if (report.mode_works(mode)) return mode;
    for (const sandbox::ProbeItem& item : report.items) {
      if (item.name == fmt::format("mode {}", mode_text(mode))) {
        return Error{Code::sandbox_unavailable,
                     fmt::format("mode {}: {}; {}", mode_text(mode), item.detail, item.fix)};
      }
    }
    return Error{Code::sandbox_unavailable, fmt::format("mode {} was not tried", mode_text(mode))};
  };
  switch (config.mode) {
    case SandboxMode::automatic:
      break;
    case SandboxMode::strict:
      return exactly(Mode::kStrict);
    case SandboxMode::user:
      return exactly(Mode::kUser);
    case SandboxMode::degraded:
      if (config.allow_degraded) return exactly(Mode::kDegraded);
      return Error{Code::sandbox_unavailable,
                   "sandbox.mode is degraded; permit it with sandbox.allow_degraded: true"};
    case SandboxMode::off:
      return Mode::kOff;
  }
  return sandbox::choose_mode(
      report, config.allow_degraded ? sandbox::AllowDegraded::kYes : sandbox::AllowDegraded::kNo);
}

// An empty folder that every uid can pass; gone at the end.
class EmptyFolder {
 public:
  EmptyFolder() {
    if (::mkdtemp(path_) == nullptr) path_[0] = '\0';
    if (valid()) ::chmod(path_, 0755);
  }
  ~EmptyFolder() {
    if (valid()) ::rmdir(path_);
  }
  EmptyFolder(const EmptyFolder&) = delete;
  EmptyFolder& operator=(const EmptyFolder&) = delete;
  bool valid() const { return path_[0] != '\0'; }
  const char* path() const { return path_; }

 private:
  char path_[32] = "/tmp/hearth-doctor-XXXXXX";
};

// Small numbers that every machine allows: no function ever runs under them.
sandbox::SpawnerConfig trial_config(Mode mode, const EmptyFolder& folder,
                                    const std::vector<RuntimeInfo>& runtimes,
                                    uint32_t zygote_forks) {
  sandbox::SpawnerConfig config{};
  config.zygote_forks = zygote_forks;
  config.mode = mode;
  config.uid_base = 0x70000000;
  config.slots_max = 1;
  config.memory_max = mebibytes(512);
  config.tmp_bytes = config.tmp_max = mebibytes(16);
  config.nofile = 256;
  config.nproc = 64;
  sandbox::set_text(config.code_dir, folder.path());
  sandbox::set_text(config.shim_dir, folder.path());
  for (const RuntimeInfo& runtime : runtimes) {
    sandbox::RuntimeEntry& entry = config.runtimes[config.runtimes_count];
    if (!runtime.usable() || !sandbox::set_text(entry.path, runtime.real_path) ||
        !sandbox::set_text(entry.name, runtime.name))
      continue;
    entry.zygote = runtime.runtime == Runtime::python3 && runtime.number == 0 ? 1 : 0;
    ++config.runtimes_count;
  }
  return config;
}

// Starts a spawner in `mode`, reads its table of layers, and ends it.
Result<std::vector<TrialLayer>> layers_of(Mode mode, const std::vector<RuntimeInfo>& runtimes,
                                          uint32_t zygote_forks) {
  const EmptyFolder folder;
  if (!folder.valid()) return Error{Code::io_failed, "no folder can be made in /tmp"};
  sandbox::SpawnerProcess spawner =
      HEARTH_TRY(sandbox::start_spawner(trial_config(mode, folder, runtimes, zygote_forks)));
  constexpr milliseconds kReadyTimeout{15'000};
  const auto ready = sandbox::wait_ready(spawner, kReadyTimeout);
  spawner.lifeline.reset();
  spawner.control.reset();
  siginfo_t info{};
  while (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(spawner.pidfd.get()), &info,
                  WEXITED) != 0 &&
         errno == EINTR) {
  }
  if (!ready) return ready.error();
  std::vector<TrialLayer> layers;
  for (size_t i = 0; i < kLayers; ++i) {
    const sandbox::LayerState& state = ready->layers[i];
    layers.push_back({kLayerNames[i], state.on != 0,
                      std::string(state.reason, strnlen(state.reason, sizeof state.reason))});
  }
  const sandbox::LayerState& egress = ready->egress;
  layers.push_back({"egress", egress.on != 0,
                    egress.on != 0 ? "broker (seccomp user notification)" : egress.reason});
  layers.push_back({"generic zygote", ready->zygote.on != 0, ready->zygote.reason});
  return layers;
}

void try_sandbox(const Config& config, Trial& trial) {
  auto report = sandbox::probe();
  if (!report) {
    trial.probe_problem = report.error().message();
    trial.mode_problem = trial.probe_problem;
    return;
  }
  trial.items = report->items;
  const auto mode = mode_for(*report, config.sandbox);
  if (!mode) {
    trial.mode_problem = mode.error().message();
    return;
  }
  auto layers = layers_of(*mode, trial.runtimes, config.limits.pool_zygote_forks);
  if (!layers) {
    trial.mode_problem = layers.error().message();
    return;
  }
  trial.mode = mode_text(*mode);
  trial.layers = *std::move(layers);
}

}  // namespace

bool Trial::ready() const {
  bool interpreter = false;
  for (const RuntimeInfo& runtime : runtimes)
    interpreter = interpreter || (has_interpreter(runtime.runtime) && runtime.usable());
  return interpreter && !mode.empty();
}

Trial try_machine(const Config& config) {
  Trial trial;
  trial.runtimes = find_runtimes(config.runtimes);
  try_sandbox(config, trial);
  return trial;
}

}  // namespace hearth::cli
