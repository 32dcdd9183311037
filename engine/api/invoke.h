// Lambda's Invoke: POST /2015-03-31/functions/NAME/invocations. Payloads and replies pass through
// unread. Loop thread only.
#pragma once
#include <array>
#include <string_view>

#include "api/call_table.h"
#include "api/responder.h"
#include "base/buffer_pool.h"
#include "core/ports.h"

namespace hearth::api {

inline constexpr size_t kClientContextMax = 3'583;  // bytes of X-Amz-Client-Context, base64
inline constexpr size_t kTraceIdMax =
    512;  // bytes of X-Amzn-Trace-Id; a longer one is not passed on
// {"clientContext":...,"traceId":"..."}: the decoded context as it is, the trace id with every byte
// escaped at most.
inline constexpr size_t kExtensionMax = kClientContextMax + 6 * kTraceIdMax + 64;
inline constexpr size_t kLogTailMax = 4'096;  // bytes of X-Amz-Log-Result before base64

// A call's extension JSON (protocol.md), built in place. The view is valid as long as this.
struct Extension {
  std::array<char, kExtensionMax> text;
  size_t size = 0;
  std::string_view view() const { return {text.data(), size}; }
  // `client_context_base64` may be empty. Error: invalid_request when it is too long, or not base64
  // of one JSON object.
  Status build(std::string_view client_context_base64, std::string_view trace_id);
};

// Writes what X-Amz-Log-Result holds before base64 (START, the log, what ended the call if the
// engine did, END, REPORT; the last kLogTailMax bytes of it) to `out`; returns the size. REPORT
// leaves out what is not known.
size_t write_log_result(std::array<char, kLogTailMax>& out, const Outcome& outcome, WallTime now);

class InvokeApi {
 public:
  // All references must outlive this. The responder is set before the first request.
  InvokeApi(InvokePort& port, BufferPool& buffers, const Clock& clock, CallTable& calls)
      : port_(port), buffers_(buffers), clock_(clock), calls_(calls) {}
  void attach(Responder& responder) { responder_ = &responder; }

  // `segment`: how the path names the function, as sent. Exactly one response follows.
  void on_request(ConnectionId connection, http::Request& request, std::string_view segment,
                  const RequestId& id);

 private:
  // What the request's headers and path ask for.
  struct Order {
    FunctionId function;
    bool dry_run = false;
    bool want_tail = false;
    std::string_view client_context;
    std::string_view trace_id;
  };
  Result<Order> read_order(const http::Request& request, std::string_view segment) const;
  void on_done(ConnectionId connection, const CallInfo& info, const Outcome& outcome);
  void answer(ConnectionId connection, const CallInfo& info, const Outcome& outcome,
              bool function_error, std::string_view body);

  InvokePort& port_;
  BufferPool& buffers_;
  const Clock& clock_;
  CallTable& calls_;
  Responder* responder_ = nullptr;
};

}  // namespace hearth::api
