// The one handler of the HTTP server: request -> guard -> route -> Invoke, function URL, control
// plane, health or metrics. Loop thread only. A warm Invoke or function URL call allocates nothing
// here.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/call_table.h"
#include "api/control_handler.h"
#include "api/function_url.h"
#include "api/guard.h"
#include "api/invoke.h"
#include "api/request_observer.h"
#include "api/responder.h"
#include "api/route.h"
#include "base/buffer_pool.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/metrics_text.h"
#include "base/request_id.h"
#include "core/ports.h"
#include "http/server.h"

namespace hearth::api {

// Is the engine ready to take calls? `reason` (static storage) says what is missing.
struct Readiness {
  bool ready = true;
  std::string_view reason;
};

class Front final : public http::Handler {
 public:
  // What the references and pointers point to must outlive the front.
  struct Parts {
    InvokePort& port;
    BufferPool& buffers;
    const Limits& limits;
    const Clock& clock;
    RequestIdSource ids{};
    std::vector<std::string> allowed_hosts{};  // http.allowed_hosts, as in Guard
    ControlHandler* control = nullptr;         // none: its paths are unknown
    Callback<Readiness()> readiness{};         // none: always ready
    RequestObserver* observer = nullptr;
  };
  explicit Front(Parts parts);

  // Where answers go. The server takes its handler when it is made, so this comes after; no request
  // may come before it.
  void attach(http::Server& server);
  void attach(Responder& responder);

  // Another writer of metrics for /metrics; they run in the order in which they were added.
  void add_metrics(Callback<void(MetricsText&)> writer) { metrics_.push_back(writer); }

  http::HeadDecision on_head(const http::RequestHead& head) override;
  void on_request(ConnectionId connection, http::Request& request) override;
  void on_gone(ConnectionId connection) override;
  void on_writable(ConnectionId connection) override;
  void render_refusal(const http::Refusal& refusal, const http::RequestHead* head,
                      http::RefusalAnswer& answer) override;

  // Calls that wait for their outcome on behalf of a connection.
  uint32_t calls_in_flight() const { return calls_.in_flight(); }

 private:
  struct Refused {
    Code code;
    std::string_view detail;  // static storage
  };
  std::optional<Refused> check(const http::RequestHead& head, const Route& route) const;
  Route find_route(const http::RequestHead& head) const;
  bool is_control(const http::RequestHead& head, const Route& route) const;
  void on_readyz(ConnectionId connection);
  void on_metrics(ConnectionId connection);
  void append_own_metrics(MetricsText& out) const;

  const Limits& limits_;
  RequestIdSource ids_;
  Guard guard_;
  ControlHandler* control_;
  Callback<Readiness()> readiness_;
  CallTable calls_;
  InvokeApi invoke_;
  FunctionUrl function_url_;
  RequestObserver* observer_;
  std::unique_ptr<Responder> observed_;
  std::unique_ptr<Responder> server_;  // when attached to a server
  Responder* responder_ = nullptr;
  std::vector<Callback<void(MetricsText&)>> metrics_;
  uint64_t host_refused_ = 0;
  uint64_t browser_refused_ = 0;
};

}  // namespace hearth::api
