#include "api/invoke.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "api/error_reply.h"
#include "api/function_error.h"
#include "api/function_ref.h"
#include "api/percent.h"
#include "base/base64.h"
#include "base/json_scanner.h"
#include "base/json_text.h"

namespace hearth::api {
namespace {

using http::HeaderView;

// The headers that matter here, found in one walk over the head.
struct InvokeHeaders {
  std::string_view invocation_type;
  std::string_view log_type;
  std::string_view client_context;
  std::string_view trace_id;

  explicit InvokeHeaders(std::span<const HeaderView> headers) {
    for (const HeaderView& header : headers) {
      const size_t size = header.name.size();
      if (size < 14 || size > 21 || (header.name[0] | 0x20) != 'x') continue;
      if (http::equals_ignoring_case(header.name, "x-amz-invocation-type"))
        invocation_type = header.value;
      if (http::equals_ignoring_case(header.name, "x-amz-log-type")) log_type = header.value;
      if (http::equals_ignoring_case(header.name, "x-amz-client-context"))
        client_context = header.value;
      if (http::equals_ignoring_case(header.name, "x-amzn-trace-id")) trace_id = header.value;
    }
  }
};

bool is_json_object(std::string_view text) {
  JsonScanner scanner(text);
  return scanner.peek() == JsonScanner::Kind::object && scanner.skip_value() && scanner.at_end();
}

// The qualifier of ?Qualifier=, decoded into `text`. False: longer than any qualifier is.
bool query_qualifier(std::string_view query, std::array<char, 160>& text,
                     std::string_view& qualifier) {
  QueryPair pair;
  while (next_query_pair(query, pair)) {
    if (!percent_equal(pair.key, "Qualifier", Plus::space)) continue;
    if (pair.value.size() > text.size()) return false;
    qualifier = {text.data(), percent_decode(text.data(), pair.value, Plus::space)};
  }
  return true;
}

Status check_qualifier(std::string_view in_path, std::string_view query) {
  if (query.empty() && is_latest(in_path)) return ok();
  std::array<char, 160> text;
  std::string_view in_query;
  const bool short_enough = query_qualifier(query, text, in_query);
  if (!in_path.empty() && !in_query.empty() && in_path != in_query) {
    return Error{Code::invalid_parameter,
                 "the qualifier in the function's name and ?Qualifier= are not the same"};
  }
  if (short_enough && is_latest(in_path) && is_latest(in_query)) return ok();
  return Error{Code::version_unknown, "only $LATEST exists so far"};
}

// END and REPORT, to `out`, which has kReportMax bytes of room. Returns the end.
constexpr size_t kReportMax = 576;  // two ids and eleven numbers between 256 bytes of text
char* write_report(char* out, const Outcome& outcome, std::string_view id) {
  const bool has_spec = outcome.spec != nullptr && *outcome.spec != nullptr;
  const uint64_t memory_mb = has_spec ? (*outcome.spec)->memory_bytes >> 20 : 0;
  char* p = fmt::format_to(out, "END RequestId: {}\nREPORT RequestId: {}\t", id, id);
  p = fmt::format_to(p, "Duration: {}.{:02} ms\tBilled Duration: {} ms\t", outcome.exec_us / 1000,
                     outcome.exec_us / 10 % 100, (uint64_t{outcome.exec_us} + 999) / 1000);
  p = fmt::format_to(p, "Memory Size: {} MB\t", memory_mb);
  if (outcome.memory_max_bytes > 0) {
    p = fmt::format_to(p, "Max Memory Used: {} MB\t",
                       (outcome.memory_max_bytes + (1u << 20) - 1) >> 20);
  }
  if (outcome.cold) {
    const ColdPhases& w = outcome.waited;
    p = fmt::format_to(p, "Init Duration: {}.{:02} ms\t", outcome.init_us / 1000,
                       outcome.init_us / 10 % 100);
    p = fmt::format_to(p,
                       "Queue Duration: {}.{:02} ms\tSandbox Duration: {}.{:02} ms\t"
                       "Runtime Init Duration: {}.{:02} ms\t",
                       w.queue_us / 1000, w.queue_us / 10 % 100, w.sandbox_us / 1000,
                       w.sandbox_us / 10 % 100, w.runtime_us / 1000, w.runtime_us / 10 % 100);
    p = fmt::format_to(p, "Start: {}\t", start_way_name(outcome.way));
  }
  *p++ = '\n';
  return p;
}

}  // namespace

Status Extension::build(std::string_view client_context_base64, std::string_view trace_id) {
  size = 0;
  char* out = text.data();
  const auto put = [&](std::string_view part) {
    std::memcpy(out, part.data(), part.size());
    out += part.size();
  };
  if (!client_context_base64.empty()) {
    static constexpr const char* kWrong =
        "X-Amz-Client-Context must be at most 3583 bytes of base64 of a JSON object";
    if (client_context_base64.size() > kClientContextMax)
      return Error{Code::invalid_request, kWrong};
    put(R"({"clientContext":)");
    const std::optional<size_t> decoded = base64_decode(out, client_context_base64);
    // It becomes a part of a JSON text, which has to stay one: not UTF-8 is not JSON either.
    if (!decoded || !is_json_object({out, *decoded}) || !json_escaped_size({out, *decoded})) {
      return Error{Code::invalid_request, kWrong};
    }
    out += *decoded;
  }
  if (!trace_id.empty() && trace_id.size() <= kTraceIdMax) {
    put(out == text.data() ? R"({"traceId":")" : R"(,"traceId":")");
    out = write_json_escaped(out, trace_id);
    put("\"");
  }
  if (out != text.data()) put("}");
  size = static_cast<size_t>(out - text.data());
  return ok();
}

size_t write_log_result(std::array<char, kLogTailMax>& out, const Outcome& outcome, WallTime now) {
  char id[RequestId::kTextSize];
  outcome.request_id.write_text(id);
  const std::string_view id_text(id, sizeof id);
  char begin[96];
  const size_t begin_size =
      fmt::format_to_n(begin, sizeof begin, "START RequestId: {} Version: $LATEST\n", id_text).size;
  char end[1 + kFailureLinesMax + kReportMax];
  char* p = end;
  if (!outcome.log_tail.empty() && !outcome.log_tail.ends_with('\n')) *p++ = '\n';
  p += write_failure_lines(p, outcome, now);
  p = write_report(p, outcome, id_text);
  const auto end_size = static_cast<size_t>(p - end);
  // What is cut off is the beginning: START first, then the log's oldest bytes.
  const size_t log_size = std::min(outcome.log_tail.size(), out.size() - end_size);
  const size_t start_size = std::min(begin_size, out.size() - end_size - log_size);
  p = out.data();
  p = std::copy(begin + (begin_size - start_size), begin + begin_size, p);
  p = std::copy(outcome.log_tail.end() - static_cast<ptrdiff_t>(log_size), outcome.log_tail.end(),
                p);
  p = std::copy(end, end + end_size, p);
  return static_cast<size_t>(p - out.data());
}

Result<InvokeApi::Order> InvokeApi::read_order(const http::Request& request,
                                               std::string_view segment) const {
  if (request.method != "POST") return Error{Code::method_not_allowed, "POST"};
  FunctionRef ref;
  if (!parse_function_ref(segment, ref)) {
    return Error{Code::invalid_parameter,
                 "the path does not name a function: NAME, a partial ARN or an ARN is expected"};
  }
  Order order;
  order.function = port_.find(ref.name);
  if (!order.function) return Error{Code::function_unknown, std::string(ref.name)};
  HEARTH_TRY(check_qualifier(ref.qualifier, request.query));
  const InvokeHeaders headers(request.headers);
  if (headers.invocation_type == "Event") {
    return Error{Code::not_supported,
                 "X-Amz-Invocation-Type: Event needs a durable queue, which this version does not "
                 "have; nothing was queued"};
  }
  order.dry_run = headers.invocation_type == "DryRun";
  if (!order.dry_run && !headers.invocation_type.empty() &&
      headers.invocation_type != "RequestResponse") {
    return Error{Code::invalid_parameter,
                 "X-Amz-Invocation-Type is one of RequestResponse, Event, DryRun"};
  }
  order.want_tail = headers.log_type == "Tail";
  if (!order.want_tail && !headers.log_type.empty() && headers.log_type != "None") {
    return Error{Code::invalid_parameter, "X-Amz-Log-Type is one of None, Tail"};
  }
  order.client_context = headers.client_context;
  order.trace_id = headers.trace_id;
  return order;
}

void InvokeApi::on_request(ConnectionId connection, http::Request& request,
                           std::string_view segment, const RequestId& id) {
  Result<Order> order = read_order(request, segment);
  if (!order)
    return respond_error(*responder_, connection, id, order.error().code, order.error().detail);
  Extension extension;
  if (Status built = extension.build(order->client_context, order->trace_id); !built) {
    return respond_error(*responder_, connection, id, built.error().code, built.error().detail);
  }
  if (order->dry_run) {
    char text[RequestId::kTextSize];
    id.write_text(text);
    const HeaderView header{"X-Amzn-RequestId", {text, sizeof text}};
    responder_->respond(connection, {204, {}, {&header, 1}}, {});
    return;
  }
  CallRequest call;
  call.function = order->function;
  call.request_id = id;
  call.payload.bytes = request.body;
  if (request.body_buffer != nullptr) call.payload.owner = std::move(*request.body_buffer);
  call.extension = extension.view();
  call.want_tail = order->want_tail;
  CallInfo info;
  info.want_tail = order->want_tail;
  Status submitted =
      calls_.submit(connection, std::move(call), info, FinishFn::to<&InvokeApi::on_done>(this));
  if (!submitted)
    respond_error(*responder_, connection, id, submitted.error().code, submitted.error().detail);
}

void InvokeApi::on_done(ConnectionId connection, const CallInfo& info, const Outcome& outcome) {
  if (outcome.kind == Outcome::Kind::reply)
    return answer(connection, info, outcome, false, outcome.payload);
  if (!is_function_error(outcome)) {
    return respond_error(*responder_, connection, outcome.request_id, outcome.code, outcome.detail);
  }
  if (outcome.kind == Outcome::Kind::function_error)
    return answer(connection, info, outcome, true, outcome.payload);
  const Buffer body = write_function_error(buffers_, outcome);
  if (!body)
    return respond_error(*responder_, connection, outcome.request_id, Code::buffers_full, {});
  answer(connection, info, outcome, true, body.view());
}

void InvokeApi::answer(ConnectionId connection, const CallInfo& info, const Outcome& outcome,
                       bool function_error, std::string_view body) {
  char id[RequestId::kTextSize];
  outcome.request_id.write_text(id);
  std::array<HeaderView, 5> headers{
      {{"X-Amzn-RequestId", {id, sizeof id}}, {"X-Amz-Executed-Version", kLatest}}};
  size_t count = 2;
  if (function_error) {
    headers[count++] = {"X-Amz-Function-Error", "Unhandled"};
    headers[count++] = {"X-Hearth-Error", name(outcome.code)};
  }
  if (!info.want_tail) {
    responder_->respond(connection, {200, "application/json", {headers.data(), count}}, body);
    return;
  }
  std::array<char, kLogTailMax> tail;
  const size_t tail_size = write_log_result(tail, outcome, clock_.wall());
  char encoded[base64_encoded_size(kLogTailMax)];
  const char* const end = base64_encode(encoded, {tail.data(), tail_size});
  headers[count++] = {"X-Amz-Log-Result", {encoded, static_cast<size_t>(end - encoded)}};
  responder_->respond(connection, {200, "application/json", {headers.data(), count}}, body);
}

}  // namespace hearth::api
