// Any bytes: the parser never crashes, and makes the same of them whatever pieces they come in.
#include <cstdlib>

#include "http/parse_transcript.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Beyond this the check on chunk framing, which is made once a piece, may see a piece's end at
  // another place.
  constexpr size_t kSizeMax = 16 * 1024;
  if (size > kSizeMax) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = hearth::http::transcript_of(bytes, 0, 512, 8);
  for (const size_t step : {1, 2, 5, 64}) {
    if (hearth::http::transcript_of(bytes, step, 512, 8) != whole) std::abort();
  }
  return 0;
}
