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
size_t write_body(char* out, const ErrorInfo& error, std::string_view detail) {
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
  return static_cast<size_t>(put(out, "}") - begin);
}

// Is this a list of methods, as Allow has it? Text of a request never passes for one.
bool is_method_list(std::string_view text) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ, ";
  return !text.empty() && text.find_first_not_of(kLetters) == text.npos;
}

constexpr size_t kHeadersMax = 4;
static_assert(kHeadersMax <= http::RefusalAnswer::kHeadersMax);
static_assert(RequestId::kTextSize <= sizeof http::RefusalAnswer::text);

// `out` has room for kHeadersMax; returns how many there are.
size_t write_headers(http::HeaderView* out, const ErrorInfo& error, std::string_view detail,
                     std::string_view request_id) {
  out[0] = {"X-Amzn-ErrorType", error.lambda_name};
  out[1] = {"X-Amzn-RequestId", request_id};
  out[2] = {"X-Hearth-Error", error.name};
  const bool later = error.http_status == 429 || error.http_status == 503;
  if (later) out[3] = {"Retry-After", "1"};
  const bool methods = error.http_status == 405 && is_method_list(detail);
  if (methods) out[3] = {"Allow", detail};
  return later || methods ? 4 : 3;
}

}  // namespace

void respond_error(Responder& responder, ConnectionId connection, const RequestId& request_id,
                   Code code, std::string_view detail) {
  const ErrorInfo& error = info(code);
  char body[kBodyMax];
  const size_t size = write_body(body, error, detail);
  char id[RequestId::kTextSize];
  request_id.write_text(id);
  std::array<http::HeaderView, kHeadersMax> headers;
  const size_t count = write_headers(headers.data(), error, detail, {id, sizeof id});
  responder.respond(connection, {error.http_status, "application/json", {headers.data(), count}},
                    {body, size});
}

void render_error(http::RefusalAnswer& answer, const RequestId& request_id, Code code,
                  std::string_view detail) {
  const ErrorInfo& error = info(code);
  char body[kBodyMax];
  answer.body.assign(body, write_body(body, error, detail));
  answer.content_type = "application/json";
  request_id.write_text(answer.text.data());
  answer.header_count = write_headers(answer.headers.data(), error, detail,
                                      {answer.text.data(), RequestId::kTextSize});
}

}  // namespace hearth::api
