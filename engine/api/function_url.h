// Function URLs: /fn/NAME/any/path and NAME.localhost, any method. The request becomes an API
// Gateway v2.0 event, the reply a response. Loop thread only.
#pragma once
#include <string_view>

#include "api/call_table.h"
#include "api/http_event.h"
#include "api/http_reply.h"
#include "api/responder.h"
#include "api/route.h"
#include "base/buffer_pool.h"
#include "core/ports.h"

namespace hearth::api {

class FunctionUrl {
 public:
  // All references must outlive this. The responder is set before the first request.
  FunctionUrl(InvokePort& port, BufferPool& buffers, const Clock& clock, CallTable& calls)
      : port_(port), buffers_(buffers), calls_(calls), events_(buffers, clock) {}
  void attach(Responder& responder) { responder_ = &responder; }

  // `route` is a function_url or function_host. Exactly one response follows: the function's own;
  // 502 or 504 when it failed, whose text tells the public nothing (the cause is in X-Hearth-Error,
  // the log under X-Amzn-RequestId); or the catalogue's error when the platform refuses.
  void on_request(ConnectionId connection, http::Request& request, const Route& route,
                  const RequestId& id);

  // Replies that were not of the shape that the response needs.
  uint64_t invalid_replies() const { return invalid_replies_; }
  // Replies that were streamed; of these, those that broke off after the response had begun.
  uint64_t streams() const { return streams_; }
  uint64_t broken_streams() const { return broken_streams_; }

 private:
  void on_done(ConnectionId connection, const CallInfo& info, const Outcome& outcome);
  Flow on_part(ConnectionId connection, CallInfo& info, const ReplyPart& part);
  Status read_head(const ReplyPart& part, const ReplyRules& rules, HttpReply& reply);
  bool begin(ConnectionId connection, CallInfo& info, const ReplyPart& part);
  void end_stream(ConnectionId connection, const Outcome& outcome);
  void answer(ConnectionId connection, const CallInfo& info, const Outcome& outcome);
  // `detail` has static storage or is empty: what the function's author has to know, and nobody
  // else is harmed by.
  void answer_failure(ConnectionId connection, const RequestId& id, Code code,
                      std::string_view detail);

  InvokePort& port_;
  BufferPool& buffers_;
  CallTable& calls_;
  HttpEventWriter events_;
  Responder* responder_ = nullptr;
  uint64_t invalid_replies_ = 0;
  uint64_t streams_ = 0;
  uint64_t broken_streams_ = 0;
};

}  // namespace hearth::api
