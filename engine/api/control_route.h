// Which operation of the control plane a request asks for. Allocates nothing but texts of errors.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace hearth::api {

enum class ControlOp : uint8_t {
  // Lambda's
  create_function,
  list_functions,
  get_function,
  get_configuration,
  update_code,
  update_configuration,
  delete_function,
  list_versions,
  // ours, under /hearth/v1
  hearth_list,
  hearth_get,
  hearth_logs,
  hearth_code,
  hearth_state,
  hearth_doctor,
  hearth_sandbox,
  hearth_version
};

struct ControlRoute {
  ControlOp op{};
  std::string function;  // decoded and checked; empty for operations on no single function
};

// Does the path belong to the control plane: /hearth/v1/..., or one of Lambda's (/2015-03-31/...)?
bool is_control_path(std::string_view path);

// `head.path` is a control path. Errors: route_unknown, method_not_allowed, not_supported (a call
// of Lambda's that is not spoken here), invalid_parameter (name), version_unknown (a qualifier
// other than $LATEST).
Result<ControlRoute> control_route(const http::RequestHead& head);

// Does the request bring code, so that its body has the size of an upload? By method and path only.
bool brings_code(const http::RequestHead& head);

// The decoded value of a query parameter, or nothing. The key is matched as it is.
std::optional<std::string> query_value(std::string_view query, std::string_view key);

}  // namespace hearth::api
