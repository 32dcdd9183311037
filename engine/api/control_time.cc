#include "api/control_time.h"

#include <fmt/core.h>

namespace hearth::api {
namespace {

std::string time_text(WallTime time, std::string_view zone) {
  const auto since = std::chrono::floor<milliseconds>(time.time_since_epoch());
  const auto day = std::chrono::floor<std::chrono::days>(since);
  const std::chrono::year_month_day date{std::chrono::sys_days(day)};
  const auto ms = (since - day).count();
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}{}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     ms / 3'600'000, ms / 60'000 % 60, ms / 1'000 % 60, ms % 1'000, zone);
}

}  // namespace

std::string aws_time_text(WallTime time) { return time_text(time, "+0000"); }
std::string iso_time_text(WallTime time) { return time_text(time, "Z"); }

}  // namespace hearth::api
