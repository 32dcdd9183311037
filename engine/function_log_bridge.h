// worker/'s log lines into store/'s log files.
#pragma once
#include "base/clock.h"
#include "store/log_files.h"
#include "worker/function_log.h"

namespace hearth {

class FunctionLogBridge final : public worker::FunctionLogSink {
 public:
  explicit FunctionLogBridge(const Clock& clock) : clock_(clock) {}
  // Lines before this are dropped: no function runs yet.
  void attach(LogFiles& files) { files_ = &files; }

  void line(const FunctionSpec& spec, const RequestId* request_id, worker::LineLevel level,
            std::string_view text, bool continued) override;

 private:
  const Clock& clock_;
  LogFiles* files_ = nullptr;
};

}  // namespace hearth
