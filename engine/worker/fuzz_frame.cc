// A worker's bytes into the frame parser: whole, and in pieces as reads may cut them. Both must
// give the same frames and the same verdict.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "worker/compile_cache.h"
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

// What the frames say of a compile cache: whatever it is, the engine holds no more than its limits,
// gives on what came and nothing else, and holds nothing of a worker that is gone.
void take_caches(std::string_view bytes, bool asked) {
  Limits limits;
  limits.compile_cache_per_function = 2 * kPartMax + 100;
  limits.compile_cache_total = 3 * kPartMax;
  CompileCaches caches(limits);
  FunctionSpec spec;
  spec.runtime = asked ? Runtime::nodejs : Runtime::python3;
  const FunctionSpecPtr function = std::make_shared<FunctionSpec>(spec);
  CacheShare share;
  caches.begin(share, function);
  std::string sent;
  Frame frame;
  std::string_view what, wrong;
  while (wrong.empty() && take_worker_frame(bytes, frame, what) == Take::frame) {
    if (frame.header.type == FrameType::cache_made) {
      wrong = caches.add(share, function, frame.payload, (frame.header.flags & kFlagMore) != 0);
      if (wrong.empty()) sent += frame.payload;
    } else if (frame.header.type == FrameType::ready) {
      wrong = caches.ready(share, function, frame.header.aux);
    } else if (frame.header.type == FrameType::init_error) {
      caches.failed(share, function);
    }
    if (caches.stats().bytes > limits.compile_cache_per_function) std::abort();
  }
  caches.gone(share);
  const bool kept = caches.stats().made != 0;
  if (kept && !asked) std::abort();
  if (caches.stats().bytes != (kept ? sent.size() : 0)) std::abort();
  CacheShare later;
  caches.begin(later, function);
  if ((later.given != nullptr) != kept) std::abort();
  if (!kept) return;
  std::string got;
  for (const std::string& part : later.given->parts) got += part;
  if (got != sent) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Outcome whole = parse(bytes, size + 1);
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{4'096}}) {
    if (!(parse(bytes, piece) == whole)) std::abort();
  }
  for (const bool asked : {true, false}) take_caches(bytes, asked);
  return 0;
}
