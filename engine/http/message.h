// What a request and a response are to the handlers. Views only; who owns the bytes stands at each.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "base/buffer_pool.h"
#include "base/errors.h"
#include "base/unique_fd.h"

namespace hearth::http {

struct HeaderView {
  std::string_view name;   // as sent
  std::string_view value;  // without white space around it
};

// Why a request is refused before any handler decides about it (bad bytes, limits, time).
struct Refusal {
  Code code{};
  std::string_view detail;  // static storage
};

// ASCII case-insensitive.
bool equals_ignoring_case(std::string_view a, std::string_view b);

// A request's head. Every view lies in the connection's buffers and is valid during the callback
// only.
struct RequestHead {
  std::string_view method;  // "POST"
  std::string_view target;  // as sent, "/fn/a?x=1"
  std::string_view path;    // the part before '?', still percent-encoded
  std::string_view query;   // the part behind it, or empty
  std::span<const HeaderView> headers;
  std::string_view host;  // the Host header, or empty (HTTP/1.0)
  std::string_view peer;  // the client's address, "127.0.0.1"
  uint16_t peer_port = 0;
  bool functions_only = false;  // came in on http.functions_listen
  uint32_t listener = 0;        // that of Server::adopt() on which it came, or 0
  bool http_1_0 = false;
  bool has_body = false;        // Content-Length above 0, or chunked
  uint64_t content_length = 0;  // 0 when chunked

  // The first header of that name, or an empty view. `lower` is in lower case.
  std::string_view header(std::string_view lower) const;
  bool has_header(std::string_view lower) const;
};

// A complete request.
struct Request : RequestHead {
  std::string_view body;          // empty when spooled
  Buffer* body_buffer = nullptr;  // not null: `body` lies in it, and the handler may move it out
  UniqueFd* spool = nullptr;  // not null: the body was written to this unlinked file (offset 0);
                              // the handler may move it out
  uint64_t spool_size = 0;
  std::string_view trailers;  // of a streamed body: lines "Name: value", each with its CRLF

  // The value of the first trailer of that name, or an empty view. `lower` is in lower case.
  std::string_view trailer(std::string_view lower) const;
};

// A response's head. `status` is 200..599; anything else is sent as 500. `headers` are written as
// they are: the caller has made sure that they hold no CR, LF or NUL (valid_header()). Date,
// Content-Length or Transfer-Encoding, and Connection are the server's.
struct ResponseHead {
  uint16_t status = 200;
  std::string_view content_type;  // empty: none
  std::span<const HeaderView> headers;
};

// May this pair stand in a response? Token characters in the name; no control characters but HTAB
// in the value; not one of the hop-by-hop or framing headers that belong to the server.
bool valid_header(std::string_view name, std::string_view value);

}  // namespace hearth::http
