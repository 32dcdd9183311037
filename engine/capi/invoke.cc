#include "capi/invoke.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/json_scanner.h"
#include "base/json_text.h"
#include "capi/engine_handle.h"
#include "capi/error.h"
#include "capi/sized_struct.h"

using hearth::Code;
using hearth::DoneFn;
using hearth::Error;
using hearth::ok;
using hearth::Outcome;
using hearth::PartFn;
using hearth::Status;

namespace hearth::capi {
namespace {

constexpr size_t kClientContextMax = 3'583;                                 // as in Lambda
constexpr uint64_t kTimeoutMax = uint64_t{100} * 365 * 24 * 3'600 * 1'000;  // ms

// `text` becomes a part of the extension's JSON, which has to stay JSON.
Status write_extension(const char* text, std::string& out) {
  out.clear();
  if (text == nullptr) return ok();
  const std::string_view json(text);
  JsonScanner scanner(json);
  if (json.size() > kClientContextMax || scanner.peek() != JsonScanner::Kind::object ||
      !scanner.skip_value() || !scanner.at_end() || !json_escaped_size(json)) {
    return Error{Code::invalid_parameter,
                 fmt::format("client_context_json must be a JSON object of at most {} bytes",
                             kClientContextMax)};
  }
  out.append(R"({"clientContext":)").append(json).append("}");
  return ok();
}

Result<hearth_request_t> read_request(const hearth_request_t* request, const Limits& limits) {
  const auto in = HEARTH_TRY(read_struct(request, "the request"));
  if (in.function == nullptr || in.function[0] == '\0')
    return Error{Code::invalid_parameter, "function is NULL or empty"};
  if ((in.flags & ~uint32_t{HEARTH_WANT_LOG_TAIL | HEARTH_HTTP_EVENT}) != 0)
    return Error{Code::invalid_parameter, fmt::format("flags {:#x} are not known", in.flags)};
  if (in.payload.data == nullptr && in.payload.size != 0)
    return Error{Code::invalid_parameter, "payload.data is NULL and payload.size is not 0"};
  if (in.payload.size > limits.invoke_body_max) {
    return Error{Code::invalid_parameter,
                 fmt::format("the payload has {} bytes and {} are allowed (limits.invoke_body)",
                             in.payload.size, limits.invoke_body_max)};
  }
  return in;
}

// An id that can't be a function's name finds none; what is cut off can't make it one.
void keep_name(hearth_call& call, const char* name) {
  const size_t size = ::strnlen(name, sizeof call.function);
  if (size == sizeof call.function) {
    std::strcpy(call.function, "?");
  } else {
    std::memcpy(call.function, name, size + 1);
  }
}

}  // namespace

hearth_outcome_t show(const Outcome& outcome, OutcomeTexts& texts) {
  hearth_outcome_t out{};
  out.struct_size = sizeof out;
  out.kind = static_cast<int32_t>(outcome.kind);
  out.payload = {outcome.payload.data(), outcome.payload.size()};
  out.error_name = "";
  if (outcome.kind != Outcome::Kind::reply) {
    const ErrorInfo& error = info(outcome.code);
    texts.message = Error{outcome.code, std::string(outcome.detail)}.message();
    out.error_name = error.name.data();
    out.error_message = {texts.message.data(), texts.message.size()};
    out.error_code = static_cast<uint32_t>(outcome.code);
    out.error_http_status = error.http_status;
    out.retryable = error.retry == Retry::retry ? 1 : 0;
  }
  out.log_tail = {outcome.log_tail.data(), outcome.log_tail.size()};
  outcome.request_id.write_text(texts.request_id);
  texts.request_id[RequestId::kTextSize] = '\0';
  out.request_id = texts.request_id;
  const bool has_spec = outcome.spec != nullptr && *outcome.spec != nullptr;
  out.revision = has_spec ? (*outcome.spec)->revision.c_str() : "";
  out.exec_us = outcome.exec_us;
  out.init_us = outcome.init_us;
  out.memory_max_bytes = outcome.memory_max_bytes;
  out.cold = outcome.cold ? 1 : 0;
  return out;
}

Status start_call(Hub& hub, const hearth_request_t* request, CallBack back,
                  hearth_call** call_out) {
  const auto in = HEARTH_TRY(read_request(request, hub.limits()));
  if (back.done == nullptr) return Error{Code::invalid_parameter, "done is NULL"};
  const bool here = hub.on_engine_thread();
  if (here && hub.engine() == nullptr) return Error{Code::shutting_down, {}};
  hearth_call& call = *hub.calls.take();
  hub.ref();
  call.hub = &hub;
  const auto refuse = [&call](Status status) {
    call.give_back();
    return status;
  };
  if (Status written = write_extension(in.client_context_json, call.extension); !written)
    return refuse(std::move(written));
  const size_t bytes = here ? 0 : in.payload.size;
  if (Status admitted = hub.admit(bytes); !admitted) return refuse(std::move(admitted));
  call.flags = in.flags;
  call.deadline = Deadline{};
  if (in.timeout_ms != 0) {
    call.deadline =
        SystemClock().now() + milliseconds(std::min<uint64_t>(in.timeout_ms, kTimeoutMax));
  }
  call.part = back.part;
  call.done = back.done;
  call.ctx = back.ctx;
  call.stage = hearth_call::Stage::on_the_way;
  call.cancelling.store(false, std::memory_order_relaxed);
  call.references.store(call_out != nullptr ? 2 : 1, std::memory_order_relaxed);
  const std::string_view payload(static_cast<const char*>(in.payload.data), in.payload.size);
  if (here) {
    if (Status submitted = call.submit_now(in.function, payload); !submitted) {
      hub.leave();
      return refuse(std::move(submitted));
    }
    if (call_out != nullptr) *call_out = &call;
    hub.asked();
    return ok();
  }
  keep_name(call, in.function);
  call.payload.assign(payload);
  if (call_out != nullptr) *call_out = &call;  // `done` may run before this returns
  if (hub.inbox().push(call.submit)) return ok();
  if (call_out != nullptr) *call_out = nullptr;
  hub.arrived(bytes);
  hub.leave();
  return refuse(Error{Code::shutting_down, {}});
}

}  // namespace hearth::capi

