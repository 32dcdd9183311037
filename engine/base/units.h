// Sizes in bytes with their unit in the name. MB means MiB everywhere in Hearth, as in Lambda.
#pragma once
#include <cstdint>

namespace hearth {

constexpr uint64_t kibibytes(uint64_t n) { return n << 10; }
constexpr uint64_t mebibytes(uint64_t n) { return n << 20; }
constexpr uint64_t gibibytes(uint64_t n) { return n << 30; }

}  // namespace hearth
