// What this machine can do without a daemon: for `hearth doctor`. Starts throwaway processes and
// blocks, at most about 30 s.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "config/runtimes.h"
#include "sandbox/probe.h"

namespace hearth::cli {

struct TrialLayer {
  std::string name;  // "pid namespace"
  bool on = false;
  std::string reason;  // why it is off
};

struct Trial {
  std::vector<RuntimeInfo> runtimes;
  std::vector<sandbox::ProbeItem> items;
  std::string probe_problem;  // the probe itself failed
  std::string mode;  // the mode that a daemon with this configuration would start in; empty: it
                     // would refuse to
  std::string mode_problem;        // why it would refuse, and the fix
  std::vector<TrialLayer> layers;  // of that mode, from a spawner that was started and ended

  // Would a daemon start, with at least one of the interpreters?
  bool ready() const;
};

Trial try_machine(const Config& config);

}  // namespace hearth::cli
