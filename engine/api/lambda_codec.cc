#include "api/lambda_codec.h"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "api/control_json.h"
#include "api/control_time.h"
#include "api/function_ref.h"
#include "api/isolation_codec.h"
#include "core/pool_key.h"
#include "core/runtime_label.h"

namespace hearth::api {
namespace {

using Json = nlohmann::json;

#if defined(__aarch64__)
constexpr const char* kArchitecture = "arm64";
#else
constexpr const char* kArchitecture = "x86_64";
#endif

Error bad(std::string detail) { return Error{Code::invalid_parameter, std::move(detail)}; }
Error unsupported(std::string detail) { return Error{Code::not_supported, std::move(detail)}; }

bool all_digits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Status read_concurrency(const Json& hearth, ConfigurationPatch& patch) {
  const Json* object = HEARTH_TRY(object_field(hearth, "Concurrency", "Hearth.Concurrency"));
  if (object == nullptr) return ok();
  HEARTH_TRY(only_fields(*object, "Hearth.Concurrency",
                         {"PerWorker", "WorkersMin", "WorkersMax", "Queue"}));
  const auto read = [&](const char* key, std::optional<uint32_t>& out) -> Status {
    const auto value = HEARTH_TRY(
        integer_field(*object, key, fmt::format("Hearth.Concurrency.{}", key), 0, UINT32_MAX));
    if (value) out = static_cast<uint32_t>(*value);
    return ok();
  };
  HEARTH_TRY(read("PerWorker", patch.per_worker));
  HEARTH_TRY(read("WorkersMin", patch.workers_min));
  HEARTH_TRY(read("WorkersMax", patch.workers_max));
  return read("Queue", patch.queue);
}

Status read_hearth(const Json& root, ConfigurationPatch& patch) {
  const Json* hearth = HEARTH_TRY(object_field(root, "Hearth", "Hearth"));
  if (hearth == nullptr) return ok();
  // The last four are part of what we answer; clients that send an answer back may keep them.
  HEARTH_TRY(only_fields(*hearth, "Hearth",
                         {"TimeoutMs", "Concurrency", "CpuMillis", "Network", "NetworkAllow",
                          "Sandbox", "Leftovers", "Recycle", "Zygote", "TmpBytes", "InitTimeoutMs",
                          "Revision", "FreshStart", "InterpreterVersion", "Substituted"}));
  const auto timeout =
      HEARTH_TRY(integer_field(*hearth, "TimeoutMs", "Hearth.TimeoutMs", 1, 1'000'000'000));
  if (timeout) patch.timeout = milliseconds(*timeout);
  patch.isolation = HEARTH_TRY(read_isolation(*hearth));
  return read_concurrency(*hearth, patch);
}

Status read_environment(const Json& root, ConfigurationPatch& patch) {
  const Json* environment = HEARTH_TRY(object_field(root, "Environment", "Environment"));
  if (environment == nullptr) return ok();
  patch.environment.emplace();
  const Json* variables =
      HEARTH_TRY(object_field(*environment, "Variables", "Environment.Variables"));
  if (variables == nullptr) return ok();
  for (const auto& [key, value] : variables->items()) {
    if (!value.is_string())
      return bad(fmt::format("Environment.Variables.{} is not a string", key));
    patch.environment->emplace_back(key, value.get_ref<const std::string&>());
  }
  return ok();
}

// What would change how the function runs, and can't be had here, is refused instead of ignored.
Status refuse_unsupported(const Json& root) {
  const auto package = HEARTH_TRY(string_field(root, "PackageType", "PackageType"));
  if (package && *package != "Zip") {
    return unsupported(fmt::format("PackageType {}: Zip is the only one", *package));
  }
  const auto filled = [&](const char* key) {
    const auto it = root.find(key);
    return it != root.end() && !it->is_null() && !(it->is_structured() && it->empty());
  };
  if (filled("Layers")) return unsupported("Layers: put what they hold into the code archive");
  if (filled("FileSystemConfigs")) return unsupported("FileSystemConfigs");
  if (filled("ImageConfig")) return unsupported("ImageConfig: container images are not run here");
  const auto it = root.find("Architectures");
  if (it == root.end() || it->is_null()) return ok();
  const bool fits = it->is_array() && it->size() == 1 && it->front() == kArchitecture;
  if (!fits) return bad(fmt::format("Architectures: this machine is [\"{}\"]", kArchitecture));
  return ok();
}

// The fields that CreateFunction and UpdateFunctionConfiguration share.
Status read_configuration(const Json& root, ConfigurationPatch& patch) {
  HEARTH_TRY(refuse_unsupported(root));
  patch.runtime_label = HEARTH_TRY(string_field(root, "Runtime", "Runtime"));
  if (patch.runtime_label) {
    const auto label = parse_runtime_label(*patch.runtime_label);
    if (!label) return bad(fmt::format("Runtime {}", label.error().detail));
    patch.runtime = label->runtime;
  }
  patch.handler = HEARTH_TRY(string_field(root, "Handler", "Handler"));
  patch.description = HEARTH_TRY(string_field(root, "Description", "Description"));
  patch.role = HEARTH_TRY(string_field(root, "Role", "Role"));
  if (patch.role && patch.role->size() > kRoleMax)
    return bad(fmt::format("Role is longer than {} bytes", kRoleMax));
  const auto timeout = HEARTH_TRY(integer_field(root, "Timeout", "Timeout", 1, 1'000'000));
  if (timeout) patch.timeout = seconds(*timeout);
  const auto memory = HEARTH_TRY(integer_field(root, "MemorySize", "MemorySize", 1, 1 << 24));
  if (memory) patch.memory_bytes = mebibytes(static_cast<uint64_t>(*memory));
  HEARTH_TRY(read_environment(root, patch));
  return read_hearth(root, patch);
}

// `code` is the object that holds ZipFile.
Result<size_t> read_archive(const Json& code, std::string_view where, size_t archives) {
  const auto has = [&](const char* key) {
    const auto it = code.find(key);
    return it != code.end() && !it->is_null();
  };
  if (has("S3Bucket") || has("S3Key")) {
    return unsupported(
        fmt::format("{}S3Bucket: send the archive itself as {}ZipFile", where, where));
  }
  if (has("ImageUri"))
    return unsupported(fmt::format("{}ImageUri: container images are not run here", where));
  const std::string name = fmt::format("{}ZipFile", where);
  const auto text = HEARTH_TRY(string_field(code, "ZipFile", name));
  if (!text) return bad(fmt::format("{} is missing: the code as a base64 zip archive", name));
  if (!all_digits(*text) || text->size() > 3 || std::stoul(*text) >= archives) {
    return bad(fmt::format("{} is not base64", name));
  }
  return std::stoul(*text);
}

Json hearth_object(const FunctionSpec& spec) {
  Json out = {{"TimeoutMs", spec.timeout.count()},
              {"Concurrency",
               {{"PerWorker", spec.concurrency.per_worker},
                {"WorkersMin", spec.concurrency.workers_min},
                {"WorkersMax", spec.concurrency.workers_max},
                {"Queue", spec.concurrency.queue}}},
              {"Revision", spec.revision}};
  if (std::string reason = fresh_start_reason(spec); !reason.empty())
    out["FreshStart"] = std::move(reason);
  add_isolation(out, spec);
  return out;
}

Json configuration(const FunctionRecord& record) {
  const FunctionSpec& spec = record.spec;
  Json out = {{"FunctionName", spec.name},
              {"FunctionArn", function_arn(spec.name)},
              {"Runtime", runtime_label(spec)},
              {"Role", spec.role},
              {"Handler", spec.handler},
              {"CodeSize", spec.code_size},
              {"Description", spec.description},
              {"Timeout", std::chrono::ceil<seconds>(spec.timeout).count()},
              {"MemorySize", spec.memory_bytes >> 20},
              {"LastModified", aws_time_text(record.modified)},
              {"CodeSha256", record.code_sha256_base64},
              {"Version", kLatest},
              {"TracingConfig", {{"Mode", "PassThrough"}}},
              {"RevisionId", record.revision_id},
              {"State", record.unavailable.empty() ? "Active" : "Failed"},
              {"LastUpdateStatus", "Successful"},
              {"PackageType", "Zip"},
              {"Architectures", Json::array({kArchitecture})},
              {"EphemeralStorage", {{"Size", 512}}},
              {"Hearth", hearth_object(spec)}};
  if (!record.unavailable.empty()) {
    out["StateReason"] = record.unavailable;
    out["StateReasonCode"] = "InvalidRuntime";
  }
  if (!record.interpreter_version.empty()) {
    out["Hearth"]["InterpreterVersion"] = record.interpreter_version;
    out["Hearth"]["Substituted"] = record.substituted;
  }
  if (!spec.environment.empty()) {
    Json variables = Json::object();
    for (const auto& [key, value] : spec.environment) variables[key] = value;
    out["Environment"]["Variables"] = std::move(variables);
  }
  return out;
}

}  // namespace

Result<CreateInput> parse_create(std::string_view json, size_t archives) {
  const Json root = HEARTH_TRY(parse_object(json));
  CreateInput input;
  const auto name = HEARTH_TRY(string_field(root, "FunctionName", "FunctionName"));
  if (!name) return bad("FunctionName is missing");
  FunctionRef ref;
  if (!parse_function_ref(*name, ref) || !ref.qualifier.empty()) {
    return bad(fmt::format(
        "FunctionName '{}' is neither a name of at most {} letters, digits, '-' and '_' nor an ARN",
        name->substr(0, 128), kFunctionNameMax));
  }
  input.spec.name = ref.name;
  ConfigurationPatch patch;
  HEARTH_TRY(read_configuration(root, patch));
  if (!patch.runtime) return bad("Runtime is missing");
  if (!patch.handler) return bad("Handler is missing");
  const Json* code = HEARTH_TRY(object_field(root, "Code", "Code"));
  if (code == nullptr) return bad("Code is missing");
  input.archive = HEARTH_TRY(read_archive(*code, "Code.", archives));
  apply_patch(patch, input.spec);
  return input;
}

Result<CodeInput> parse_update_code(std::string_view json, size_t archives) {
  const Json root = HEARTH_TRY(parse_object(json));
  HEARTH_TRY(refuse_unsupported(root));
  const auto dry_run = root.find("DryRun");
  if (dry_run != root.end() && *dry_run == true) return unsupported("DryRun");
  CodeInput input;
  input.archive = HEARTH_TRY(read_archive(root, "", archives));
  input.revision_id = HEARTH_TRY(string_field(root, "RevisionId", "RevisionId"));
  if (const Json* hearth = HEARTH_TRY(object_field(root, "Hearth", "Hearth"))) {
    HEARTH_TRY(only_fields(*hearth, "Hearth", {"Configuration"}));
    const Json* configuration =
        HEARTH_TRY(object_field(*hearth, "Configuration", "Hearth.Configuration"));
    if (configuration != nullptr) HEARTH_TRY(read_configuration(*configuration, input.patch));
  }
  return input;
}

Result<ConfigurationInput> parse_update_configuration(std::string_view json) {
  const Json root = HEARTH_TRY(parse_object(json));
  ConfigurationInput input;
  HEARTH_TRY(read_configuration(root, input.patch));
  input.revision_id = HEARTH_TRY(string_field(root, "RevisionId", "RevisionId"));
  return input;
}

std::string function_arn(std::string_view name) {
  return fmt::format("arn:aws:lambda:us-east-1:000000000000:function:{}", name);
}

std::string configuration_json(const FunctionRecord& record) { return dump(configuration(record)); }

std::string function_json(const FunctionRecord& record, std::string_view origin) {
  return dump(
      {{"Configuration", configuration(record)},
       {"Code",
        {{"RepositoryType", "S3"},
         {"Location", fmt::format("{}/hearth/v1/functions/{}/code", origin, record.spec.name)}}},
       {"Tags", Json::object()}});
}

std::string functions_json(const std::vector<FunctionRecord>& records,
                           std::string_view next_marker) {
  Json out = {{"Functions", Json::array()}};
  for (const auto& record : records) out["Functions"].push_back(configuration(record));
  if (!next_marker.empty()) out["NextMarker"] = next_marker;
  return dump(out);
}

std::string versions_json(const FunctionRecord& record) {
  return dump({{"Versions", Json::array({configuration(record)})}});
}

}  // namespace hearth::api
