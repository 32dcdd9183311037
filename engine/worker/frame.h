// The frames of runtimes/protocol.md: encoding and decoding, nothing else. No I/O, no allocation.
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/buffer_pool.h"
#include "base/ids.h"

namespace hearth::worker {

enum class FrameType : uint8_t {
  init = 0x01,
  call = 0x02,
  body = 0x03,
  cancel = 0x04,
  recall = 0x05,
  ping = 0x06,
  credit = 0x07,
  stop = 0x08,
  fork = 0x09,
  environment = 0x0a,
  cache_given = 0x0b,
  hello = 0x81,
  ready = 0x82,
  init_error = 0x83,
  reply = 0x84,
  chunk = 0x85,
  pong = 0x86,
  handback = 0x87,
  log = 0x88,
  zygote = 0x89,
  forked = 0x8a,
  cache_made = 0x8b,
};

inline constexpr uint8_t kFlagMore = 1;
inline constexpr uint8_t kFlagError = 2;
inline constexpr uint8_t kFlagStream = 4;
inline constexpr uint8_t kFlagHttp = 8;
inline constexpr uint8_t kFlagLast = 16;
inline constexpr uint8_t kFlagsKnown = 31;

inline constexpr size_t kHeaderSize = 16;
inline constexpr size_t kFrameMax = 131'072;      // payload bytes of a frame
inline constexpr size_t kPartMax = 65'536;        // payload bytes of an event's or reply's part
inline constexpr uint16_t kReplyPartKindMax = 2;  // aux of a REPLY that is a stream
inline constexpr size_t kCallFixedSize = 8 + 16;  // deadline and request id
inline constexpr size_t kForkDescriptors = 4;     // that ride on FORK
inline constexpr uint32_t kReplyWindow = 262'144;

struct FrameHeader {
  uint32_t length = 0;
  FrameType type = FrameType::init;
  uint8_t flags = 0;
  uint16_t aux = 0;
  InvocationId id;
};

inline void put_u16(char* out, uint16_t v) { std::memcpy(out, &v, 2); }
inline void put_u32(char* out, uint32_t v) { std::memcpy(out, &v, 4); }
inline void put_u64(char* out, uint64_t v) { std::memcpy(out, &v, 8); }
inline uint32_t get_u32(const char* in) {
  uint32_t v;
  std::memcpy(&v, in, 4);
  return v;
}

// Writes kHeaderSize bytes.
inline void encode_header(char* out, const FrameHeader& header) {
  put_u32(out, header.length);
  out[4] = static_cast<char>(header.type);
  out[5] = static_cast<char>(header.flags);
  put_u16(out + 6, header.aux);
  put_u32(out + 8, header.id.slot);
  put_u32(out + 12, header.id.generation);
}

inline FrameHeader decode_header(const char* in) {
  FrameHeader header;
  header.length = get_u32(in);
  header.type = static_cast<FrameType>(in[4]);
  header.flags = static_cast<uint8_t>(in[5]);
  std::memcpy(&header.aux, in + 6, 2);
  header.id.slot = get_u32(in + 8);
  header.id.generation = get_u32(in + 12);
  return header;
}

struct Frame {
  FrameHeader header;
  std::string_view payload;
};

// Takes the first frame off `bytes`. kIncomplete: more bytes are needed. kInvalid: `bytes` can
// never become a frame that a worker may send; `what` (static storage) says why.
enum class Take : uint8_t { frame, incomplete, invalid };
Take take_worker_frame(std::string_view& bytes, Frame& frame, std::string_view& what);

}  // namespace hearth::worker
