// What has come of a reply that comes in parts: handed on, or collected until its end.
#pragma once
#include <cstdint>

#include "base/buffer_pool.h"
#include "base/limits.h"
#include "core/ports.h"

namespace hearth::worker {

struct ReplyParts {
  uint64_t bytes = 0;
  bool too_large = false;  // it passed the limit: the rest is dropped
  bool held = false;       // its caller takes no more now
  Buffer whole;            // of one that nobody takes in parts
};

enum class PartTaken : uint8_t {
  yes,
  unknown_call,  // the core says that the worker does not have it
  no_memory      // limits.buffers
};

// Hands `part` on to a caller who takes parts, or adds it to `reply`, and watches over limits.reply
// and limits.stream.
PartTaken take_part(ReplyParts& reply, const ReplyPart& part, WorkerId worker, InvocationId call,
                    WorkerEvents& events, BufferPool& buffers, const Limits& limits);

}  // namespace hearth::worker
