#include "worker/init_json.h"

#include <fmt/core.h>

#include <map>

#include "base/json_text.h"
#include "sandbox/spawner_protocol.h"

namespace hearth::worker {
namespace {

using Variables = std::map<std::string, std::string>;

// What Lambda's systems without a runtime have beside the rest: may be set by the function.
void add_custom_defaults(Variables& env) {
  env["PATH"] = "/usr/local/bin:/usr/bin:/bin:/opt/bin";
  env["LD_LIBRARY_PATH"] = "/var/task:/var/task/lib:/opt/lib";
}

void add_custom(Variables& env, const FunctionSpec& spec) {
  env["AWS_LAMBDA_RUNTIME_API"] = fmt::format("127.0.0.1:{}", sandbox::kApiPort);
  env["LAMBDA_RUNTIME_DIR"] = "/var/runtime";
  if (spec.concurrency.per_worker > 1)
    env["AWS_LAMBDA_MAX_CONCURRENCY"] = std::to_string(spec.concurrency.per_worker);
}

Variables environment(const FunctionSpec& spec, std::string_view root) {
  Variables env = {{"PATH", "/usr/local/bin:/usr/bin:/bin"},
                   {"LANG", "C.UTF-8"},
                   {"TZ", ":UTC"},
                   {"HOME", "/tmp"},
                   {"TMPDIR", "/tmp"},
                   {"AWS_REGION", "us-east-1"},
                   {"AWS_DEFAULT_REGION", "us-east-1"},
                   {"AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"},
                   {"AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/" + spec.name},
                   {"AWS_LAMBDA_LOG_STREAM_NAME", spec.revision.substr(0, 32)}};
  if (spec.runtime == Runtime::custom) add_custom_defaults(env);
  for (const auto& [key, value] : spec.environment) env[key] = value;
  if (spec.runtime == Runtime::custom) add_custom(env, spec);
  env["LAMBDA_TASK_ROOT"] = root;
  env["AWS_LAMBDA_FUNCTION_NAME"] = spec.name;
  env["AWS_LAMBDA_FUNCTION_VERSION"] = "$LATEST";
  env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = std::to_string(spec.memory_bytes >> 20);
  env["_HANDLER"] = spec.handler;
  return env;
}

}  // namespace

std::string function_arn(std::string_view name) {
  return fmt::format("arn:aws:lambda:us-east-1:000000000000:function:{}", name);
}

std::string start_environment(const FunctionSpec& spec, std::string_view root) {
  Variables variables = environment(spec, root);
  if (spec.runtime == Runtime::nodejs) {
    std::string& options = variables["NODE_OPTIONS"];
    options = fmt::format("--max-old-space-size={}{}{}", (spec.memory_bytes >> 20) * 3 / 4,
                          options.empty() ? "" : " ", options);
  }
  std::string out;
  for (const auto& [key, value] : variables) {
    out += key;
    out += '=';
    out += value;
    out += '\0';
  }
  return out;
}

std::string init_json(const FunctionSpec& spec, std::string_view root, const Limits& limits,
                      InitWishes wishes) {
  std::string out = R"({"protocol":1)";
  const auto text = [&](std::string_view key, std::string_view value) {
    out += ",\"";
    out += key;
    out += "\":";
    append_json_string(out, value);
  };
  text("function", spec.name);
  text("version", "$LATEST");
  text("revision", spec.revision);
  text("arn", function_arn(spec.name));
  text("handler", spec.handler);
  text("root", root);
  out += ",\"environment\":{";
  bool first = true;
  for (const auto& [key, value] : environment(spec, root)) {
    if (!first) out += ',';
    first = false;
    append_json_string(out, key);
    out += ':';
    append_json_string(out, value);
  }
  out += fmt::format(
      R"(}},"memory_mb":{},"timeout_ms":{},"per_worker":{},"log_rate":{},"log_burst":{}{}{}}})",
      spec.memory_bytes >> 20, spec.timeout.count(), spec.concurrency.per_worker, limits.log_rate,
      limits.log_burst, wishes.zygote ? ",\"zygote\":true" : "",
      wishes.compile_cache ? fmt::format(",\"compile_cache\":{}", limits.compile_cache_per_function)
                           : "");
  return out;
}

}  // namespace hearth::worker
