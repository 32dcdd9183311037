// Hears of every call that comes by HTTP, while it comes and when it ends: for `hearth dev`. Loop
// thread only. Views are valid during the callback only; nothing here may end a connection.
#pragma once
#include <string_view>

#include "base/ids.h"
#include "base/request_id.h"
#include "core/ports.h"
#include "http/message.h"

namespace hearth::api {

class RequestObserver {
 public:
  virtual ~RequestObserver() = default;
  // A request for a function; `function` is as the request names it. One of on_response() and
  // on_gone() follows.
  virtual void on_call(ConnectionId connection, const http::RequestHead& head,
                       std::string_view function, const RequestId& id) = 0;
  // Its call has ended; the response is next. Does not come when the call was refused.
  virtual void on_outcome(ConnectionId connection, const Outcome& outcome) = 0;
  // A response on this connection, also one that is not a call's.
  virtual void on_response(ConnectionId connection, uint16_t status) = 0;
  virtual void on_gone(ConnectionId connection) = 0;
  // The function that is served at every path that nobody else serves; empty: none.
  virtual std::string_view root_function() const { return {}; }
};

}  // namespace hearth::api
