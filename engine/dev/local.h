// `hearth invoke --local`: one confined call in an engine of this process that lives for as long as
// the call.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "config/config.h"
#include "core/ports.h"

namespace hearth::dev {

struct LocalOptions {
  std::string folder;
  std::string event;  // JSON
  SandboxMode sandbox = SandboxMode::automatic;
  std::string env_file;
  // Every line that the function writes, as it comes.
  std::function<void(std::string_view)> on_line;
};

struct LocalOutcome {
  Outcome::Kind kind = Outcome::Kind::platform_error;
  Code code = Code::internal;  // meaningless for a reply
  std::string payload;         // the reply, or error JSON; empty for a platform error
  std::string detail;
  std::string function;
  std::string note;  // substitution_note(), or empty
  std::string request_id;
  microseconds init{0};
  microseconds exec{0};
  uint64_t memory_bytes = 0;
  int signal = 0;  // the call was interrupted by it; nothing else is meant then
};

// Blocks until the call has ended. Errors: what is wrong before any call: the folder (io_failed,
// manifest_invalid, archive_invalid, config_invalid, invalid_parameter), the machine (those of
// Engine::open).
Result<LocalOutcome> call_locally(const LocalOptions& options);

}  // namespace hearth::dev
