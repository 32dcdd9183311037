// What the store and its unpacker (unpacker_main.cc) say to each other: fixed-size structs, same
// machine and same build. The store trusts the unpacker in nothing: check_message() checks every
// field, and what lies in the folder is looked at afterwards (folder_check.h).
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/unpack.h"

namespace hearth {

// The unpacker's descriptors.
enum UnpackerFd : int {
  kArchiveFd = 3,   // read-only
  kFolderFd = 4,    // empty; where the files go
  kReportFd = 5,    // write end of a pipe: UnpackMessages
  kLifelineFd = 6,  // SEQPACKET socket: one UnpackOrder, then one byte "go on"; its end kills
};

// Bits of UnpackMessage::layers: what holds the unpacker when it reads the archive's first byte.
enum UnpackLayer : uint32_t {
  kUnpackNoNewPrivs = 1,
  kUnpackNoCapabilities = 2,
  kUnpackLimits = 4,
  kUnpackSeccomp = 8,
  kUnpackChroot = 16,
  kUnpackLandlock = 32,
};
inline constexpr uint32_t kUnpackLayersCount = 6;
// "seccomp": the name of bit `index`.
std::string_view unpack_layer_name(uint32_t index);
// Confined: everything in the process itself, and no file but the folder's by one way or the other.
constexpr bool unpack_confined(uint32_t layers) {
  constexpr uint32_t kProcess =
      kUnpackNoNewPrivs | kUnpackNoCapabilities | kUnpackLimits | kUnpackSeccomp;
  return (layers & kProcess) == kProcess && (layers & (kUnpackChroot | kUnpackLandlock)) != 0;
}

inline constexpr uint32_t kUnpackMagic = 0x48555031;  // "HUP1"

struct UnpackOrder {
  uint32_t magic;
  uint32_t confined;  // 1: a layer that can't be had is an error
  UnpackLimits limits;
  uint64_t memory_max;   // bytes
  uint32_t seconds_max;  // of CPU time
};

// In this order: confined, hashed (the archive's SHA-256, before a byte of it is interpreted),
// done. `failed` may come instead of each.
enum class UnpackStep : uint32_t { confined = 1, hashed = 2, done = 3, failed = 4 };

struct UnpackMessage {
  uint32_t magic;
  UnpackStep step;
  uint32_t layers;  // confined
  uint32_t code;    // failed: the number of the error
  uint32_t files;   // done
  uint32_t reserved;
  uint64_t bytes;      // done
  uint8_t sha256[32];  // hashed
  char detail[448];    // failed: UTF-8, NUL-terminated. confined: the first layer that is missing
};
static_assert(sizeof(UnpackMessage) == 512, "one message is one write: at most PIPE_BUF");

// What `limits` need in the unpacker's memory: the names of all entries are kept.
uint64_t unpack_memory(const UnpackLimits& limits);

// Checks `message` as the answer to `expected` and clears what such a message does not carry. A
// `failed` one becomes its error: archive_invalid, disk_full, io_failed, sandbox_unavailable, else
// unpack_failed. What is no message, or not the expected one, or above the limits: unpack_failed.
Result<UnpackMessage> check_message(UnpackMessage message, UnpackStep expected,
                                    const UnpackLimits& limits);

}  // namespace hearth
