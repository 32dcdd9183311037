// Which station of the API a request belongs to. Looks at Host and path only; allocates nothing.
#pragma once
#include <cstdint>
#include <string_view>

#include "http/message.h"

namespace hearth::api {

enum class RouteKind : uint8_t {
  other,          // not the data plane's: the control plane's, or nothing
  invoke,         // /2015-03-31/functions/{function}/invocations
  function_url,   // /fn/NAME/...
  function_host,  // NAME.localhost, any path
  healthz,
  readyz,
  metrics
};

// Views into the head.
struct Route {
  RouteKind kind = RouteKind::other;
  std::string_view
      function;  // invoke: the segment as sent; function_url and function_host: the name
  std::string_view
      raw_path;  // function_url: what is behind the name, "/" at least; function_host: the path
};

Route route_of(const http::RequestHead& head);

}  // namespace hearth::api
