// Durations and sizes as people write them in YAML and on command lines: `500ms`, `5s`, `2m`;
// `64KB`, `128MB`, `2GB` (MB = MiB). Exact: integers only inside, no rounding. Thread-safe.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace hearth {

// What a number without a unit means.
enum class Bare : uint8_t {
  refused,
  unit,  // durations: seconds; sizes: MB. As in Lambda's Timeout and MemorySize.
};

// Units: us, ms, s, m, h. A fraction is allowed if it is a whole number of nanoseconds ("1.5s"). 0
// needs no unit. Nothing for any other text, a negative number, or one past 100 years.
std::optional<nanoseconds> parse_duration(std::string_view text, Bare bare);

// Units: B, KB, MB, GB, TB and KiB, MiB, GiB, TiB, each of the same powers of 1024. 0 needs no
// unit. Nothing for any other text, a fraction of a byte, or what does not fit in 63 bits.
std::optional<uint64_t> parse_size(std::string_view text, Bare bare);

// A whole number in decimal. Nothing for signs, leading zeros (YAML 1.1 reads 012 as octal), other
// bases, or what does not fit.
std::optional<uint64_t> parse_whole(std::string_view text);

// The shortest exact form: 1500 ms is "1500ms", 120 s is "2m".
std::string format_duration(nanoseconds duration);
std::string format_size(uint64_t bytes);

// Sentences for error messages: which texts are a duration or a size.
inline constexpr std::string_view kDurationForm =
    "a number with a unit: us, ms, s, m or h, as in 500ms or 5s";
inline constexpr std::string_view kSizeForm = "a number with a unit: B, KB, MB or GB, as in 128MB";

}  // namespace hearth
