#include "function_log_bridge.h"

namespace hearth {

void FunctionLogBridge::line(const FunctionSpec& spec, const RequestId* request_id,
                             worker::LineLevel level, std::string_view text, bool continued) {
  static constexpr std::string_view kLevels[] = {"plain",   "debug", "info",
                                                 "warning", "error", "critical"};
  if (files_ == nullptr) return;
  char id[RequestId::kTextSize];
  LogRecord record;
  record.time = clock_.wall();
  if (request_id != nullptr) {
    request_id->write_text(id);
    record.request_id = {id, sizeof id};
  }
  record.revision = spec.revision;
  record.level = kLevels[static_cast<size_t>(level)];
  record.text = text;
  files_->append(spec.name, record);
  if (also_) also_({spec, request_id, static_cast<int>(level), text, continued});
}

}  // namespace hearth
