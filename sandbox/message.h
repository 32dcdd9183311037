// Checks what comes over the control socket. Nothing is used that did not pass through here.
// Doesn't allocate; safe for any bytes.
#pragma once
#include <cstddef>
#include <span>

#include "sandbox/spawner_protocol.h"
#include "sandbox/sys.h"

namespace hearth::sandbox {

inline constexpr uint64_t kMemoryMin = 1 << 20;  // of a worker, bytes
inline constexpr uint64_t kTmpMin = 64 << 10;    // of /tmp, bytes
inline constexpr uint32_t kNofileMin = 16;
inline constexpr uint32_t kNprocMin = 4;                // init, worker, and room for its threads
inline constexpr uint32_t kCpuMillisMin = 10;           // a quota below is no share but a stop
inline constexpr uint32_t kCpuMillisMax = 1024 * 1000;  // more CPUs than a machine has
inline constexpr uint32_t kUidBaseMin = 1000;           // below are the host's own accounts

// A request in the form in which it is used: every field within its bounds, every text terminated.
struct Request {
  MessageType type;
  uint32_t slot, generation;
  uint32_t runtime;       // kSpawn
  uint64_t memory_bytes;  // kSpawn, kAssign, kFork; never 0
  uint64_t tmp_bytes;     // kSpawn; never 0
  uint32_t cpu_millis;    // kSpawn, kAssign, kFork; 0 = no quota
  Network network;        // kSpawn
  bool has_code;
  char code[kSha256Hex + 1];
  char entry[kEntryMax + 1];
  bool family;                              // kSpawn
  bool own_environment;                     // kSpawn
  uint32_t zygote_slot, zygote_generation;  // kFork
};

// Fills `config` from the first message. On failure `step` says what is wrong and `config` is not
// to be used.
Failure check_config(std::span<const std::byte> message, SpawnerConfig& config);

enum class Check : uint8_t {
  kGood,
  kRefuse,  // it names a slot, so that an Answer can go back; `why` has the reason
  kDrop,    // not a message at all
};
// Fills `request`; with kRefuse only type, slot and generation.
Check check_request(std::span<const std::byte> message, const SpawnerConfig& config,
                    Request& request, Failure& why);

// A relative path of plain components ("bin/handler"); no "..", ".", empty component or control
// character.
bool entry_is_plain(const char* entry);

}  // namespace hearth::sandbox
