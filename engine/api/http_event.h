// Writes a request as an event in the API Gateway v2.0 shape (payload format 2.0), straight into a
// pooled buffer. Loop thread only.
#pragma once
#include <array>
#include <string_view>

#include "base/buffer_pool.h"
#include "base/clock.h"
#include "base/request_id.h"
#include "base/result.h"
#include "http/message.h"

namespace hearth::api {

inline constexpr size_t kQueryParametersMax =
    256;  // pairs of one query; their keys are compared with each other

// One request to a function. Views and references are used during write() only.
struct HttpEventSource {
  const http::Request& request;
  std::string_view function;
  std::string_view raw_path;  // as sent, without the prefix that named the function
  RequestId request_id;
};

class HttpEventWriter {
 public:
  HttpEventWriter(BufferPool& pool, const Clock& clock) : pool_(pool), clock_(clock) {}

  // The event's JSON, always valid: bytes that are not UTF-8 become U+FFFD outside of the body.
  // rawPath and rawQueryString are as sent. Absent parts (cookies, queryStringParameters, body) are
  // left out, as API Gateway does; Cookie headers are in `cookies` only. x-forwarded-for is the
  // client's own with its address behind; x-forwarded-proto (http) and x-forwarded-port (the
  // Host's, or 80) replace the client's. The body is text when its
  // content type is one of text (text/*, JSON, XML, JavaScript, forms) or missing, and it is valid
  // UTF-8; else base64. Errors: buffers_full; invalid_parameter when the query has more than
  // kQueryParametersMax pairs.
  Result<Buffer> write(const HttpEventSource& source);

 private:
  std::string_view time_text(int64_t epoch_seconds);

  BufferPool& pool_;
  const Clock& clock_;
  int64_t time_second_ = -1;  // the second that time_ tells
  std::array<char, 26> time_{};
};

// Is a body of this content type text? Parameters behind ';' don't matter.
bool is_text_content(std::string_view content_type);

}  // namespace hearth::api
