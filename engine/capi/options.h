// hearth_options_t -> what the engine is opened with.
#pragma once
#include <optional>

#include "capi/hub.h"
#include "capi/log_sinks.h"
#include "engine.h"
#include "hearth/hearth.h"
#include "store/temporary_state.h"

namespace hearth::capi {

struct OpenPlan {
  EngineOptions engine;  // without log_sink; state_dir is empty: a temporary one is to be made
  Driver driver = Driver::library;
  HostLog log;
  std::optional<TemporaryState> temporary;
};

// `options` may be null. Errors: config_invalid, io_failed, listen_not_allowed.
Result<OpenPlan> read_options(const hearth_options_t* options);

}  // namespace hearth::capi
