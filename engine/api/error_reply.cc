#include "api/error_reply.h"

#include <array>
#include <cstring>

#include "base/json_text.h"

namespace hearth::api {
namespace {

constexpr size_t kDetailMax = 512;
constexpr size_t kFixedMax = 512;  // keys, type and the catalogue's text
constexpr size_t kBodyMax = json_escaped_max(kDetailMax) + kFixedMax;

char* put(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

// Clients look for exactly these spellings.
std::string_view message_key(const ErrorInfo& error) {
  const bool upper =
      error.lambda_name == "ResourceNotFoundException" || error.lambda_name == "ServiceException";
  return upper ? "Message" : "message";
}

// `out` has kBodyMax bytes.
size_t write_body(char* out, const ErrorInfo& error, std::string_view detail, bool with_type) {
  char* const begin = out;
  out = put(out, error.http_status < 500 ? R"({"Type":"User",")" : R"({"Type":"Service",")");
  out = put(out, message_key(error));
  out = put(out, "\":\"");
  out = put(out, error.text);
  if (!detail.empty()) {
    out = put(out, ": ");
    out = write_json_escaped(out, detail.substr(0, kDetailMax));
  }
  out = put(out, "\"");
  if (error.http_status == 429) {
    out = put(out, R"(,"Reason":")");
    out = put(put(out, error.name), "\"");
  }
  if (with_type) {
    out = put(out, R"(,"__type":")");
    out = put(put(out, error.lambda_name), "\"");
  }
  return static_cast<size_t>(put(out, "}") - begin);
}

}  // namespace

void respond_error(Responder& responder, ConnectionId connection, const RequestId& request_id,
                   Code code, std::string_view detail) {
  const ErrorInfo& error = info(code);
  char body[kBodyMax];
  const size_t size = write_body(body, error, detail, false);
  char id[RequestId::kTextSize];
  request_id.write_text(id);
  std::array<http::HeaderView, 4> headers{{{"X-Amzn-ErrorType", error.lambda_name},
                                           {"X-Amzn-RequestId", {id, sizeof id}},
                                           {"X-Hearth-Error", error.name},
                                           {"Retry-After", "1"}}};
  const bool later = error.http_status == 429 || error.http_status == 503;
  responder.respond(connection,
                    {error.http_status, "application/json", {headers.data(), later ? 4u : 3u}},
                    {body, size});
}

void append_error_body(std::string& out, Code code, std::string_view detail) {
  char body[kBodyMax];
  out.append(body, write_body(body, info(code), detail, true));
}

}  // namespace hearth::api
