// Sample events with the values that a caller chose, as their service would have sent them.
#pragma once
#include <map>
#include <string>

#include "base/result.h"
#include "kit/kit.h"

namespace hearth::cli {

// `event` with `fields` ("method": "POST") in the places where that event has them, and what
// depends on them: lengths, hashes, the parsed query. Without fields it is event.json as it stands.
// Errors (usage, detail says which field and what is allowed): the event has no such field, or the
// value can't be there.
Result<std::string> fill_event(const kit::SampleEvent& event,
                               const std::map<std::string, std::string>& fields);

}  // namespace hearth::cli
