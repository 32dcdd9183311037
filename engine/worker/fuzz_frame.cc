// A worker's bytes into the frame parser: whole, and in pieces as reads may cut them. Both must
// give the same frames and the same verdict.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "worker/frame.h"

namespace {

using namespace hearth;
using namespace hearth::worker;

struct Outcome {
  std::vector<std::string> frames;
  bool invalid = false;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// Reads of at most `piece` bytes, with what is left of one carried into the next, as Channel does.
Outcome parse(std::string_view bytes, size_t piece) {
  Outcome outcome;
  std::string carried;
  while (!bytes.empty()) {
    const size_t n = bytes.size() < piece ? bytes.size() : piece;
    carried.append(bytes.substr(0, n));
    bytes.remove_prefix(n);
    std::string_view view = carried;
    for (;;) {
      Frame frame;
      std::string_view what;
      const Take take = take_worker_frame(view, frame, what);
      if (take == Take::invalid) {
        if (what.empty()) std::abort();  // a refusal says why
        outcome.invalid = true;
        return outcome;
      }
      if (take == Take::incomplete) break;
      if (frame.payload.size() != frame.header.length || frame.header.length > kFrameMax)
        std::abort();
      std::string whole(kHeaderSize, '\0');
      encode_header(whole.data(), frame.header);
      outcome.frames.push_back(whole.append(frame.payload));
    }
    carried.erase(0, carried.size() - view.size());
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Outcome whole = parse(bytes, size + 1);
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{4'096}}) {
    if (!(parse(bytes, piece) == whole)) std::abort();
  }
  return 0;
}
