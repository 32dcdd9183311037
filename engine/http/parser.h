// Bytes in, one request out: the head guard, llhttp in strict mode behind it, and the rules that
// llhttp leaves to its users. Owns no bytes and allocates nothing.
#pragma once
#include <llhttp.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "base/callback.h"
#include "http/head_guard.h"
#include "http/message.h"

namespace hearth::http {

// Parses one request at a time: find_head() until `done`, parse_head(), parse_body() until `done`,
// reset(). After `failed`, refusal() says why and nothing but reset() may be called. Not movable:
// llhttp points into it.
class Parser {
 public:
  enum class Step : uint8_t { more, done, failed };
  // Takes a part of the body, decoded. False stops the parser.
  using BodyFn = Callback<bool(std::string_view)>;

  Parser() { reset(); }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  void reset();

  // `bytes`: everything since the request's first byte, in one piece. `done`: the head lies in the
  // first head_size() bytes.
  Step find_head(std::string_view bytes, size_t head_max);
  size_t head_size() const { return guard_.end(); }

  // `bytes`: as in the last find_head(). Fills `head`, all but peer, peer_port and functions_only,
  // with views into `bytes` and into `table`, which sets the limit for header lines. `more`: a body
  // follows. `done`: the request is complete.
  //
  // Refused beyond what guard and llhttp refuse: HTTP/1.1 without exactly one Host,
  // Transfer-Encoding on HTTP/1.0, beside Content-Length, twice or other than "chunked"
  // (not_supported), a target that is neither a path nor an http URL nor '*', an unknown
  // expectation.
  Step parse_head(std::string_view bytes, std::span<HeaderView> table, RequestHead& head);

  // The bytes behind the head. `used`: how many of them belong to this request. Trailers are read,
  // and dropped unless `on_trailers` is set: it takes their lines as they came, in any pieces. They
  // are held to the rules of the head's. Refused also: chunk framing (sizes, extensions, trailers)
  // out of proportion to the data that it carries.
  Step parse_body(std::string_view bytes, BodyFn on_part, size_t& used, BodyFn on_trailers = {});

  const Refusal& refusal() const { return refusal_; }
  // After parse_head(): what the request asks for.
  bool keep_alive() const { return keep_alive_; }
  bool expects_continue() const { return expects_continue_; }

 private:
  friend struct ParserCallbacks;
  struct Seen {
    uint32_t hosts = 0;
    uint32_t lengths = 0;
    uint32_t transfer_encodings = 0;
  };

  Step refuse(Code code, std::string_view detail);
  Step refuse_as_llhttp(llhttp_errno_t error);
  Step parse_data(std::string_view bytes, size_t& used);
  Step parse_trailers(std::string_view bytes, size_t& used);
  bool check_header(const HeaderView& header, RequestHead& head, Seen& seen);
  bool check_framing(const RequestHead& head, const Seen& seen);
  bool split_target(RequestHead& head);

  llhttp_t llhttp_;
  HeadGuard guard_;
  HeadGuard trailer_guard_;
  Refusal refusal_;
  std::span<HeaderView> table_;
  size_t header_count_ = 0;
  std::string_view name_;  // of the header line that is being read
  std::string_view target_;
  BodyFn on_part_;
  BodyFn on_trailers_;
  uint64_t body_bytes_ = 0;  // decoded
  uint64_t raw_bytes_ = 0;   // as they came
  bool head_done_ = false;
  bool in_trailers_ = false;  // the last chunk's line has come
  bool keep_alive_ = false;
  bool expects_continue_ = false;
};

}  // namespace hearth::http
