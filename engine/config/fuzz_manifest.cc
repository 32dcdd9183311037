// Feeds arbitrary bytes to the readers of function.yaml, hearth.yaml and package.json. Whatever
// they take must pass its own checks.
#include <string>
#include <string_view>

#include "base/assert.h"
#include "config/config.h"
#include "config/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto manifest = hearth::parse_manifest(text, "function.yaml");
  if (manifest) {
    HEARTH_ASSERT(!manifest->has_name || hearth::valid_function_name(manifest->spec.name));
    HEARTH_ASSERT(manifest->spec.memory_bytes % hearth::mebibytes(1) == 0);
  } else {
    HEARTH_ASSERT(!manifest.error().detail.empty());
  }
  const auto config = hearth::parse_config(text, "hearth.yaml");
  if (config) HEARTH_ASSERT(hearth::validate(*config).has_value());
  const auto main = hearth::package_main(text, "package.json");
  if (main && main->has_value()) HEARTH_ASSERT((**main)[0] != '/');
  return 0;
}
