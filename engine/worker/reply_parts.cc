#include "worker/reply_parts.h"

namespace hearth::worker {
namespace {

// As Lambda has it where a stream is asked for as a whole: the head, eight zero bytes, the body.
bool collect(Buffer& whole, const ReplyPart& part, BufferPool& buffers) {
  constexpr std::string_view kBehindHead("\0\0\0\0\0\0\0\0", 8);
  if (part.kind == ReplyPart::Kind::content_type) return true;
  const bool head = part.kind == ReplyPart::Kind::http_head;
  if (!buffers.grow(whole, part.bytes.size() + (head ? kBehindHead.size() : 0))) return false;
  whole.append(part.bytes);
  if (head) whole.append(kBehindHead);
  return true;
}

}  // namespace

PartTaken take_part(ReplyParts& reply, const ReplyPart& part, WorkerId worker, InvocationId call,
                    WorkerEvents& events, BufferPool& buffers, const Limits& limits) {
  reply.bytes += part.bytes.size();
  if (reply.too_large) return PartTaken::yes;
  const bool in_parts = events.takes_parts(worker, call, part.stream);
  const uint64_t most = in_parts && part.stream ? limits.stream_max : limits.reply_max;
  if (reply.bytes > most && (part.stream || !in_parts)) {
    reply.too_large = true;
    reply.whole.release();
    return events.on_reply_too_large(worker, call, in_parts) ? PartTaken::yes
                                                             : PartTaken::unknown_call;
  }
  if (in_parts) {
    reply.held = events.on_reply_part(worker, call, part) == Flow::hold;
    return PartTaken::yes;
  }
  return collect(reply.whole, part, buffers) ? PartTaken::yes : PartTaken::no_memory;
}

}  // namespace hearth::worker
