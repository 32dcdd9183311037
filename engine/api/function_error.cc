#include "api/function_error.h"

#include <fmt/format.h>

#include "api/byte_writer.h"
#include "api/control_time.h"

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

constexpr size_t kDetailMax = 512;
constexpr size_t kMessageMax = kDetailMax + 128;  // of it, and of the catalogue's text

// Plain text, to `out`, which has kMessageMax bytes of room. Returns the end.
char* write_message(char* out, const Outcome& outcome) {
  const ErrorInfo& error = info(outcome.code);
  const std::string_view detail = outcome.detail.substr(0, kDetailMax);
  if (outcome.code == Code::deadline_exceeded) {
    const bool has_spec = outcome.spec != nullptr && *outcome.spec != nullptr;
    if (!detail.empty() || !has_spec) {
      return fmt::format_to_n(out, kMessageMax, "{}", detail.empty() ? error.text : detail).out;
    }
    const int64_t limit = (*outcome.spec)->timeout.count();
    return fmt::format_to_n(out, kMessageMax, "Task timed out after {}.{:02} seconds", limit / 1000,
                            limit / 10 % 100)
        .out;
  }
  if (outcome.code == Code::worker_lost) {
    return fmt::format_to_n(out, kMessageMax, "Runtime exited with error: {}",
                            detail.empty() ? error.text : detail)
        .out;
  }
  return fmt::format_to_n(out, kMessageMax, "{}{}{}", error.text, detail.empty() ? "" : ": ",
                          detail)
      .out;
}

bool is_timeout(Code code) { return code == Code::deadline_exceeded || code == Code::init_timeout; }

}  // namespace

bool is_function_error(const Outcome& outcome) {
  const ErrorInfo& error = info(outcome.code);
  if (outcome.kind == Outcome::Kind::function_error) return error.fault != Fault::platform;
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
  char message[kMessageMax];
  const char* const end = write_message(message, outcome);
  out.escaped({message, static_cast<size_t>(end - message)});
  out.raw("\"");
  if (!outcome.log_tail.empty()) {
    out.raw(R"(,"logTail":)");
    out.quoted(outcome.log_tail);
  }
  out.raw("}");
  return out.failed() ? Buffer() : out.take();
}

size_t write_failure_lines(char* out, const Outcome& outcome, WallTime now) {
  if (outcome.kind != Outcome::Kind::platform_error || !is_function_error(outcome)) return 0;
  char id[RequestId::kTextSize];
  outcome.request_id.write_text(id);
  const std::string_view id_text(id, sizeof id);
  char buffer[kMessageMax];
  const std::string_view message(buffer,
                                 static_cast<size_t>(write_message(buffer, outcome) - buffer));
  char* end;
  if (is_timeout(outcome.code)) {
    end = fmt::format_to(out, "{} {} {}\n", iso_time_text(now), id_text, message);
  } else {
    end = fmt::format_to(out, "RequestId: {} Error: {}\n{}\n", id_text, message,
                         error_type(outcome.code));
  }
  return static_cast<size_t>(end - out);
}

}  // namespace hearth::api
