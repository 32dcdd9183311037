// Config -> what the spawner is told once at its start, and the shims' folder that it needs.
#pragma once
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "config/runtimes.h"
#include "sandbox/spawner_protocol.h"

namespace hearth {

// Writes the embedded shims to STATE/runtimes/<hash>/, once for each version of them, readable by
// every user; returns that folder. Folders of other versions are removed. Errors: state_unusable,
// disk_full.
Result<std::string> write_shims(const std::string& state_dir);

// The spawner's table and ceilings; the table has the order of `runtimes`. Runtimes that were not
// found get no entry that could be started. Errors: config_invalid (a path too long).
Result<sandbox::SpawnerConfig> spawner_config(const Config& config,
                                              const std::vector<RuntimeInfo>& runtimes,
                                              const std::string& shim_dir, sandbox::Mode mode);

}  // namespace hearth
