#include "sandbox/message.h"

namespace hearth::sandbox {
namespace {

template <size_t N>
bool terminated(const char (&text)[N]) {
  return memchr(text, '\0', N) != nullptr;
}

template <size_t N>
bool absolute_path(const char (&path)[N]) {
  return terminated(path) && path[0] == '/';
}

bool runtime_name(const char* name) {
  if (*name == '\0') return false;
  for (; *name != '\0'; ++name)
    if (!((*name >= 'a' && *name <= 'z') || (*name >= '0' && *name <= '9') || *name == '_'))
      return false;
  return true;
}

bool all_zero(const char* text, size_t length) {
  for (size_t i = 0; i < length; ++i)
    if (text[i] != '\0') return false;
  return true;
}

// Fills `to` with the hash; false: it is not 64 lower-case hex digits.
bool take_hash(const char (&from)[kSha256Hex], char (&to)[kSha256Hex + 1]) {
  for (size_t i = 0; i < kSha256Hex; ++i) {
    const char c = from[i];
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
    to[i] = c;
  }
  to[kSha256Hex] = '\0';
  return true;
}

Failure check_runtime(const RuntimeEntry& runtime) {
  if (!terminated(runtime.name) || !runtime_name(runtime.name))
    return {"config: a runtime's name", EINVAL};
  if (!terminated(runtime.path)) return {"config: a runtime's path", EINVAL};
  if (runtime.path[0] != '\0' && runtime.path[0] != '/')
    return {"config: a runtime's path is not absolute", EINVAL};
  if (runtime.zygote > 1 || (runtime.zygote == 1 && runtime.path[0] == '\0'))
    return {"config: a runtime's zygote", EINVAL};
  if (runtime.api > 1 || (runtime.api == 1 && runtime.zygote == 1))
    return {"config: a runtime's api", EINVAL};
  if (runtime.args_count > kArgsMax) return {"config: too many arguments", EINVAL};
  if (runtime.environment_skips > runtime.args_count)
    return {"config: more arguments to leave out than there are", EINVAL};
  for (size_t i = 0; i < runtime.args_count; ++i)
    if (!terminated(runtime.args[i])) return {"config: an argument is not terminated", EINVAL};
  return {};
}

bool take_memory(uint64_t bytes, const SpawnerConfig& config, Request& request) {
  request.memory_bytes = bytes == 0 ? config.memory_max : bytes;
  return request.memory_bytes >= kMemoryMin && request.memory_bytes <= config.memory_max;
}

bool take_cpu(uint32_t millis, Request& request) {
  request.cpu_millis = millis;
  return millis == 0 || (millis >= kCpuMillisMin && millis <= kCpuMillisMax);
}

bool take_tmp(uint64_t bytes, const SpawnerConfig& config, Request& request) {
  request.tmp_bytes = bytes == 0 ? config.tmp_bytes : bytes;
  return request.tmp_bytes >= kTmpMin && request.tmp_bytes <= config.tmp_max;
}

Failure take_network(uint8_t network, const SpawnerConfig& config, Request& request) {
  if (network > static_cast<uint8_t>(Network::kHost)) return {"no such network mode", EINVAL};
  request.network = static_cast<Network>(network);
  if (request.network == Network::kHost && config.allow_host_network == 0)
    return {"the host's network is not permitted", EPERM};
  return {};
}

Failure check_spawn(const SpawnRequest& spawn, const SpawnerConfig& config, Request& request) {
  if (spawn.runtime >= config.runtimes_count) return {"no such runtime", EINVAL};
  request.runtime = spawn.runtime;
  if (!take_memory(spawn.memory_bytes, config, request)) return {"memory out of bounds", EINVAL};
  if (spawn.family > 1) return {"family is neither 0 nor 1", EINVAL};
  request.family = spawn.family != 0;
  if (!take_tmp(spawn.tmp_bytes, config, request)) return {"size of /tmp out of bounds", EINVAL};
  if (!take_cpu(spawn.cpu_millis, request)) return {"CPU quota out of bounds", EINVAL};
  if (Failure failure = take_network(spawn.network, config, request)) return failure;
  request.has_code = !all_zero(spawn.code, sizeof spawn.code);
  if (request.has_code && !take_hash(spawn.code, request.code)) return {"not a code hash", EINVAL};
  if (spawn.own_environment > 1) return {"own_environment is neither 0 nor 1", EINVAL};
  request.own_environment = spawn.own_environment != 0;
  if (request.own_environment && (request.family || !request.has_code))
    return {"an own environment is for a worker with code and for no zygote", EINVAL};
  if (config.runtimes[spawn.runtime].api == 1) {
    if (!request.own_environment) return {"this runtime needs its own environment", EINVAL};
    if (request.network == Network::kHost ||
        (config.mode != Mode::kStrict && config.mode != Mode::kUser))
      return {"this runtime needs a network namespace of its own", EOPNOTSUPP};
  }
  if (!terminated(spawn.entry)) return {"the entry is not terminated", EINVAL};
  copy_text(request.entry, spawn.entry);
  const bool own_executable = config.runtimes[spawn.runtime].path[0] == '\0';
  if (!own_executable)
    return request.entry[0] == '\0' ? Failure{} : Failure{"this runtime takes no entry", EINVAL};
  if (!request.has_code) return {"a runtime without interpreter needs code from the start", EINVAL};
  return entry_is_plain(request.entry) ? Failure{}
                                       : Failure{"the entry is not a plain relative path", EINVAL};
}

Failure check_fork(const ForkRequest& fork, const SpawnerConfig& config, Request& request) {
  if (!take_memory(fork.memory_bytes, config, request)) return {"memory out of bounds", EINVAL};
  if (!take_cpu(fork.cpu_millis, request)) return {"CPU quota out of bounds", EINVAL};
  if (fork.zygote_slot >= config.slots_max) return {"no such zygote slot", EINVAL};
  request.zygote_slot = fork.zygote_slot;
  request.zygote_generation = fork.zygote_generation;
  return {};
}

// The message as a T, if it has exactly its size.
template <class T>
bool take(std::span<const std::byte> message, T& to) {
  if (message.size() != sizeof to) return false;
  memcpy(&to, message.data(), sizeof to);
  return true;
}

template <class T>
void take_ids(const T& from, Request& request) {
  request.slot = from.slot;
  request.generation = from.generation;
}

}  // namespace

bool entry_is_plain(const char* entry) {
  const char* component = entry;
  for (const char* at = entry;; ++at) {
    if (*at != '/' && *at != '\0') {
      if (static_cast<unsigned char>(*at) < 0x20 || *at == 0x7f) return false;
      continue;
    }
    const size_t length = static_cast<size_t>(at - component);
    if (length == 0 || (length == 1 && component[0] == '.') ||
        (length == 2 && component[0] == '.' && component[1] == '.'))
      return false;
    if (*at == '\0') return true;
    component = at + 1;
  }
}

Failure check_config(std::span<const std::byte> message, SpawnerConfig& config) {
  if (!take(message, config)) return {"config: wrong size", EPROTO};
  if (config.header.magic != kSpawnerMagic || config.header.type != MessageType::kConfig)
    return {"config: not a config message", EPROTO};
  if (config.mode > Mode::kStrict) return {"config: mode", EINVAL};
  if (config.slots_max == 0 || config.slots_max > kSlotsMax) return {"config: slots_max", EINVAL};
  if (config.uid_base < kUidBaseMin || config.uid_base > 0xfffffff0u - kSlotsMax)
    return {"config: uid_base", EINVAL};
  if (config.memory_max < kMemoryMin || config.memory_max > (1ull << 46))
    return {"config: memory_max", EINVAL};
  if (config.allow_host_network > 1) return {"config: allow_host_network", EINVAL};
  if (config.tmp_max > (1ull << 46)) return {"config: tmp_max", EINVAL};
  if (config.tmp_bytes < kTmpMin || config.tmp_bytes > config.tmp_max)
    return {"config: tmp_bytes", EINVAL};
  if (config.nofile < kNofileMin) return {"config: nofile", EINVAL};
  if (config.nproc < kNprocMin) return {"config: nproc", EINVAL};
  if (!absolute_path(config.code_dir)) return {"config: code_dir", EINVAL};
  if (!absolute_path(config.shim_dir)) return {"config: shim_dir", EINVAL};
  if (config.runtimes_count == 0 || config.runtimes_count > kRuntimesMax)
    return {"config: runtimes_count", EINVAL};
  unsigned zygotes = 0;
  for (size_t i = 0; i < config.runtimes_count; ++i) {
    if (Failure failure = check_runtime(config.runtimes[i])) return failure;
    zygotes += config.runtimes[i].zygote;
  }
  return zygotes > 1 ? Failure{"config: more than one runtime with a zygote", EINVAL} : Failure{};
}

Check check_request(std::span<const std::byte> message, const SpawnerConfig& config,
                    Request& request, Failure& why) {
  Header header;
  if (message.size() < sizeof header) return Check::kDrop;
  memcpy(&header, message.data(), sizeof header);
  if (header.magic != kSpawnerMagic) return Check::kDrop;
  request = {};
  request.type = header.type;
  union {
    SpawnRequest spawn;
    AssignRequest assign;
    ForkRequest fork;
    SlotRequest slot;
  } body;
  why = {};
  switch (header.type) {
    case MessageType::kSpawn:
      if (!take(message, body.spawn)) return Check::kDrop;
      take_ids(body.spawn, request);
      why = check_spawn(body.spawn, config, request);
      break;
    case MessageType::kAssign:
      if (!take(message, body.assign)) return Check::kDrop;
      take_ids(body.assign, request);
      request.has_code = true;
      if (!take_hash(body.assign.code, request.code))
        why = {"not a code hash", EINVAL};
      else if (!take_memory(body.assign.memory_bytes, config, request))
        why = {"memory out of bounds", EINVAL};
      else if (!take_cpu(body.assign.cpu_millis, request))
        why = {"CPU quota out of bounds", EINVAL};
      break;
    case MessageType::kKill:
    case MessageType::kFreeze:
    case MessageType::kThaw:
    case MessageType::kKillLeftovers:
    case MessageType::kCountLeftovers:
    case MessageType::kTerminate:
      if (!take(message, body.slot)) return Check::kDrop;
      take_ids(body.slot, request);
      break;
    case MessageType::kFork:
      if (!take(message, body.fork)) return Check::kDrop;
      take_ids(body.fork, request);
      why = check_fork(body.fork, config, request);
      break;
    default:
      return Check::kDrop;
  }
  if (request.slot >= config.slots_max) why = {"no such slot", EINVAL};
  return why ? Check::kRefuse : Check::kGood;
}

}  // namespace hearth::sandbox
