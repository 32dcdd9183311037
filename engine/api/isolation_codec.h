// Isolation <-> the fields of the "Hearth" object: CpuMillis, Network, NetworkAllow, Sandbox,
// Leftovers, Recycle {MaxCalls, MaxAgeMs, MaxRssBytes}, Zygote, TmpBytes, InitTimeoutMs. Any
// thread; no state.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "store/function_record.h"

namespace hearth::api {

// What of it `hearth` names. Errors: invalid_parameter, which names the field and what is allowed.
Result<IsolationPatch> read_isolation(const nlohmann::json& hearth);
// Every field, so that who reads it needs no defaults.
void add_isolation(nlohmann::json& hearth, const Isolation& isolation);

}  // namespace hearth::api
