// Which layers of the sandbox hold a function's workers: those of the engine, but for what the
// function's own settings or its runtime leave out. Pure functions.
#pragma once
#include <string>
#include <vector>

#include "core/function_spec.h"
#include "sandbox/spawner_protocol.h"

namespace hearth {

struct MissingLayer {
  sandbox::Layer layer{};
  std::string reason;
};

// In the order of sandbox::Layer. A function of the host has none at all.
std::vector<MissingLayer> missing_layers(const FunctionSpec& spec,
                                         const sandbox::ReadyMessage& ready);

// For the log: "network none, all layers", or "network host, without network_namespace (...)".
std::string describe_layers_of(const FunctionSpec& spec, const sandbox::ReadyMessage& ready);

}  // namespace hearth
