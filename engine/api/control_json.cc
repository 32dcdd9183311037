#include "api/control_json.h"

#include <fmt/core.h>

#include <algorithm>

namespace hearth::api {
namespace {

using Json = nlohmann::json;

Error bad(std::string detail) { return Error{Code::invalid_parameter, std::move(detail)}; }

const Json* find(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

}  // namespace

Result<Json> parse_object(std::string_view text) {
  // Without exceptions, a text that is no JSON comes out as "discarded".
  Json value = Json::parse(text, nullptr, false);
  if (value.is_discarded()) return Error{Code::invalid_request, "the body is not JSON"};
  if (!value.is_object()) return Error{Code::invalid_request, "the body is not a JSON object"};
  return value;
}

Result<const Json*> object_field(const Json& object, const char* key, std::string_view path) {
  const Json* value = find(object, key);
  if (value != nullptr && !value->is_object()) return bad(fmt::format("{} is not an object", path));
  return value;
}

Result<std::optional<std::string>> string_field(const Json& object, const char* key,
                                                std::string_view path) {
  const Json* value = find(object, key);
  if (value == nullptr) return std::optional<std::string>();
  if (!value->is_string()) return bad(fmt::format("{} is not a string", path));
  return std::optional<std::string>(value->get_ref<const std::string&>());
}

Result<std::optional<int64_t>> integer_field(const Json& object, const char* key,
                                             std::string_view path, int64_t min, int64_t max) {
  const Json* value = find(object, key);
  if (value == nullptr) return std::optional<int64_t>();
  if (!value->is_number_integer()) return bad(fmt::format("{} is not a whole number", path));
  const bool huge = value->is_number_unsigned() && value->get<uint64_t>() > INT64_MAX;
  const int64_t number = huge ? INT64_MAX : value->get<int64_t>();
  if (number < min || number > max) {
    return bad(fmt::format("{} is {}: {} to {} are allowed", path, value->dump(), min, max));
  }
  return std::optional<int64_t>(number);
}

Status only_fields(const Json& object, std::string_view path,
                   std::initializer_list<std::string_view> known) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return bad(fmt::format("{} has the unknown field '{}'", path, key.substr(0, 64)));
    }
  }
  return ok();
}

std::string dump(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace hearth::api
