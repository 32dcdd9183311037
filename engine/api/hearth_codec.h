// The JSON of /hearth/v1: what Lambda's API has no words for. Any thread; no shared state.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "store/function_record.h"
#include "store/log_reader.h"

namespace hearth::api {

// One function.
std::string hearth_function_json(const FunctionRecord& record);
// Puts EngineView::function_json()'s text into the above as "live"; an empty one leaves it out.
void add_live_figures(std::string& function_json, std::string_view live);
// {"functions":[...],"next_marker":...} out of texts of the above.
std::string hearth_list_json(const std::vector<std::string>& functions,
                             std::string_view next_marker);
// {"lines":[{"time","request_id","revision","level","text"}],"cursor","lost"}; request_id and
// revision are null where the log has none.
std::string logs_json(const LogPage& page);

}  // namespace hearth::api