hearth_call::hearth_call() {
  submit.call = this;
  cancel.call = this;
}

Status hearth_call::submit_now(std::string_view name, std::string_view bytes) {
  if (hub->draining()) return Error{Code::shutting_down, {}};
  hearth::InvokePort& port = hub->engine()->invoke_port();
  hearth::CallRequest request;
  request.function = port.find(name);
  if (!request.function) {
    return Error{Code::function_unknown, fmt::format("Function not found: {}", name.substr(0, 80))};
  }
  request_id = request.request_id = hub->ids().next();
  request.deadline = deadline;
  request.payload.bytes = bytes;
  request.extension = extension;
  request.http_event = (flags & HEARTH_HTTP_EVENT) != 0;
  request.want_tail = (flags & HEARTH_WANT_LOG_TAIL) != 0;
  request.done = DoneFn::to<&hearth_call::on_done>(this);
  if (part != nullptr) request.on_part = PartFn::to<&hearth_call::on_part>(this);
  auto submitted = port.submit(std::move(request));
  if (!submitted) return std::move(submitted).error();
  id = *submitted;
  stage = Stage::submitted;
  return ok();
}

void hearth_call::submit_from_inbox() {
  Status submitted = submit_now(function, payload);
  hub->arrived(payload.size());
  hearth::capi::recycle(payload);
  if (!submitted) {
    const Error& error = submitted.error();
    end_before_core(error.code, error.detail);
  }
}

void hearth_call::end_before_core(Code code, std::string detail) {
  hub->arrived(payload.size());
  hearth::capi::recycle(payload);
  Outcome outcome;
  outcome.kind = Outcome::Kind::platform_error;
  outcome.code = code;
  outcome.detail = detail;
  outcome.request_id = request_id;
  on_done({}, outcome);
}

void hearth_call::cancel_now() {
  if (stage == Stage::submitted && hub->engine() != nullptr) {
    hub->engine()->invoke_port().abandon(id);
    end_before_core(Code::cancelled, "the caller cancelled the call");
  }
  release();
}

void hearth_call::on_done(hearth::InvocationId, const Outcome& outcome) {
  stage = Stage::ended;
  hub->leave();
  hearth::capi::OutcomeTexts texts;
  const hearth_outcome_t shown = hearth::capi::show(outcome, texts);
  done(ctx, &shown);
  release();
}

// A stream's head is passed on as Lambda's Invoke has it: JSON, eight zero bytes, the body.
hearth::Flow hearth_call::on_part(hearth::InvocationId, const hearth::ReplyPart& what) {
  static constexpr char kBehindHead[8] = {};
  const auto tell = [this](std::string_view bytes) {
    // What follows a cancelling is nobody's any more.
    if (!bytes.empty() && !cancelling.load(std::memory_order_relaxed))
      part(ctx, {bytes.data(), bytes.size()});
  };
  if (what.kind == hearth::ReplyPart::Kind::content_type) return hearth::Flow::go_on;
  tell(what.bytes);
  if (what.kind == hearth::ReplyPart::Kind::http_head) tell({kBehindHead, sizeof kBehindHead});
  return hearth::Flow::go_on;
}

void hearth_call::release() {
  if (references.fetch_sub(1, std::memory_order_acq_rel) == 1) give_back();
}

void hearth_call::give_back() {
  Hub* const owner = hub;
  hearth::capi::recycle(payload);
  hearth::capi::recycle(extension);
  request_id = {};
  owner->calls.give_back(this);
  owner->unref();
}

hearth_error_t* hearth_invoke_async(hearth_engine_t* engine, const hearth_request_t* request,
                                    hearth_done_fn done, void* ctx, hearth_call_t** call_out) {
  return hearth_invoke_stream(engine, request, nullptr, done, ctx, call_out);
}

hearth_error_t* hearth_invoke_stream(hearth_engine_t* engine, const hearth_request_t* request,
                                     hearth_part_fn part, hearth_done_fn done, void* ctx,
                                     hearth_call_t** call_out) {
  return hearth::capi::to_c(
      hearth::capi::start_call(engine->hub(), request, {part, done, ctx}, call_out));
}

void hearth_call_cancel(hearth_call_t* call) {
  if (call == nullptr) return;
  if (call->cancelling.exchange(true, std::memory_order_acq_rel)) return;
  const hearth::capi::HubRef keep(*call->hub);
  call->references.fetch_add(1, std::memory_order_relaxed);
  if (!call->hub->inbox().push(call->cancel)) call->release();
}

void hearth_call_release(hearth_call_t* call) {
  if (call != nullptr) call->release();
}
