// What `hearth doctor` says about what is missing: why it is, what that means for functions, and
// the fix. Decides from a Trial and the machine's switches; looks at nothing itself.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/trial.h"

namespace hearth::cli {

// What bears on user namespaces. Nothing: this kernel has no such switch, or it can't be read.
struct MachineSwitches {
  bool root = false;                           // this process runs as uid 0
  std::optional<int64_t> max_user_namespaces;  // /proc/sys/user/max_user_namespaces
  std::optional<int64_t> userns_clone;         // /proc/sys/kernel/unprivileged_userns_clone
  std::optional<int64_t> apparmor_restricts;   // .../apparmor_restrict_unprivileged_userns
};

MachineSwitches read_switches();

struct Missing {
  std::string name;     // "sandbox mode", "uid of its own", "nodejs"
  std::string why;      // what was found
  std::string means;    // what functions do without, or can do that they should not
  std::string command;  // to type, as root where it says sudo; may be empty
  std::string config;   // a line for hearth.yaml that helps too; may be empty
  bool fatal = false;   // without it no daemon starts
};

// The fatal ones first, then layers in their order, then interpreters. What no daemon uses is not
// missing.
std::vector<Missing> what_is_missing(const Trial& trial, const SandboxConfig& config,
                                     const MachineSwitches& switches);

}  // namespace hearth::cli
