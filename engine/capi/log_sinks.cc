#include "capi/log_sinks.h"

#include <algorithm>
#include <array>

#include "capi/inside.h"

namespace hearth::capi {
namespace {

void pass_on(hearth_function_log_fn fn, void* ctx, const FunctionLine& line) {
  hearth_log_line_t out{};
  out.struct_size = sizeof out;
  out.level = std::min(line.level, int{HEARTH_LOG_ERROR});  // "critical" has no level of its own
  out.function = line.spec.name.c_str();
  char id[RequestId::kTextSize + 1];
  if (line.request_id != nullptr) {
    line.request_id->write_text(id);
    id[RequestId::kTextSize] = '\0';
    out.request_id = id;
  }
  out.text = {line.text.data(), line.text.size()};
  out.more = line.continued ? 1 : 0;
  const Inside inside;
  fn(ctx, &out);
}

}  // namespace

void HostLogSink::write(LogLevel level, std::string_view area, std::string_view text) {
  std::array<char, 32> name{};
  area.copy(name.data(), name.size() - 1);
  const Inside inside;
  log_.fn(log_.ctx, static_cast<int>(level) + HEARTH_LOG_DEBUG, name.data(),
          {text.data(), text.size()});
}

FunctionLineFn function_log(hearth_function_log_fn fn, void* ctx) {
  if (fn == nullptr) return {};
  return [fn, ctx](const FunctionLine& line) { pass_on(fn, ctx, line); };
}

}  // namespace hearth::capi
