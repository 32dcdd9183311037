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
// Bytes of a stream that wait for a slow client before its function is held.
constexpr int64_t kWaitingMax = 256 * 1024;
constexpr size_t kContentTypeMax = 1'024;

// Where the cookies of a function belong.
class CookiePath {
 public:
  explicit CookiePath(const CallInfo& info) {
    if (!info.path_style) return;
    kPrefix.copy(text_.data(), kPrefix.size());
    size_ = kPrefix.size() + info.name_view().copy(text_.data() + kPrefix.size(), kFunctionNameMax);
  }
  ReplyRules rules() const { return {{text_.data(), size_}}; }

 private:
  std::array<char, kPrefix.size() + kFunctionNameMax> text_;
  size_t size_ = 0;
};

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
  info.request_id = id;
  Status submitted =
      calls_.submit(connection, std::move(call), info, FinishFn::to<&FunctionUrl::on_done>(this),
                    StreamFn::to<&FunctionUrl::on_part>(this));
  if (!submitted)
    respond_error(*responder_, connection, id, submitted.error().code, submitted.error().detail);
}

// ---- a reply that the function streams

Flow FunctionUrl::on_part(ConnectionId connection, CallInfo& info, const ReplyPart& part) {
  if (!info.streaming && !begin(connection, info, part)) return Flow::go_on;
  if (part.kind != ReplyPart::Kind::body) return Flow::go_on;
  const int64_t waiting = responder_->write(connection, part.bytes);
  if (waiting < 0) calls_.gone(connection);
  return waiting > kWaitingMax ? Flow::hold : Flow::go_on;
}

// What the first part says of the response.
Status FunctionUrl::read_head(const ReplyPart& part, const ReplyRules& rules, HttpReply& reply) {
  if (part.kind == ReplyPart::Kind::http_head) {
    HEARTH_TRY(read_http_reply(part.bytes, rules, buffers_, reply));
    if (!reply.body.empty())
      return Error{Code::reply_invalid, "the head of a stream has no statusCode, or has a body"};
  }
  if (part.kind == ReplyPart::Kind::content_type) {
    if (part.bytes.size() > kContentTypeMax || !http::valid_header("Content-Type", part.bytes))
      return Error{Code::reply_invalid, "a stream's content type is not allowed in HTTP"};
    reply.content_type = part.bytes;
  }
  return ok();
}

// Sends the head. False: the call has its answer, or nobody waits for one.
bool FunctionUrl::begin(ConnectionId connection, CallInfo& info, const ReplyPart& part) {
  CookiePath path(info);
  HttpReply reply;
  reply.content_type = "application/octet-stream";
  if (const Status read = read_head(part, path.rules(), reply); !read) {
    const RequestId id = info.request_id;
    if (read.error().code == Code::reply_invalid) ++invalid_replies_;
    calls_.gone(connection);
    answer_failure(connection, id, read.error().code, read.error().detail);
    return false;
  }
  char id[RequestId::kTextSize];
  info.request_id.write_text(id);
  reply.headers[reply.header_count++] = {"X-Amzn-RequestId", {id, sizeof id}};
  if (!responder_->start(connection, {reply.status, reply.content_type, reply.header_span()})) {
    calls_.gone(connection);
    return false;
  }
  info.streaming = true;
  ++streams_;
  return true;
}

// After the last part. What has been sent can't be taken back: a client sees that it broke off.
void FunctionUrl::end_stream(ConnectionId connection, const Outcome& outcome) {
  if (outcome.kind == Outcome::Kind::reply) {
    responder_->finish(connection);
    return;
  }
  ++broken_streams_;
  responder_->abort(connection);
}

// ---- the end of a call

void FunctionUrl::on_done(ConnectionId connection, const CallInfo& info, const Outcome& outcome) {
  if (info.streaming) return end_stream(connection, outcome);
  if (outcome.kind == Outcome::Kind::reply) return answer(connection, info, outcome);
  if (!is_function_error(outcome)) {
    return respond_error(*responder_, connection, outcome.request_id, outcome.code, outcome.detail);
  }
  answer_failure(connection, outcome.request_id, outcome.code, {});
}

void FunctionUrl::answer(ConnectionId connection, const CallInfo& info, const Outcome& outcome) {
  CookiePath path(info);
  HttpReply reply;
  if (Status read = read_http_reply(outcome.payload, path.rules(), buffers_, reply); !read) {
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
