// Points in time as answers show them. Any thread.
#pragma once
#include <string>

#include "base/clock.h"

namespace hearth::api {

// 2026-11-22T13:00:00.123+0000, as in Lambda's LastModified.
std::string aws_time_text(WallTime time);
// 2026-11-22T13:00:00.123Z.
std::string iso_time_text(WallTime time);

}  // namespace hearth::api
