#include "api/control_api.h"

#include <array>

#include "api/control_upload.h"
#include "api/error_reply.h"
#include "api/hearth_codec.h"

namespace hearth::api {
namespace {

constexpr const char* kBusy = "try again in a second";

// Host has been checked by the guard: a name or literal with an optional port.
std::string origin_of(const http::RequestHead& head) {
  return "http://" + std::string(head.host.empty() ? std::string_view("localhost") : head.host);
}

// A request id in text form, as a header.
struct IdHeader {
  explicit IdHeader(const RequestId& id) { id.write_text(text.data()); }
  http::HeaderView view() const { return {"X-Amzn-RequestId", {text.data(), text.size()}}; }
  std::array<char, RequestId::kTextSize> text;
};

}  // namespace

ControlApi::ControlApi(Parts parts)
    : store_(parts.store),
      limits_(parts.limits),
      view_(parts.view),
      ids_(parts.ids),
      downloads_(parts.store, parts.loop) {}

void ControlApi::attach(http::Server& server) {
  server_.emplace(server);
  attach(*server_);
}

void ControlApi::attach(Responder& responder) {
  responder_ = &responder;
  downloads_.attach(responder);
}

bool ControlApi::matches(const http::RequestHead& head) const { return is_control_path(head.path); }

http::HeadDecision ControlApi::on_head(const http::RequestHead& head) {
  using Body = http::HeadDecision::Body;
  if (brings_code(head)) return {Body::spool, limits_.code_upload_max, {}, {}};
  return {Body::buffer, kControlJsonMax, {}, {}};
}

void ControlApi::on_request(ConnectionId connection, http::Request& request) {
  const RequestId id = ids_.next();
  auto route = control_route(request);
  if (!route) {
    return respond_error(*responder_, connection, id, route.error().code, route.error().detail);
  }
  const ControlOp op = route->op;
  if (answer_from_view(connection, id, op)) return;
  auto call = std::make_shared<ControlCall>();
  call->route = std::move(*route);
  call->query = request.query;
  call->origin = origin_of(request);
  if (request.spool != nullptr) {
    call->spool = std::move(*request.spool);
    call->spool_size = request.spool_size;
  } else {
    call->body = request.body;
  }
  const bool posted = is_upload(op) ? post_upload(connection, id, call)
                                    : store_.post([=, this](FunctionService& service) {
                                        answer_later(connection, id, op,
                                                     run_control(*call, service, store_.logs()));
                                      });
  if (!posted) respond_error(*responder_, connection, id, Code::store_busy, kBusy);
}

bool ControlApi::post_upload(ConnectionId connection, const RequestId& id,
                             const std::shared_ptr<ControlCall>& call) {
  return store_.post_code([=, this](const FunctionService& prepare) {
    auto upload = std::make_shared<Result<Upload>>(read_upload(*call, prepare));
    const ControlOp op = call->route.op;
    if (!*upload) return answer_later(connection, id, op, upload->error());
    const bool posted = store_.post([=, this](FunctionService& service) {
      answer_later(connection, id, op, apply_upload(*call, std::move(**upload), service));
    });
    if (!posted) answer_later(connection, id, op, Error{Code::store_busy, kBusy});
  });
}

void ControlApi::answer_later(ConnectionId connection, const RequestId& id, ControlOp op,
                              Result<ControlReply> reply) {
  auto shared = std::make_shared<Result<ControlReply>>(std::move(reply));
  store_.answer([=, this] { answer(connection, id, op, *shared); });
}

void ControlApi::on_gone(ConnectionId connection) { downloads_.on_gone(connection); }

bool ControlApi::answer_from_view(ConnectionId connection, const RequestId& id, ControlOp op) {
  std::string body;
  switch (op) {
    case ControlOp::hearth_state:
      body = view_.state_json();
      break;
    case ControlOp::hearth_doctor:
      body = view_.doctor_json();
      break;
    case ControlOp::hearth_sandbox:
      body = view_.sandbox_json();
      break;
    case ControlOp::hearth_version:
      body = view_.version_json();
      break;
    default:
      return false;
  }
  respond_json(connection, id, 200, body);
  return true;
}

void ControlApi::answer(ConnectionId connection, const RequestId& id, ControlOp op,
                        Result<ControlReply>& reply) {
  if (!reply)
    return respond_error(*responder_, connection, id, reply.error().code, reply.error().detail);
  if (op == ControlOp::hearth_code) return send_archive(connection, id, std::move(reply->archive));
  if (op == ControlOp::hearth_list || op == ControlOp::hearth_get) {
    return respond_json(connection, id, reply->status, with_live_figures(op, *reply));
  }
  respond_json(connection, id, reply->status, reply->body);
}

std::string ControlApi::with_live_figures(ControlOp op, ControlReply& reply) const {
  std::vector<std::string> functions;
  for (auto& shown : reply.functions) {
    add_live_figures(shown.json, view_.function_json(shown.name));
    functions.push_back(std::move(shown.json));
  }
  if (op == ControlOp::hearth_get) return functions.front();
  return hearth_list_json(functions, reply.next_marker);
}

void ControlApi::respond_json(ConnectionId connection, const RequestId& id, uint16_t status,
                              std::string_view body) {
  const IdHeader id_header(id);
  const std::array<http::HeaderView, 1> headers{id_header.view()};
  // 204 has no body, so no type of it.
  const std::string_view type =
      status == 204 ? std::string_view() : std::string_view("application/json");
  responder_->respond(connection, {status, type, headers}, body);
}

void ControlApi::send_archive(ConnectionId connection, const RequestId& id, UniqueFd archive) {
  const IdHeader id_header(id);
  const std::array<http::HeaderView, 1> headers{id_header.view()};
  downloads_.begin(connection, std::move(archive), {200, "application/zip", headers});
}

}  // namespace hearth::api
