// The names that a policy may use for errno values and for the constants of arguments.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace hearth::sandbox {

std::optional<int> errno_value(std::string_view name);
std::optional<uint32_t> constant_value(std::string_view name);

}  // namespace hearth::sandbox
