// Any bytes on the control socket: as a configuration, and as a request under a fixed
// configuration.
#include <stdlib.h>

#include "sandbox/message.h"

using namespace hearth::sandbox;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static SpawnerConfig config, scratch;
  if (config.slots_max == 0) {
    config.slots_max = 8;
    config.memory_max = 1 << 30;
    config.tmp_bytes = 1 << 20;
    config.tmp_max = 1 << 24;
    config.runtimes_count = 3;
    config.runtimes[0].path[0] = '/';
    config.runtimes[2].api = 1;
  }
  const std::span<const std::byte> message(reinterpret_cast<const std::byte*>(data), size);
  (void)static_cast<bool>(check_config(message, scratch));
  Request request;
  Failure why;
  if (check_request(message, config, request, why) != Check::kGood) return 0;
  // What passed must be within its bounds.
  if (request.slot >= config.slots_max) abort();
  if (request.type == MessageType::kKill || request.type == MessageType::kFreeze ||
      request.type == MessageType::kThaw || request.type == MessageType::kKillLeftovers ||
      request.type == MessageType::kCountLeftovers || request.type == MessageType::kTerminate)
    return 0;
  if (request.zygote_slot >= config.slots_max) abort();
  if (request.cpu_millis > kCpuMillisMax) abort();
  if (request.network != Network::kNone && request.network != Network::kEgress) abort();
  if (request.type == MessageType::kSpawn &&
      (request.tmp_bytes == 0 || request.tmp_bytes > config.tmp_max))
    abort();
  if (request.memory_bytes == 0 || request.memory_bytes > config.memory_max) abort();
  if (request.has_code && strlen(request.code) != kSha256Hex) abort();
  if (request.entry[0] != '\0' && !entry_is_plain(request.entry)) abort();
  return 0;
}
