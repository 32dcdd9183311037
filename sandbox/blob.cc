#include "sandbox/blob.h"

extern "C" const std::byte hearth_blob_spawner_begin[], hearth_blob_spawner_end[];

namespace hearth::sandbox {

std::span<const std::byte> spawner_image() {
  return {hearth_blob_spawner_begin, hearth_blob_spawner_end};
}

}  // namespace hearth::sandbox
