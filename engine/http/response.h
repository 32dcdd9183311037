// What a response looks like on the wire. Bytes only: no sockets, no clock of its own.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "http/message.h"

namespace hearth::http {

// How the end of the body is told.
enum class BodyLength : uint8_t { none, counted, chunked, until_close };
enum class ConnectionHeader : uint8_t { none, close, keep_alive };

struct ResponseFraming {
  BodyLength length = BodyLength::counted;
  uint64_t bytes = 0;  // of a counted body
  ConnectionHeader connection = ConnectionHeader::none;
  std::string_view date;  // "Sun, 06 Nov 1994 08:49:37 GMT"
};

// No more bytes than this are written by write_head().
size_t head_size_bound(const ResponseHead& head);
// Writes the head with its empty line to `out`, which has room for head_size_bound() bytes. Returns
// how many bytes it wrote.
size_t write_head(char* out, const ResponseHead& head, const ResponseFraming& framing);

// 204 and 304 have no body, and no header that gives its length.
inline bool has_no_body(uint16_t status) { return status == 204 || status == 304; }
// What is sent for a status: itself, or 500 when it is not a final one.
inline uint16_t final_status(uint16_t status) {
  return status >= 200 && status <= 599 ? status : 500;
}
// "Not Found"; empty for a status that has no registered name.
std::string_view reason_phrase(uint16_t status);

// The size line of a chunk, CRLF included. `out` has room for kChunkLineMax bytes.
constexpr size_t kChunkLineMax = 18;
size_t write_chunk_line(char* out, size_t size);

// The Date header's value, rendered once a second.
class DateCache {
 public:
  std::string_view at(MonotonicTime now, const Clock& clock);

 private:
  MonotonicTime valid_until_{};
  char text_[30] = {};
};

}  // namespace hearth::http
