// The host's log functions as the engine's sinks.
#pragma once
#include "engine.h"
#include "hearth/hearth.h"

namespace hearth::capi {

struct HostLog {
  hearth_log_fn fn = nullptr;
  void* ctx = nullptr;
};

// The engine's own log. THREAD-SAFE as far as the host's function is.
class HostLogSink final : public LogSink {
 public:
  explicit HostLogSink(HostLog log) : log_(log) {}
  void write(LogLevel level, std::string_view area, std::string_view text) override;

 private:
  const HostLog log_;
};

// The functions' lines. Empty without `fn`.
FunctionLineFn function_log(hearth_function_log_fn fn, void* ctx);

}  // namespace hearth::capi
