// Typed access to parsed JSON for the codecs. Includes nlohmann's json.hpp: for .cc files only. Any
// thread.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::api {

inline constexpr size_t kRoleMax = 512;

// The text as a JSON object. Its depth has been checked (scan_body). Errors: invalid_request.
Result<nlohmann::json> parse_object(std::string_view text);

// The member `key`, which `path` names in errors; nothing when it is missing or null. Errors:
// invalid_parameter for a value of another type or out of range.
Result<const nlohmann::json*> object_field(const nlohmann::json& object, const char* key,
                                           std::string_view path);
Result<std::optional<std::string>> string_field(const nlohmann::json& object, const char* key,
                                                std::string_view path);
Result<std::optional<int64_t>> integer_field(const nlohmann::json& object, const char* key,
                                             std::string_view path, int64_t min, int64_t max);

// Errors: invalid_parameter, which names the first member of `object` that is not in `known`.
Status only_fields(const nlohmann::json& object, std::string_view path,
                   std::initializer_list<std::string_view> known);

// Compact; bytes that are not UTF-8 become U+FFFD.
std::string dump(const nlohmann::json& value);

}  // namespace hearth::api
