#include <cstring>

#include "engine.h"
#include "hearth/hearth.h"

uint32_t hearth_abi_version(void) { return HEARTH_ABI_VERSION; }
const char* hearth_version(void) { return hearth::kEngineVersion; }

void hearth_init_struct(void* structure, uint32_t size) {
  std::memset(structure, 0, size);
  std::memcpy(structure, &size, sizeof size);  // every one of them begins with it
}
