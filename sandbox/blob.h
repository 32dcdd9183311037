// The spawner program, byte for byte, as it was built beside this library.
#pragma once
#include <cstddef>
#include <span>

namespace hearth::sandbox {

// Static storage.
std::span<const std::byte> spawner_image();

}  // namespace hearth::sandbox
