#include "cli/advice.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "config/read_file.h"

namespace hearth::cli {
namespace {

struct Meaning {
  std::string_view layer;
  std::string_view without;  // what a function can do then
};
constexpr Meaning kMeanings[] = {
    {"pid namespace",
     "a function sees the machine's processes, and can signal those of its own uid"},
    {"mount namespace", "a function sees every file that its uid may read"},
    {"network namespace", "a function reaches the network and the machine's loopback services"},
    {"ipc namespace", "a function shares System V memory and queues with the machine"},
    {"uts namespace", "a function sees the machine's host name"},
    {"cgroup namespace", "a function sees the machine's cgroups"},
    {"read-only root", "a function may write wherever its uid may"},
    {"private /tmp", "a function shares /tmp with every other program"},
    {"uid of its own",
     "whoever breaks out of one worker has the rights of the daemon's user, as the other workers "
     "have"},
    {"no capabilities", "a function keeps the daemon's privileges"},
    {"no_new_privs", "a function can gain rights by set-uid programs"},
    {"seccomp filter", "every system call of the kernel is open to a function"},
    {"resource limits", "a function can take all of the machine's memory and processes"},
    {"code read-only", "a function can change its own code, for the calls that come after"},
    {"landlock", "files, signals and abstract sockets have one lock less"},
    {"cgroup: memory",
     "memory is limited for each process of a function, not for all of them together"},
    {"cgroup: cpu", "a function can take all CPUs; its quota has no effect"},
    {"cgroup: processes", "processes are limited by user, not by function"},
    {"cgroup: io", "the disk I/O of functions has no fair shares"},
    {"freezer", "what a function leaves running after a call goes on running"},
    {"generic zygote",
     "a parked Python worker takes an interpreter's start and 4 MB more of memory"},
    {"not dumpable", "processes of the daemon's user can look into its memory"},
};

constexpr const char* kAllowDegraded =
    "sandbox: {allow_degraded: true}   # weaker: no namespaces at all";

std::string_view meaning_of(std::string_view layer, std::string_view mode) {
  if (layer == "landlock" && mode == "degraded")
    return "a function reads and writes all that its uid may: without root that is the daemon's, "
           "with the state folder and every function's code";
  for (const Meaning& meaning : kMeanings)
    if (meaning.layer == layer) return meaning.without;
  return "";
}

std::optional<int64_t> number_in(const char* path) {
  const auto text = read_file(path, 64, Code::io_failed);
  if (!text) return std::nullopt;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

const sandbox::ProbeItem* item_of(const Trial& trial, std::string_view name) {
  for (const sandbox::ProbeItem& item : trial.items)
    if (item.name == name) return &item;
  return nullptr;
}

bool works(const Trial& trial, std::string_view name) {
  const sandbox::ProbeItem* item = item_of(trial, name);
  return item != nullptr && item->available;
}

std::string detail_of(const Trial& trial, std::string_view name) {
  const sandbox::ProbeItem* item = item_of(trial, name);
  return item == nullptr ? "it was not tried" : item->detail;
}

std::string sysctl(std::string_view setting) {
  return fmt::format("sudo sysctl -w {}   # until the next boot; a file in /etc/sysctl.d keeps it",
                     setting);
}

// Why plain users get no user namespaces, and the command against it.
void explain_user_namespaces(const Trial& trial, const MachineSwitches& switches,
                             Missing& missing) {
  if (switches.max_user_namespaces == 0) {
    missing.why = "user namespaces are off: user.max_user_namespaces is 0";
    missing.command = sysctl("user.max_user_namespaces=65536");
  } else if (switches.userns_clone == 0) {
    missing.why = "user namespaces are root's alone: kernel.unprivileged_userns_clone is 0";
    missing.command = sysctl("kernel.unprivileged_userns_clone=1");
  } else if (switches.apparmor_restricts.value_or(0) != 0) {
    missing.why =
        "AppArmor keeps user namespaces from plain users: "
        "kernel.apparmor_restrict_unprivileged_userns is 1";
    missing.command = sysctl("kernel.apparmor_restrict_unprivileged_userns=0");
  } else {
    missing.why = fmt::format("mode user: {}", detail_of(trial, "mode user"));
    // The switches are as they should be: something around this process filters its calls.
    missing.command = works(trial, "user namespace")
                          ? ""
                          : "in a container: docker run --security-opt seccomp=unconfined "
                            "--security-opt systempaths=unconfined";
  }
}

// Kernel features that every mode needs; with the version that has them.
std::optional<Missing> missing_feature(const Trial& trial) {
  for (const char* name : {"seccomp filter", "close_range", "mount_setattr"}) {
    const sandbox::ProbeItem* item = item_of(trial, name);
    if (item == nullptr || item->available) continue;
    return Missing{.name = name,
                   .why = fmt::format("{}; it {}", item->detail, item->fix),
                   .means = "no sandbox can be made",
                   .command = "uname -r",
                   .config = "",
                   .fatal = true};
  }
  return std::nullopt;
}

// No mode works that the configuration allows.
Missing missing_mode(const Trial& trial, const SandboxConfig& config,
                     const MachineSwitches& switches) {
  if (auto feature = missing_feature(trial)) return *std::move(feature);
  Missing missing;
  missing.name = "sandbox mode";
  missing.means = "the daemon refuses to start rather than run functions unconfined";
  missing.fatal = true;
  const bool wants_strict = config.mode == SandboxMode::strict;
  if (trial.items.empty()) {
    missing.why = trial.mode_problem;
  } else if (config.mode == SandboxMode::degraded && !config.allow_degraded) {
    missing.why = "sandbox.mode is degraded, which has to be allowed by name";
    missing.config = "sandbox: {mode: degraded, allow_degraded: true}";
  } else if (!wants_strict && !switches.root) {
    explain_user_namespaces(trial, switches, missing);
    if (config.mode == SandboxMode::automatic && works(trial, "mode degraded"))
      missing.config = kAllowDegraded;
  } else {
    const std::string detail = detail_of(trial, "mode strict");
    missing.why = detail.starts_with("strict mode") ? detail : "mode strict: " + detail;
    missing.command = switches.root
                          ? "in a container: docker run --privileged; else start it as the "
                            "machine's root"
                          : "sudo hearth serve";
    if (wants_strict && works(trial, "mode user")) missing.config = "sandbox: {mode: user}";
    if (config.mode == SandboxMode::automatic && works(trial, "mode degraded"))
      missing.config = kAllowDegraded;
  }
  if (missing.why.empty()) missing.why = trial.mode_problem;
  return missing;
}

// The fix for a layer that no other mode has either.
std::string machine_fix(std::string_view layer) {
  if (layer == "cgroup: io")
    return "add systemd.unified_cgroup_hierarchy=1 to the kernel's command line and boot: that is "
           "cgroup version 2";
  if (layer.starts_with("cgroup: ") || layer == "freezer")
    return "in a container: docker run --privileged --cgroupns=host; else as root: mount -t "
           "cgroup2 "
           "none /sys/fs/cgroup";
  if (layer == "landlock")
    return "add landlock to lsm= on the kernel's command line and boot; cat "
           "/sys/kernel/security/lsm lists what is on";
  return {};
}

// The fix for a layer that the mode in use lacks.
void explain_layer(const Trial& trial, const MachineSwitches& switches, Missing& missing) {
  if (trial.mode == "off") {
    missing.config = "sandbox: {mode: auto}";
  } else if (trial.mode == "degraded") {
    if (switches.root) {
      missing.command = "in a container: docker run --privileged";
    } else {
      const std::string why = missing.why;
      explain_user_namespaces(trial, switches, missing);
      missing.why = fmt::format("{} ({})", missing.why, why);
    }
  } else if (trial.mode == "user") {
    if (works(trial, "mode strict")) {
      missing.config = "sandbox: {mode: strict}";
    } else {
      missing.command = "sudo hearth serve";
    }
  }
  if (trial.mode == "strict" || missing.name == "landlock" || missing.name == "cgroup: io")
    missing.command = machine_fix(missing.name);
}

// Layers that are off for one reason are one entry: their fix is one, too.
void add_layers(const Trial& trial, const MachineSwitches& switches, std::vector<Missing>& all) {
  std::vector<std::string> reasons;
  for (const TrialLayer& layer : trial.layers) {
    const bool unneeded =
        layer.reason.starts_with("not needed") || layer.reason.starts_with("switched off");
    if (layer.on || unneeded) continue;
    const std::string means = std::string(meaning_of(layer.name, trial.mode));
    const auto same = std::find(reasons.begin(), reasons.end(), layer.reason);
    if (same == reasons.end()) {
      Missing missing{.name = layer.name, .why = layer.reason, .means = means};
      explain_layer(trial, switches, missing);
      reasons.push_back(layer.reason);
      all.push_back(std::move(missing));
      continue;
    }
    Missing& missing = all[all.size() - static_cast<size_t>(reasons.end() - same)];
    missing.name += ", " + layer.name;
    if (!means.empty()) missing.means += (missing.means.empty() ? "" : "; ") + means;
  }
}

void add_runtimes(const Trial& trial, std::vector<Missing>& all) {
  const bool none =
      std::none_of(trial.runtimes.begin(), trial.runtimes.end(),
                   [](const RuntimeInfo& r) { return has_interpreter(r.runtime) && r.usable(); });
  for (const RuntimeInfo& runtime : trial.runtimes) {
    if (runtime.usable()) continue;
    if (runtime.number != 0) {
      all.push_back(Missing{
          .name = fmt::format("{} at {}", runtime.name, runtime.path),
          .why = runtime.problem,
          .means =
              fmt::format("no function runs on it; runtimes.{}.others names it", runtime.name)});
      continue;
    }
    all.push_back(
        Missing{.name = runtime.name,
                .why = runtime.problem,
                .means = fmt::format("functions with runtime {} are refused", runtime.name),
                .command = fmt::format("sudo apt-get install {}", runtime.name),
                .config = fmt::format("runtimes: {{{}: {{path: /path/to/{}}}}}", runtime.name,
                                      runtime.runtime == Runtime::nodejs ? "node" : "python3"),
                .fatal = none});
  }
}

}  // namespace

MachineSwitches read_switches() {
  MachineSwitches switches;
  switches.root = ::geteuid() == 0;
  switches.max_user_namespaces = number_in("/proc/sys/user/max_user_namespaces");
  switches.userns_clone = number_in("/proc/sys/kernel/unprivileged_userns_clone");
  switches.apparmor_restricts = number_in("/proc/sys/kernel/apparmor_restrict_unprivileged_userns");
  return switches;
}

std::vector<Missing> what_is_missing(const Trial& trial, const SandboxConfig& config,
                                     const MachineSwitches& switches) {
  std::vector<Missing> all;
  if (trial.mode.empty()) all.push_back(missing_mode(trial, config, switches));
  add_layers(trial, switches, all);
  add_runtimes(trial, all);
  std::stable_partition(all.begin(), all.end(), [](const Missing& m) { return m.fatal; });
  return all;
}

}  // namespace hearth::cli
