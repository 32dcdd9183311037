#include "store/log_segments.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "store/files.h"

namespace hearth {
namespace {

constexpr std::string_view kSuffix = ".log";

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  if (text.empty() || result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return value;
}

}  // namespace

std::string segment_name(uint64_t number) { return fmt::format("{:08}{}", number, kSuffix); }

std::optional<uint64_t> segment_number(std::string_view name) {
  if (!name.ends_with(kSuffix)) return std::nullopt;
  name.remove_suffix(kSuffix.size());
  const auto number = parse_number(name);
  // Any other spelling of a number would not be found again by segment_name().
  if (!number || *number == 0 ||
      segment_name(*number) != std::string(name) + std::string(kSuffix)) {
    return std::nullopt;
  }
  return number;
}

Result<std::vector<uint64_t>> list_segments(int function_folder) {
  std::vector<uint64_t> numbers;
  for (const auto& name : HEARTH_TRY(list_names(function_folder))) {
    if (const auto number = segment_number(name)) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::string LogCursor::text() const { return fmt::format("{}:{}", segment, offset); }

std::optional<LogCursor> parse_log_cursor(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == text.npos) return std::nullopt;
  const auto segment = parse_number(text.substr(0, colon));
  const auto offset = parse_number(text.substr(colon + 1));
  if (!segment || !offset) return std::nullopt;
  return LogCursor{*segment, *offset};
}

}  // namespace hearth
