// What the engine tells of itself: /metrics of core and workers, and the JSON of /hearth/v1. Loop
// thread only.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "api/engine_view.h"
#include "base/metrics_text.h"
#include "config/runtimes.h"
#include "core/dispatcher.h"
#include "loop/loop.h"
#include "store/log_files.h"
#include "store/unpack_process.h"
#include "worker/workers.h"

namespace hearth {

// A mode as it is written: "strict", "user", "degraded", "off".
std::string_view mode_name(sandbox::Mode mode);
std::string_view layer_name(sandbox::Layer layer);
// For doctor and logs: the mechanism of network: egress, or why there is none.
std::string egress_mechanism(const sandbox::ReadyMessage& ready);
// The same for network: host; `permitted` by network.allow_host.
std::string host_network_mechanism(const sandbox::ReadyMessage& ready, bool permitted);

class EngineStatus final : public api::EngineView {
 public:
  // References must outlive this.
  struct Sources {
    Loop& loop;
    Dispatcher& dispatcher;
    worker::Workers& workers;
    BufferPool& buffers;
    const Limits& limits;
    const std::vector<RuntimeInfo>& runtimes;
    std::string version;
    std::string state_dir;
    bool allow_host = false;  // network.allow_host
    MonotonicTime started;
    const LogFiles* logs = nullptr;
    const UnpackStats* unpack = nullptr;
  };
  explicit EngineStatus(Sources sources) : s_(std::move(sources)) {}

  void append_metrics(MetricsText& out);

  std::string version_json() const override;
  std::string state_json() const override;
  std::string sandbox_json() const override;
  std::string doctor_json() const override;
  std::string function_json(std::string_view function) const override;
  std::string functions_json() const;

 private:
  void append_functions(MetricsText& out);
  void append_pool(MetricsText& out);
  void append_pool_keys(MetricsText& out);
  void append_warm(MetricsText& out);
  void append_compile_caches(MetricsText& out);
  void append_zygotes(MetricsText& out);
  void append_sandbox(MetricsText& out);
  void append_loop(MetricsText& out);
  void append_unpacker(MetricsText& out);
  Sources s_;
};

}  // namespace hearth
