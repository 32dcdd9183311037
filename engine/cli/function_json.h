// FunctionSpec <-> the JSON of the Lambda API, with Hearth's own fields in the object "Hearth".
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "core/function_spec.h"

namespace hearth::cli {

// The fields that UpdateFunctionConfiguration takes: Runtime, Handler, Timeout (whole seconds,
// rounded up), MemorySize (MB), Description, Environment.Variables and Hearth {TimeoutMs,
// Concurrency, Network and the rest of Isolation}. Every field is there, so that what the folder no
// longer says goes back to its default.
nlohmann::json configuration_json(const FunctionSpec& spec);

// Does `current`, a configuration as the daemon answers it, say the same as `spec`? Fields that the
// daemon leaves out count as defaults.
bool same_configuration(const FunctionSpec& spec, const nlohmann::json& current);

// For a function whose runtime names a version that is not there: "python3.12 is not there; version
// 3.11.2 runs it". Else empty.
std::string substitution_note(const nlohmann::json& configuration);

// Hearth.Revision, else RevisionId, cut to 12 characters for people.
std::string short_revision(const nlohmann::json& configuration);
std::string full_revision(const nlohmann::json& configuration);

}  // namespace hearth::cli
