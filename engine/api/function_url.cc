#include "api/function_url.h"

#include <array>
#include <cstring>

#include "api/error_reply.h"
#include "api/function_error.h"
#include "api/http_reply.h"
#include "api/invoke.h"

namespace hearth::api {
namespace {

using http::HeaderView;

constexpr std::string_view kPrefix = "/fn/";
static_assert(kPrefix.size() + kFunctionNameMax <= kCookiePathMax);

}  // namespace

void FunctionUrl::on_request(ConnectionId connection, http::Request& request, const Route& route,
                             const RequestId& id) {
  const FunctionId function = port_.find(route.function);
  if (!function)
    return respond_error(*responder_, connection, id, Code::function_unknown, route.function);
  Result<Buffer> event = events_.write({request, route.function, route.raw_path, id});
  if (!event)
    return respond_error(*responder_, connection, id, event.error().code, event.error().detail);
  Extension extension;
  Status built = extension.build({}, request.header("x-amzn-trace-id"));
  HEARTH_ASSERT(built.has_value());
  CallRequest call;
  call.function = function;
  call.request_id = id;
  call.payload.bytes = event->view();
  call.payload.owner = *std::move(event);
  call.extension = extension.view();
  call.http_event = true;
  CallInfo info;
  info.path_style = route.kind == RouteKind::function_url;
  info.set_name(route.function);
  Status submitted =
      calls_.submit(connection, std::move(call), info, FinishFn::to<&FunctionUrl::on_done>(this));
  if (!submitted)
    respond_error(*responder_, connection, id, submitted.error().code, submitted.error().detail);
}

void FunctionUrl::on_done(ConnectionId connection, const CallInfo& info, const Outcome& outcome) {
  if (outcome.kind == Outcome::Kind::reply) return answer(connection, info, outcome);
  if (!is_function_error(outcome)) {
    return respond_error(*responder_, connection, outcome.request_id, outcome.code, outcome.detail);
  }
  answer_failure(connection, outcome.request_id, outcome.code, {});
}

void FunctionUrl::answer(ConnectionId connection, const CallInfo& info, const Outcome& outcome) {
  std::array<char, kPrefix.size() + kFunctionNameMax> cookie_path;
  ReplyRules rules;
  if (info.path_style) {
    kPrefix.copy(cookie_path.data(), kPrefix.size());
    const size_t size =
        info.name_view().copy(cookie_path.data() + kPrefix.size(), kFunctionNameMax);
    rules.cookie_path = {cookie_path.data(), kPrefix.size() + size};
  }
  HttpReply reply;
  if (Status read = read_http_reply(outcome.payload, rules, buffers_, reply); !read) {
    if (read.error().code != Code::reply_invalid) {
      return respond_error(*responder_, connection, outcome.request_id, read.error().code,
                           read.error().detail);
    }
    ++invalid_replies_;
    return answer_failure(connection, outcome.request_id, Code::reply_invalid, read.error().detail);
  }
  char id[RequestId::kTextSize];
  outcome.request_id.write_text(id);
  reply.headers[reply.header_count++] = {"X-Amzn-RequestId", {id, sizeof id}};
  // These two have no body by definition; bytes behind their head would be taken for the next
  // response.
  const bool bodiless = reply.status == 204 || reply.status == 304;
  responder_->respond(
      connection,
      {reply.status, bodiless ? std::string_view() : reply.content_type, reply.header_span()},
      bodiless ? std::string_view() : reply.body);
}

void FunctionUrl::answer_failure(ConnectionId connection, const RequestId& id, Code code,
                                 std::string_view detail) {
  char text[RequestId::kTextSize];
  id.write_text(text);
  const std::array<HeaderView, 3> headers{{{"X-Amzn-RequestId", {text, sizeof text}},
                                           {"X-Hearth-Error", name(code)},
                                           {"X-Hearth-Detail", detail}}};
  const bool timeout = info(code).http_status == 504;
  responder_->respond(connection,
                      {static_cast<uint16_t>(timeout ? 504 : 502),
                       "text/plain; charset=utf-8",
                       {headers.data(), detail.empty() ? 2u : 3u}},
                      timeout ? "Gateway Timeout" : "Internal Server Error");
}

}  // namespace hearth::api
