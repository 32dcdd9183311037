// A function's reply in the API Gateway v2.0 shape, read into a response. Replies are hostile
// input: one pass with bounds, no allocation.
#pragma once
#include <array>
#include <span>
#include <string_view>

#include "base/buffer_pool.h"
#include "base/result.h"
#include "http/message.h"

namespace hearth::api {

inline constexpr size_t kReplyHeadersMax = 64;  // header lines of a reply, Set-Cookie included
// JSON text of headers, multiValueHeaders and cookies together.
inline constexpr size_t kReplyHeaderBytesMax = 64 * 1024;
inline constexpr size_t kCookiePathMax = 128;  // bytes of ReplyRules::cookie_path

struct ReplyRules {
  // Not empty: every Set-Cookie gets this Path in place of its own, and loses its Domain.
  std::string_view cookie_path;
};

// What to answer. Views point into the payload, into the buffers here, or to static text.
struct HttpReply {
  uint16_t status = 200;
  std::string_view content_type = "application/json";
  std::string_view body;
  std::array<http::HeaderView, kReplyHeadersMax + 1> headers;  // one more for the caller's own
  size_t header_count = 0;
  Buffer text;     // header texts that had to be unescaped or rewritten
  Buffer decoded;  // a body that had to be unescaped or decoded

  std::span<const http::HeaderView> header_span() const { return {headers.data(), header_count}; }
};

// Reads `payload` into a fresh `reply`. With a statusCode the object is the response. Without one
// the payload is the body itself, status 200; a JSON string is its text. Errors: reply_invalid
// (names what is wrong), buffers_full.
//
// Of a response: statusCode is an integer of 200 to 599 or a string of its digits; header values
// may be strings, numbers and booleans (null is left out); hop-by-hop and framing headers are
// dropped, since they are the server's; other names and values that HTTP can't carry make the reply
// invalid. multiValueHeaders win over headers of the same name. body may be any JSON; what is not a
// string is sent as its text.
Status read_http_reply(std::string_view payload, const ReplyRules& rules, BufferPool& pool,
                       HttpReply& reply);

}  // namespace hearth::api
