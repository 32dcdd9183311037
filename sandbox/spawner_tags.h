// What an epoll event of the spawner belongs to: a slot's number, or one of these.
#pragma once
#include <cstdint>

namespace hearth::sandbox {

inline constexpr uint64_t kTagControl = 1ull << 32;
inline constexpr uint64_t kTagLifeline = 2ull << 32;
inline constexpr uint64_t kTagSignals = 3ull << 32;

}  // namespace hearth::sandbox
