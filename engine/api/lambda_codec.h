// The Lambda API's JSON to and from the store's types; nothing of HTTP. Unknown fields are ignored,
// since AWS clients bring new ones; a field of a wrong type is invalid_parameter and named. Inside
// of our own "Hearth" object an unknown field is an error. Any thread; no shared state.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/function_record.h"

namespace hearth::api {

struct CreateInput {
  FunctionSpec spec;
  size_t archive = 0;  // index into ScannedBody::archives
};
struct CodeInput {
  size_t archive = 0;
  // "Hearth": {"Configuration": {...}}: changes with the code, in one revision.
  ConfigurationPatch patch;
  std::optional<std::string> revision_id;
};
struct ConfigurationInput {
  ConfigurationPatch patch;
  std::optional<std::string> revision_id;
};

// `json` is what scan_body() left, `archives` how many it cut out. Errors: invalid_request (no JSON
// object), invalid_parameter, not_supported (code from S3 or an image, layers, a dry run).
Result<CreateInput> parse_create(std::string_view json, size_t archives);
Result<CodeInput> parse_update_code(std::string_view json, size_t archives);
Result<ConfigurationInput> parse_update_configuration(std::string_view json);

// FunctionConfiguration.
std::string configuration_json(const FunctionRecord& record);
// GetFunction's answer; `origin` is "http://HOST" under which this daemon was reached.
std::string function_json(const FunctionRecord& record, std::string_view origin);
// ListFunctions' and ListVersionsByFunction's answers; an empty marker means the end.
std::string functions_json(const std::vector<FunctionRecord>& records,
                           std::string_view next_marker);
std::string versions_json(const FunctionRecord& record);

std::string function_arn(std::string_view name);

}  // namespace hearth::api
