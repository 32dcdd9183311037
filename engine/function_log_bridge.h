// worker/'s log lines into store/'s log files.
#pragma once
#include <functional>
#include <utility>

#include "base/clock.h"
#include "store/log_files.h"
#include "worker/function_log.h"

namespace hearth {

// A line of a function's log; `level` is that of worker::LineLevel. Views are valid during the
// call.
struct FunctionLine {
  const FunctionSpec& spec;
  const RequestId* request_id = nullptr;  // of the call that wrote it; nullptr between calls
  int level = 0;
  std::string_view text;
  bool continued = false;  // the line goes on in the next one
};
using FunctionLineFn = std::function<void(const FunctionLine&)>;

class FunctionLogBridge final : public worker::FunctionLogSink {
 public:
  explicit FunctionLogBridge(const Clock& clock) : clock_(clock) {}
  // Lines before this are dropped: no function runs yet.
  void attach(LogFiles& files, FunctionLineFn also) {
    files_ = &files;
    also_ = std::move(also);
  }

  void line(const FunctionSpec& spec, const RequestId* request_id, worker::LineLevel level,
            std::string_view text, bool continued) override;

 private:
  const Clock& clock_;
  LogFiles* files_ = nullptr;
  FunctionLineFn also_;
};

}  // namespace hearth
