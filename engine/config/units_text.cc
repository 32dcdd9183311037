#include "config/units_text.h"

#include <fmt/core.h>

#include <array>
#include <charconv>

namespace hearth {
namespace {

using Wide = unsigned __int128;

struct Unit {
  std::string_view name;
  uint64_t factor;
};

constexpr std::array<Unit, 5> kDurationUnits = {{{"us", 1'000},
                                                 {"ms", 1'000'000},
                                                 {"s", 1'000'000'000},
                                                 {"m", 60'000'000'000},
                                                 {"h", 3'600'000'000'000}}};
constexpr std::array<Unit, 9> kSizeUnits = {{{"B", 1},
                                             {"KB", 1ull << 10},
                                             {"MB", 1ull << 20},
                                             {"GB", 1ull << 30},
                                             {"TB", 1ull << 40},
                                             {"KiB", 1ull << 10},
                                             {"MiB", 1ull << 20},
                                             {"GiB", 1ull << 30},
                                             {"TiB", 1ull << 40}}};

constexpr uint64_t kHundredYearsNs = 100ull * 365 * 24 * 3'600 * 1'000'000'000;
constexpr uint64_t kSizeMax = (1ull << 63) - 1;
constexpr size_t kDigitsMax = 18;  // on either side of the point: fits in 64 bits

bool digit(char c) { return c >= '0' && c <= '9'; }

// "1.5" as 15 / 10.
struct Decimal {
  uint64_t whole = 0;
  uint64_t fraction = 0;
  uint64_t denominator = 1;
  std::string_view unit;
};

std::optional<uint64_t> take_digits(std::string_view& text) {
  size_t n = 0;
  uint64_t value = 0;
  while (n < text.size() && digit(text[n])) {
    if (n == kDigitsMax) return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(text[n++] - '0');
  }
  if (n == 0 || (n > 1 && text[0] == '0')) return std::nullopt;
  text.remove_prefix(n);
  return value;
}

std::optional<Decimal> split(std::string_view text) {
  Decimal d;
  const auto whole = take_digits(text);
  if (!whole) return std::nullopt;
  d.whole = *whole;
  if (!text.empty() && text[0] == '.') {
    text.remove_prefix(1);
    size_t n = 0;
    while (n < text.size() && digit(text[n])) {
      if (n == kDigitsMax) return std::nullopt;
      d.fraction = d.fraction * 10 + static_cast<uint64_t>(text[n++] - '0');
      d.denominator *= 10;
    }
    if (n == 0) return std::nullopt;
    text.remove_prefix(n);
  }
  if (!text.empty() && text[0] == ' ') text.remove_prefix(1);
  d.unit = text;
  return d;
}

// whole * factor + fraction * factor / denominator, if that is whole and at most `max`.
// Both products stay below 10^18 * 2^43 < 2^103, so that 128 bits hold them.
std::optional<uint64_t> scale(const Decimal& d, uint64_t factor, uint64_t max) {
  const Wide part = Wide{d.fraction} * factor;
  if (part % d.denominator != 0) return std::nullopt;
  const Wide sum = Wide{d.whole} * factor + part / d.denominator;
  if (sum > max) return std::nullopt;
  return static_cast<uint64_t>(sum);
}

template <size_t N>
std::optional<uint64_t> parse_units(std::string_view text, const std::array<Unit, N>& units,
                                    Bare bare, uint64_t bare_factor, uint64_t max) {
  const auto d = split(text);
  if (!d) return std::nullopt;
  if (d->unit.empty()) {
    if (text.back() == ' ') return std::nullopt;
    if (d->whole == 0 && d->fraction == 0) return 0;
    if (bare == Bare::refused) return std::nullopt;
    return scale(*d, bare_factor, max);
  }
  for (const Unit& unit : units) {
    if (unit.name == d->unit) return scale(*d, unit.factor, max);
  }
  return std::nullopt;
}

}  // namespace

std::optional<nanoseconds> parse_duration(std::string_view text, Bare bare) {
  const auto ns = parse_units(text, kDurationUnits, bare, 1'000'000'000, kHundredYearsNs);
  if (!ns) return std::nullopt;
  return nanoseconds(static_cast<int64_t>(*ns));
}

std::optional<uint64_t> parse_size(std::string_view text, Bare bare) {
  return parse_units(text, kSizeUnits, bare, 1ull << 20, kSizeMax);
}

std::optional<uint64_t> parse_whole(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string format_duration(nanoseconds duration) {
  const auto ns = static_cast<uint64_t>(duration.count() < 0 ? 0 : duration.count());
  if (ns == 0) return "0s";
  for (size_t i = kDurationUnits.size(); i-- > 0;) {
    if (ns % kDurationUnits[i].factor == 0)
      return fmt::format("{}{}", ns / kDurationUnits[i].factor, kDurationUnits[i].name);
  }
  return fmt::format("{}ns", ns);
}

std::string format_size(uint64_t bytes) {
  constexpr size_t kShown = 5;  // B to TB
  for (size_t i = kShown; i-- > 1;) {
    if (bytes != 0 && bytes % kSizeUnits[i].factor == 0)
      return fmt::format("{}{}", bytes / kSizeUnits[i].factor, kSizeUnits[i].name);
  }
  return fmt::format("{}B", bytes);
}

}  // namespace hearth
