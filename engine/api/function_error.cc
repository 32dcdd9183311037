#include "api/function_error.h"

#include "api/byte_writer.h"

namespace hearth::api {
namespace {

std::string_view error_type(Code code) {
  switch (code) {
    case Code::deadline_exceeded:
    case Code::init_timeout:
      return "Sandbox.Timedout";
    case Code::worker_lost:
      return "Runtime.ExitError";
    case Code::out_of_memory:
      return "Runtime.OutOfMemory";
    case Code::init_failed:
      return "Runtime.InitError";
    case Code::protocol_violation:
      return "Runtime.ProtocolViolation";
    case Code::sandbox_violation:
      return "Runtime.SandboxViolation";
    case Code::reply_too_large:
      return "Function.ResponseSizeTooLarge";
    default:
      return "Function.Unhandled";
  }
}

void write_seconds(ByteWriter& out, milliseconds time) {
  out.number(time.count() / 1000);
  const auto hundredths = time.count() / 10 % 100;
  out.raw(hundredths < 10 ? ".0" : ".");
  out.number(hundredths);
  out.raw(" seconds");
}

void write_message(ByteWriter& out, const Outcome& outcome) {
  const bool has_spec = outcome.spec != nullptr && *outcome.spec != nullptr;
  if (outcome.code == Code::deadline_exceeded && has_spec) {
    out.raw("Task timed out after ");
    write_seconds(out, (*outcome.spec)->timeout);
    return;
  }
  if (outcome.code == Code::worker_lost) {
    out.raw("Runtime exited with error: ");
    out.escaped(outcome.detail.empty() ? info(outcome.code).text : outcome.detail);
    return;
  }
  out.escaped(info(outcome.code).text);
  if (!outcome.detail.empty()) {
    out.raw(": ");
    out.escaped(outcome.detail);
  }
}

}  // namespace

bool is_function_error(Code code) {
  const ErrorInfo& error = info(code);
  return error.fault == Fault::function && error.retry == Retry::no_retry;
}

Buffer write_function_error(BufferPool& pool, const Outcome& outcome) {
  ByteWriter out(pool, 2048);
  out.raw(R"({"errorType":")");
  out.raw(error_type(outcome.code));
  out.raw(R"(","errorMessage":"RequestId: )");
  if (out.reserve(RequestId::kTextSize)) {
    outcome.request_id.write_text(out.end());
    out.commit(out.end() + RequestId::kTextSize);
  }
  out.raw(" Error: ");
  write_message(out, outcome);
  out.raw("\"");
  if (!outcome.log_tail.empty()) {
    out.raw(R"(,"logTail":)");
    out.quoted(outcome.log_tail);
  }
  out.raw("}");
  return out.failed() ? Buffer() : out.take();
}

}  // namespace hearth::api
