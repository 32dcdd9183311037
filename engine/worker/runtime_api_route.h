// What a request of the Lambda Runtime API asks for. Pure functions.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/request_id.h"

namespace hearth::worker {

struct ApiRoute {
  enum class Kind : uint8_t { next, response, error, init_error, ping, unknown, wrong_method };
  Kind kind = Kind::unknown;
  std::string_view request_id;  // of response and error: as sent, lies in `path`
};
ApiRoute api_route(std::string_view method, std::string_view path);

// What rides on a call beside its event (the extension of runtimes/protocol.md), as headers carry
// it: no control characters. Empty: not given.
struct ApiContext {
  std::string client_context;  // JSON
  std::string trace_id;
  std::string arn;
};
ApiContext api_context(std::string_view extension);

// An error that a client reports, as the caller gets it: `body` if it is a JSON object, else one
// with `body` as its message. `type`: the client's header, kept if it reads Runtime.Name or
// Function.Name.
std::string api_error_json(std::string_view body, std::string_view type);
// The same for the trailers of a stream that broke off, whose body is base64.
std::string api_trailer_error_json(std::string_view body, std::string_view type);

// {"errorMessage":..., "errorType":...}
std::string error_json(std::string_view type, std::string_view message);

}  // namespace hearth::worker
