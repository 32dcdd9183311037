// What the front needs of the control plane, so that the two halves of this folder compile apart.
// Loop thread only.
#pragma once
#include "http/server.h"

namespace hearth::api {

class ControlHandler {
 public:
  virtual ~ControlHandler() = default;
  // Is this path one of the control plane's? Asked after Invoke, function URLs, health and metrics;
  // looks at the path only, so that a wrong method on a known path is answered here (405) and not
  // by the front (404).
  virtual bool matches(const http::RequestHead& head) const = 0;
  // Asked for every request that matches, after the guard has let it pass: how much body may come,
  // and where to.
  virtual http::HeadDecision on_head(const http::RequestHead& head) = 0;
  // The request is complete and the guard has let it pass. Exactly one response must follow, as in
  // http::Handler::on_request.
  virtual void on_request(ConnectionId connection, http::Request& request) = 0;
  // The client of an unanswered request is gone. Also called for connections whose request was not
  // the control plane's: ignore those.
  virtual void on_gone(ConnectionId connection) = 0;
  // As in http::Handler: a streamed response may go on. Only the control plane streams.
  virtual void on_writable(ConnectionId) {}
};

}  // namespace hearth::api
