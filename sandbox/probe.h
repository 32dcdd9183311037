// What this machine allows: for `hearth doctor`, and for choosing the mode behind `auto`.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "sandbox/spawner_protocol.h"

namespace hearth::sandbox {

struct ProbeItem {
  std::string name;  // "mode strict", "user namespace"
  bool available;
  std::string detail;  // what was found
  std::string fix;     // what to do about it; empty when available
};

struct ProbeReport {
  std::vector<ProbeItem> items;
  Mode best =
      Mode::kOff;  // the strongest mode of which a trial sandbox started; kOff: not even degraded

  bool mode_works(Mode mode) const;
};

// Tries everything in throwaway children of the spawner program, never in this process. Blocks for
// about 30 ms, at most 20 s. Errors: io_failed, spawner_lost.
Result<ProbeReport> probe();

// `auto`: strict if it works, else user; degraded only with `allow_degraded`. sandbox_unavailable
// names what is missing and the fix.
enum class AllowDegraded : bool { kNo, kYes };
Result<Mode> choose_mode(const ProbeReport& report, AllowDegraded allow_degraded);

}  // namespace hearth::sandbox
