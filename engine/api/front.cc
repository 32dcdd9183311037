#include "api/front.h"

#include "api/error_reply.h"
#include "api/http_metrics.h"
#include "base/json_text.h"

namespace hearth::api {
namespace {

bool serves_function(RouteKind kind) {
  return kind == RouteKind::function_url || kind == RouteKind::function_host;
}

bool open_to_pages(RouteKind kind) {
  return serves_function(kind) || kind == RouteKind::healthz || kind == RouteKind::readyz;
}

}  // namespace

Front::Front(Parts parts)
    : limits_(parts.limits),
      ids_(parts.ids),
      guard_(std::move(parts.allowed_hosts)),
      control_(parts.control),
      readiness_(parts.readiness),
      calls_(parts.port, parts.limits.connections_max),
      invoke_(parts.port, parts.buffers, parts.clock, calls_),
      function_url_(parts.port, parts.buffers, parts.clock, calls_),
      observer_(parts.observer) {
  if (observer_ != nullptr) calls_.observe(*observer_);
}

void Front::attach(Responder& responder) {
  responder_ = &responder;
  if (observer_ != nullptr) {
    observed_ = std::make_unique<ObservedResponder>(responder, *observer_);
    responder_ = observed_.get();
  }
  invoke_.attach(*responder_);
  function_url_.attach(*responder_);
}

Route Front::find_route(const http::RequestHead& head) const {
  const Route route = route_of(head);
  if (observer_ == nullptr || route.kind != RouteKind::other || is_control(head, route))
    return route;
  const std::string_view root = observer_->root_function();
  if (root.empty() || head.functions_only || !head.path.starts_with('/')) return route;
  return {RouteKind::function_host, root, head.path};
}

bool Front::is_control(const http::RequestHead& head, const Route& route) const {
  return route.kind == RouteKind::other && !head.functions_only && control_ != nullptr &&
         control_->matches(head);
}

std::optional<Front::Refused> Front::check(const http::RequestHead& head,
                                           const Route& route) const {
  // A public listener is reached by names that are not ours to know; what it serves is public by
  // intent.
  if (!head.functions_only && !guard_.host_allowed(head.host)) {
    return Refused{Code::host_not_allowed,
                   "use localhost, a loopback address, or add the name to http.allowed_hosts"};
  }
  if (!open_to_pages(route.kind) && Guard::from_browser_page(head)) {
    return Refused{Code::browser_request,
                   "requests with Origin, or Sec-Fetch-Site other than none, are refused here"};
  }
  if (route.kind == RouteKind::other && !is_control(head, route))
    return Refused{Code::route_unknown, {}};
  const bool reads_only = route.kind == RouteKind::healthz || route.kind == RouteKind::readyz ||
                          route.kind == RouteKind::metrics;
  if (reads_only && head.method != "GET" && head.method != "HEAD")
    return Refused{Code::method_not_allowed, "GET, HEAD"};
  return std::nullopt;
}

http::HeadDecision Front::on_head(const http::RequestHead& head) {
  using Body = http::HeadDecision::Body;
  const Route route = find_route(head);
  const bool has_calls = serves_function(route.kind) || route.kind == RouteKind::invoke;
  // Without a body there is nothing to decide yet, and on_request() can answer with all headers.
  if (!head.has_body && route.kind != RouteKind::other) return {Body::buffer, 0, {}, {}};
  if (const auto refused = check(head, route)) {
    if (!head.has_body) return {Body::buffer, 0, {}, {}};
    if (refused->code == Code::host_not_allowed) ++host_refused_;
    if (refused->code == Code::browser_request) ++browser_refused_;
    return {Body::refuse, 0, refused->code, refused->detail};
  }
  if (has_calls) return {Body::buffer, limits_.invoke_body_max, {}, {}};
  if (route.kind == RouteKind::other) return control_->on_head(head);
  return {Body::buffer, 0, {}, {}};
}

void Front::on_request(ConnectionId connection, http::Request& request) {
  const RequestId id = ids_.next();
  const Route route = find_route(request);
  // A request with a body has passed on_head().
  if (const auto refused = request.has_body ? std::nullopt : check(request, route)) {
    if (refused->code == Code::host_not_allowed) ++host_refused_;
    if (refused->code == Code::browser_request) ++browser_refused_;
    return respond_error(*responder_, connection, id, refused->code, refused->detail);
  }
  if (observer_ != nullptr && (serves_function(route.kind) || route.kind == RouteKind::invoke))
    observer_->on_call(connection, request, route.function, id);
  switch (route.kind) {
    case RouteKind::invoke:
      return invoke_.on_request(connection, request, route.function, id);
    case RouteKind::function_url:
    case RouteKind::function_host:
      return function_url_.on_request(connection, request, route, id);
    case RouteKind::other:
      return control_->on_request(connection, request);
    case RouteKind::healthz:
      responder_->respond(connection, {200, "application/json", {}}, R"({"status":"ok"})");
      return;
    case RouteKind::readyz:
      return on_readyz(connection);
    case RouteKind::metrics:
      return on_metrics(connection);
  }
}

void Front::on_gone(ConnectionId connection) {
  if (observer_ != nullptr) observer_->on_gone(connection);
  calls_.gone(connection);
  if (control_ != nullptr) control_->on_gone(connection);
}

void Front::on_writable(ConnectionId connection) {
  calls_.go_on(connection);
  if (control_ != nullptr) control_->on_writable(connection);
}

void Front::render_refusal(const http::Refusal& refusal, const http::RequestHead* /*head*/,
                           http::RefusalAnswer& answer) {
  render_error(answer, ids_.next(), refusal.code, refusal.detail);
}

void Front::on_readyz(ConnectionId connection) {
  const Readiness state = readiness_ ? readiness_() : Readiness{};
  if (state.ready) {
    responder_->respond(connection, {200, "application/json", {}}, R"({"status":"ready"})");
    return;
  }
  std::string body = R"({"status":"not_ready","reason":)";
  append_json_string(body, state.reason);
  body += "}";
  responder_->respond(connection, {503, "application/json", {}}, body);
}

void Front::on_metrics(ConnectionId connection) {
  std::string body;
  MetricsText out(body);
  append_http_metrics(responder_->stats(), out);
  append_own_metrics(out);
  for (const auto& writer : metrics_) writer(out);
  responder_->respond(connection, {200, "text/plain; version=0.0.4; charset=utf-8", {}}, body);
}

void Front::append_own_metrics(MetricsText& out) const {
  out.family("hearth_api_refused_total", MetricsText::Type::counter,
             "Requests that the guard refused.");
  out.sample({{"reason", name(Code::host_not_allowed)}}, host_refused_);
  out.sample({{"reason", name(Code::browser_request)}}, browser_refused_);
  out.counter("hearth_api_invalid_replies_total",
              "Replies to function URLs that had not the shape of a response.",
              function_url_.invalid_replies());
  out.counter("hearth_api_streams_total", "Replies that were streamed to function URLs.",
              function_url_.streams());
  out.counter("hearth_api_broken_streams_total", "Of these, those that broke off.",
              function_url_.broken_streams());
  out.gauge("hearth_api_waiting_clients", "Connections that wait for the outcome of a call.",
            calls_.in_flight());
}

}  // namespace hearth::api
