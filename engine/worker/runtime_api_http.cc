// The worker's side of the Runtime API: what its requests mean. Everything here is hostile input.
#include <fmt/core.h>

#include "worker/runtime_api.h"

namespace hearth::worker {
namespace {

using Kind = ApiRoute::Kind;

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kMode = "lambda-runtime-function-response-mode";
constexpr std::string_view kErrorType = "lambda-runtime-function-error-type";
constexpr std::string_view kErrorBody = "lambda-runtime-function-error-body";
constexpr std::string_view kPreludeType = "application/vnd.awslambda.http-integration-response";
constexpr std::string_view kPreludeEnd("\0\0\0\0\0\0\0\0", 8);
constexpr uint64_t kSmallBody = 64 * 1024;  // of a request that should have none

bool bad_mode(const http::RequestHead& head) {
  return head.has_header(kMode) && head.header(kMode) != "streaming";
}

std::string_view media_type(std::string_view value) {
  value = value.substr(0, value.find(';'));
  while (value.ends_with(' ')) value.remove_suffix(1);
  return value;
}

// aws-lambda-go names no mode: of its replies, what it reads from a Go reader is chunked and of one
// of these types.
bool streams(const http::RequestHead& head) {
  if (head.has_header(kMode)) return true;
  const std::string_view type = media_type(head.header("content-type"));
  const bool chunked = head.has_body && head.content_length == 0;
  return type == kPreludeType || (chunked && type == "application/octet-stream");
}

}  // namespace

RuntimeApi::Running* RuntimeApi::find(Worker& worker, std::string_view request_id) {
  char text[RequestId::kTextSize];
  for (Running& each : worker.running) {
    each.request_id.write_text(text);
    if (std::string_view(text, sizeof text) == request_id) return &each;
  }
  return nullptr;
}

http::HeadDecision RuntimeApi::on_head(const http::RequestHead& head) {
  switch (api_route(head.method, head.path).kind) {
    case Kind::response:  // its length is judged as it comes
      return {.body = http::HeadDecision::Body::stream, .body_max = UINT64_MAX};
    case Kind::error:
    case Kind::init_error:
      return {.body_max = limits_.reply_max};
    default:
      return {.body_max = kSmallBody};
  }
}

void RuntimeApi::on_request(ConnectionId connection, http::Request& request) {
  Worker* worker = of(request);
  if (worker == nullptr) return server_.abort(connection);
  const WorkerId id = worker->id;
  const ApiRoute route = api_route(request.method, request.path);
  switch (route.kind) {
    case Kind::next:
      return on_next(connection, id);
    case Kind::response:
      return on_response(connection, request, id, route.request_id);
    case Kind::error:
      return on_error(connection, request, id, route.request_id);
    case Kind::init_error:
      return on_init_error(connection, request, id);
    case Kind::ping:
      server_.respond(connection, {200, "text/plain", {}}, "pong");
      return;
    case Kind::wrong_method:
      return refuse(connection, id, 405, "MethodNotAllowed", "This path takes another method.");
    case Kind::unknown:
      break;
  }
  refuse(connection, id, 404, "NotFound",
         "There is no such path in the Runtime API (extensions and telemetry are not served).");
}

void RuntimeApi::on_next(ConnectionId connection, WorkerId id) {
  Worker* worker = find(id);
  if (worker->failed)
    return refuse(connection, id, 403, "InvalidStateTransition", "The init has failed.");
  if (!worker->ready) {
    worker->ready = true;
    const auto init_us = to_us(loop_.now() - worker->since);
    events_.on_worker_ready(id, static_cast<uint32_t>(std::clamp<int64_t>(init_us, 0, UINT32_MAX)));
  }
  let_go(*worker);
  worker = find(id);
  if (worker == nullptr) return;
  size_t busy = worker->polling.size();
  for (const Running& call : worker->running) busy += call.answered == 0 ? 1 : 0;
  if (busy >= worker->spec->concurrency.per_worker) {
    return refuse(connection, id, 403, "InvalidStateTransition",
                  fmt::format("It has {} calls already, of {} at once (concurrency.per_worker).",
                              busy, worker->spec->concurrency.per_worker));
  }
  worker->polling.push_back(connection);
  uses_[connection] = {id, {}};
  hand_out(*worker);
}

// ---- replies

void RuntimeApi::on_stream(ConnectionId connection, const http::RequestHead& head) {
  Worker* worker = of(head);
  if (worker == nullptr || bad_mode(head)) return;
  Running* call = find(*worker, api_route(head.method, head.path).request_id);
  if (call == nullptr || call->answered != 0 || call->replying) return;
  begin_reply(*worker, *call, connection, head);
}

void RuntimeApi::begin_reply(Worker& worker, Running& call, ConnectionId connection,
                             const http::RequestHead& head) {
  call.replying = true;
  call.connection = connection;
  call.stream = streams(head);
  uses_[connection] = {worker.id, call.id};
  if (!call.stream) return;
  const std::string_view type = head.header("content-type");
  call.in_prelude = media_type(type) == kPreludeType;
  if (call.in_prelude || type.empty()) return;
  give(worker, call, {type, ReplyPart::Kind::content_type, true});
}

// False: the worker was given up.
bool RuntimeApi::give(Worker& worker, Running& call, const ReplyPart& part) {
  const PartTaken taken =
      take_part(call.reply, part, worker.id, call.id, events_, buffers_, limits_);
  if (taken == PartTaken::yes) return true;
  events_.on_violation(worker.id, taken == PartTaken::no_memory
                                      ? "the engine has no memory for its reply (limits.buffers)"
                                      : "a reply to a call that it does not have");
  return false;
}

bool RuntimeApi::on_body(ConnectionId connection, std::string_view part) {
  const auto use = uses_.find(connection);
  if (use == uses_.end()) return true;  // of a request that will be refused
  Worker* worker = find(use->second.worker);
  Running* call = worker != nullptr ? find(*worker, use->second.call) : nullptr;
  if (call == nullptr || call->answered != 0) return true;
  const bool good = call->in_prelude
                        ? give_behind_prelude(*worker, *call, part)
                        : give(*worker, *call, {part, ReplyPart::Kind::body, call->stream});
  return good && !call->reply.held;
}

bool RuntimeApi::give_behind_prelude(Worker& worker, Running& call, std::string_view part) {
  const size_t known = call.prelude.size();
  if (!buffers_.grow(call.prelude, part.size())) {
    events_.on_violation(worker.id, "the engine has no memory for its reply (limits.buffers)");
    return false;
  }
  call.prelude.append(part);
  const size_t from = known < kPreludeEnd.size() ? 0 : known - kPreludeEnd.size();
  const size_t end = call.prelude.view().find(kPreludeEnd, from);
  if (end == std::string_view::npos ? call.prelude.size() > kApiPreludeMax : end > kApiPreludeMax) {
    answer(worker.id, call.id,
           error_json("Runtime.InvalidResponse",
                      fmt::format("The head of the streamed HTTP response is longer than {} bytes, "
                                  "or eight zero bytes are missing behind it.",
                                  kApiPreludeMax)),
           true);
    return true;
  }
  if (end == std::string_view::npos) return true;
  const Buffer whole = std::move(call.prelude);
  call.in_prelude = false;
  const std::string_view body = whole.view().substr(end + kPreludeEnd.size());
  if (!give(worker, call, {whole.view().substr(0, end), ReplyPart::Kind::http_head, true}))
    return false;
  return body.empty() || give(worker, call, {body, ReplyPart::Kind::body, true});
}

void RuntimeApi::on_response(ConnectionId connection, const http::Request& request, WorkerId id,
                             std::string_view request_id) {
  Worker* worker = find(id);
  Running* call = find(*worker, request_id);
  const auto use = uses_.extract(connection);
  if (use.empty() && bad_mode(request)) {
    return refuse(connection, id, 400, "InvalidFunctionResponseMode",
                  "Lambda-Runtime-Function-Response-Mode is 'streaming' or not sent.");
  }
  const bool begun = !use.empty() && call != nullptr && use.mapped().call == call->id;
  if (call == nullptr || (call->answered != 0 && !begun) || (call->replying && !begun)) {
    return refuse(connection, id, 400, "InvalidRequestID", "No call of this id waits for a reply.");
  }
  if (!begun) begin_reply(*worker, *call, connection, request);
  uses_.erase(connection);
  if (call->reply.too_large) {
    call->answered = ++answers_;
    events_.deliver();
    return refuse(
        connection, id, 413, "RequestEntityTooLarge",
        fmt::format("Exceeded maximum allowed payload size ({} bytes).", limits_.reply_max));
  }
  finish(id, *call, request);
  accept(connection);
}

// Its last part has come.
void RuntimeApi::finish(WorkerId worker, Running& call, const http::Request& request) {
  if (const std::string_view type = request.trailer(kErrorType); !type.empty()) {
    const std::string json = api_trailer_error_json(request.trailer(kErrorBody), type);
    return answer(worker, call.id, json, true);
  }
  if (call.in_prelude) {
    const std::string json = error_json("Runtime.InvalidResponse",
                                        "The head of the streamed HTTP response has no end: eight "
                                        "zero bytes are missing behind it.");
    return answer(worker, call.id, json, true);
  }
  const Buffer whole = std::move(call.reply.whole);
  answer(worker, call.id, whole.view(), false);
}

void RuntimeApi::on_error(ConnectionId connection, const http::Request& request, WorkerId id,
                          std::string_view request_id) {
  Worker* worker = find(id);
  const Running* call = find(*worker, request_id);
  if (call == nullptr || call->answered != 0 || call->replying) {
    return refuse(connection, id, 400, "InvalidRequestID", "No call of this id waits for a reply.");
  }
  answer(id, call->id, api_error_json(request.body, request.header(kErrorType)), true);
  accept(connection);
}

void RuntimeApi::on_init_error(ConnectionId connection, const http::Request& request, WorkerId id) {
  Worker* worker = find(id);
  if (worker->ready || worker->failed) {
    return refuse(connection, id, 403, "InvalidStateTransition",
                  worker->ready ? "The init is over." : "The init has failed already.");
  }
  worker->failed = true;
  events_.on_worker_init_failed(id, api_error_json(request.body, request.header(kErrorType)));
  events_.deliver();
  accept(connection);
}

// ---- ends of requests

void RuntimeApi::accept(ConnectionId connection) {
  server_.respond(connection, {202, kJson, {}}, "{\"status\":\"OK\"}\n");
}

void RuntimeApi::refuse(ConnectionId connection, WorkerId id, uint16_t status,
                        std::string_view type, std::string_view message) {
  server_.respond(connection, {status, kJson, {}}, error_json(type, message));
  ++refused_;
  Worker* worker = find(id);
  if (worker != nullptr && ++worker->refused == kApiRefusedMax)
    events_.on_violation(id,
                         fmt::format("{} requests in a row that could not be met", kApiRefusedMax));
}

void RuntimeApi::on_gone(ConnectionId connection) {
  const auto use = uses_.extract(connection);
  if (use.empty()) return;
  Worker* worker = find(use.mapped().worker);
  if (worker == nullptr) return;
  std::erase(worker->polling, connection);
  Running* call = find(*worker, use.mapped().call);
  if (call == nullptr || call->answered != 0) return;
  if (call->reply.too_large) {
    call->answered = ++answers_;
  } else if (call->stream) {
    answer(worker->id, call->id,
           error_json("Runtime.TruncatedResponse", "The connection ended within the response."),
           true);
  } else {  // it may come again
    call->replying = false;
    call->reply = {};
  }
}

void RuntimeApi::render_refusal(const http::Refusal& refusal, const http::RequestHead*,
                                http::RefusalAnswer& answer) {
  std::string_view type = "InternalServerError";
  if (refusal.code == Code::body_too_large) {
    type = "RequestEntityTooLarge";
  } else if (info(refusal.code).http_status < 500) {
    type = "InvalidRequest";
  }
  answer.body = error_json(type, refusal.detail);
  answer.content_type = kJson;
}

}  // namespace hearth::worker
