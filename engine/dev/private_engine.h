// An engine of this process alone, on a temporary state folder.
#pragma once
#include <memory>
#include <string>

#include "engine.h"
#include "store/temporary_state.h"

namespace hearth::dev {

// `state_dir` is the temporary folder.
Config private_config(const std::string& state_dir, SandboxMode sandbox);

// The folder: outside of /tmp where functions could write to it. Errors: state_unusable.
Result<TemporaryState> make_state(SandboxMode sandbox);

// Engine::open(), without the half of its time in which the mode `auto` tries what the machine can:
// the best mode for this user is tried first. Errors: those of Engine::open().
Result<std::unique_ptr<Engine>> open_private_engine(EngineOptions options);

}  // namespace hearth::dev
