#include "worker/frame.h"

#include <bit>

namespace hearth::worker {

static_assert(std::endian::native == std::endian::little, "the worker protocol is little-endian");

namespace {

// What each type of a worker's frames may look like.
std::string_view wrong_with(const FrameHeader& h) {
  if (h.length > kFrameMax) return "a frame is longer than 131072 bytes";
  if ((h.flags & ~kFlagsKnown) != 0) return "a frame has unknown flags";
  const uint8_t f = h.flags;
  switch (h.type) {
    case FrameType::hello:
      return f != 0 ? "HELLO has flags" : "";
    case FrameType::ready:
      return f != 0 || h.length != 4 ? "READY has not the right form" : "";
    case FrameType::init_error:
      return f != 0 ? "INIT_ERROR has flags" : "";
    case FrameType::reply:
      if (h.length < 4) return "REPLY has no execution time";
      if (h.length > kPartMax + 4) return "REPLY is longer than 65536 bytes";
      if ((f & kFlagHttp) != 0) return "REPLY has the flag HTTP";
      if ((f & kFlagLast) != 0 && (f & kFlagMore) != 0) return "REPLY is the last and goes on";
      if (h.aux > kReplyPartKindMax ||
          (h.aux != 0 && (f & (kFlagStream | kFlagMore)) != (kFlagStream | kFlagMore)))
        return "REPLY has an aux that means nothing";
      return (f & kFlagError) != 0 && (f & kFlagStream) != 0 ? "REPLY is an error and a stream"
                                                             : "";
    case FrameType::chunk:
      if (h.length > kPartMax) return "CHUNK is longer than 65536 bytes";
      if ((f & (kFlagHttp | kFlagStream)) != 0) return "CHUNK has a flag that is not its own";
      return (f & kFlagMore) != 0 && (f & (kFlagError | kFlagLast)) != 0
                 ? "CHUNK is an error or the last, and goes on"
                 : "";
    case FrameType::pong:
      return f != 0 || h.length != 0 ? "PONG has not the right form" : "";
    case FrameType::handback:
      return f != 0 || h.length != 0 ? "HANDBACK has not the right form" : "";
    case FrameType::log:
      return (f & ~kFlagMore) != 0 || h.length > kPartMax ? "LOG has not the right form" : "";
    case FrameType::zygote:
      return (f & ~kFlagError) != 0 || (f == 0 && h.length != 4) ? "ZYGOTE has not the right form"
                                                                 : "";
    case FrameType::forked:
      return (f & ~kFlagError) != 0 || (f == 0 && h.length != 0) ? "FORKED has not the right form"
                                                                 : "";
    case FrameType::cache_made:
      if ((f & ~kFlagMore) != 0 || h.length == 0 || h.length > kPartMax)
        return "CACHE has not the right form";
      return f != 0 && h.length != kPartMax ? "a CACHE that goes on has not 65536 bytes" : "";
    default:
      return "a frame has an unknown type";
  }
}

}  // namespace

Take take_worker_frame(std::string_view& bytes, Frame& frame, std::string_view& what) {
  if (bytes.size() < kHeaderSize) return Take::incomplete;
  frame.header = decode_header(bytes.data());
  what = wrong_with(frame.header);
  if (!what.empty()) return Take::invalid;
  if (bytes.size() - kHeaderSize < frame.header.length) return Take::incomplete;
  frame.payload = bytes.substr(kHeaderSize, frame.header.length);
  bytes.remove_prefix(kHeaderSize + frame.header.length);
  return Take::frame;
}

}  // namespace hearth::worker
