#include "api/hearth_codec.h"

#include "api/control_json.h"
#include "api/control_time.h"
#include "base/json_text.h"
#include "core/pool_key.h"

namespace hearth::api {
namespace {

using Json = nlohmann::json;

Json text_or_null(const std::string& text) { return text == "-" ? Json() : Json(text); }

}  // namespace

std::string hearth_function_json(const FunctionRecord& record) {
  const FunctionSpec& spec = record.spec;
  return dump({{"name", spec.name},
               {"runtime", runtime_name(spec.runtime)},
               {"runtime_label", runtime_label(spec)},
               {"interpreter_version", record.interpreter_version},
               {"substituted", record.substituted},
               {"unavailable", record.unavailable},
               {"handler", spec.handler},
               {"revision", spec.revision},
               {"revision_id", record.revision_id},
               {"timeout_ms", spec.timeout.count()},
               {"memory_bytes", spec.memory_bytes},
               {"concurrency",
                {{"per_worker", spec.concurrency.per_worker},
                 {"workers_min", spec.concurrency.workers_min},
                 {"workers_max", spec.concurrency.workers_max},
                 {"queue", spec.concurrency.queue}}},
               {"network", network_name(spec.network)},
               {"network_allow", spec.egress_allow},
               {"cpu_millis", spec.cpu_millis},
               {"sandbox", spec.least_sandbox == SandboxLeast::any
                               ? Json()
                               : Json(sandbox_least_name(spec.least_sandbox))},
               {"leftovers", leftovers_name(spec.leftovers)},
               {"recycle",
                {{"max_calls", spec.recycle.max_calls},
                 {"max_age_ms", spec.recycle.max_age.count()},
                 {"max_rss_bytes", spec.recycle.max_rss}}},
               {"zygote", zygote_name(spec.zygote)},
               {"tmp_bytes", spec.tmp_bytes},
               {"init_timeout_ms", spec.init_timeout.count()},
               {"fresh_start", fresh_start_reason(spec)},
               {"description", spec.description},
               {"code_sha256", spec.code_sha256},
               {"code_size", spec.code_size},
               {"created", iso_time_text(record.created)},
               {"modified", iso_time_text(record.modified)}});
}

void add_live_figures(std::string& function_json, std::string_view live) {
  if (live.empty()) return;
  function_json.pop_back();
  function_json.append(",\"live\":").append(live).append("}");
}

std::string hearth_list_json(const std::vector<std::string>& functions,
                             std::string_view next_marker) {
  std::string out = "{\"functions\":[";
  for (const auto& function : functions) {
    if (out.back() == '}') out += ',';
    out += function;
  }
  out += "],\"next_marker\":";
  if (next_marker.empty()) {
    out += "null";
  } else {
    append_json_string(out, next_marker);
  }
  return out + "}";
}

std::string logs_json(const LogPage& page) {
  Json lines = Json::array();
  for (const auto& line : page.lines) {
    lines.push_back({{"time", line.time},
                     {"request_id", text_or_null(line.request_id)},
                     {"revision", text_or_null(line.revision)},
                     {"level", line.level},
                     {"text", line.text}});
  }
  return dump({{"lines", std::move(lines)}, {"cursor", page.cursor}, {"lost", page.lost}});
}

}  // namespace hearth::api
