// The check in front of llhttp: finds the end of a request's head and refuses the byte sequences on
// which HTTP parsers are known to disagree, so that no proxy in front of us can be made to see
// other requests than we do. Versions of llhttp differ in what they let through; with the guard
// they need not be trusted with it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/message.h"

namespace hearth::http {

// One request's head. The bytes may come in any pieces: the verdict is the same.
//
// Refused with http_malformed: a CR without LF, an LF without CR, control characters (HTAB may
// stand in a header's value), a line that starts with white space (obs-fold) or with ':', more than
// one empty line before the request line, a request line without exactly two spaces. Refused with
// http_version: a request line that does not end in " HTTP/1.0" or " HTTP/1.1". Refused with
// head_too_large: no end within head_max bytes.
class HeadGuard {
 public:
  enum class Verdict : uint8_t { more, complete, refused };

  // `bytes`: everything since the request's first byte, in one piece. Goes on where the last call
  // stopped. After `complete` or `refused` only reset() may be called.
  Verdict scan(std::string_view bytes, size_t head_max);

  // For what follows a chunked body: the same rules for its lines, and no request line. `part`: the
  // bytes behind those of the last call, of which `used` belong to the trailers.
  void begin_trailers() { at_ = At::line_start; }
  Verdict scan_trailers(std::string_view part, size_t& used);

  // After `complete`: the head is [begin, end): an empty line before it is left out, the one that
  // ends it is in.
  size_t begin() const { return begin_; }
  size_t end() const { return position_; }
  // After `refused`.
  const Refusal& refusal() const { return refusal_; }

  void reset() { *this = HeadGuard(); }

 private:
  // What the next byte belongs to. `_lf`: a CR has come.
  enum class At : uint8_t {
    start,
    start_lf,
    request_line,
    request_line_lf,
    line_start,
    line,
    line_lf,
    end_lf
  };

  // One byte that is not skipped over. False: refused.
  bool step(std::string_view bytes);
  bool end_request_line(std::string_view line);
  bool refuse(Code code, std::string_view detail);

  Refusal refusal_;
  size_t position_ = 0;
  size_t begin_ = 0;
  At at_ = At::start;
  bool complete_ = false;
};

}  // namespace hearth::http
