#include "function_layers.h"

#include <fmt/core.h>

#include <cstring>

#include "engine_view.h"

namespace hearth {

std::vector<MissingLayer> missing_layers(const FunctionSpec& spec,
                                         const sandbox::ReadyMessage& ready) {
  std::vector<MissingLayer> missing;
  for (size_t i = 0; i < static_cast<size_t>(sandbox::Layer::kLayersCount); ++i) {
    const auto layer = static_cast<sandbox::Layer>(i);
    const sandbox::LayerState& state = ready.layers[i];
    if (spec.runtime == Runtime::host) {
      missing.push_back({layer, "it runs in the process that the engine is embedded in"});
    } else if (state.on == 0) {
      missing.push_back({layer, {state.reason, strnlen(state.reason, sizeof state.reason)}});
    } else if (layer == sandbox::Layer::kNetNs && spec.network == Network::host) {
      missing.push_back({layer, "network: host; a broker keeps it from the engine's listeners"});
    }
  }
  return missing;
}

std::string describe_layers_of(const FunctionSpec& spec, const sandbox::ReadyMessage& ready) {
  std::string text = fmt::format("network {}", network_name(spec.network));
  const std::vector<MissingLayer> missing = missing_layers(spec, ready);
  if (missing.empty()) return text + ", all layers";
  const char* before = ", without ";
  for (const MissingLayer& one : missing) {
    text += fmt::format("{}{}", before, layer_name(one.layer));
    before = ", ";
  }
  return text;
}

}  // namespace hearth
