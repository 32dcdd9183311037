#include "core/pool_key.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "core/start_environment.h"

namespace hearth {
namespace {

constexpr double kDecay = 0.98851;  // a second: one half in a minute
constexpr double kForgotten = 0.5;

}  // namespace

size_t PoolKey::index() const {
  const size_t classes = kMemoryClasses.size() + 1;
  const size_t interpreters = static_cast<size_t>(runtime) * kInterpretersMax + interpreter;
  return (interpreters * classes + memory_class) * kNetworkCount + static_cast<size_t>(network);
}

PoolKey PoolKey::at(size_t index) {
  const size_t classes = kMemoryClasses.size() + 1;
  PoolKey key;
  key.network = static_cast<Network>(index % kNetworkCount);
  key.memory_class = static_cast<uint8_t>(index / kNetworkCount % classes);
  const size_t interpreters = index / kNetworkCount / classes;
  key.interpreter = static_cast<uint8_t>(interpreters % kInterpretersMax);
  key.runtime = static_cast<Runtime>(interpreters / kInterpretersMax);
  return key;
}

PoolKey PoolKey::standard(Runtime runtime) {
  return {.runtime = runtime, .memory_class = static_cast<uint8_t>(runtime == Runtime::nodejs)};
}

std::string fresh_start_reason(const FunctionSpec& spec) {
  if (spec.runtime >= Runtime::native) return {};
  if (const std::string_view name = start_variable(spec); !name.empty())
    return fmt::format("its environment has {}, which counts only when a process starts", name);
  if (spec.tmp_bytes != Isolation{}.tmp_bytes)
    return fmt::format("its /tmp has a size of its own ({} MB)", spec.tmp_bytes >> 20);
  const bool known = std::find(kMemoryClasses.begin(), kMemoryClasses.end(), spec.memory_bytes) !=
                     kMemoryClasses.end();
  if (spec.runtime == Runtime::nodejs && !known) {
    return fmt::format("its memory of {} MB is none of 128, 256, 512, 1024 and 2048 MB",
                       spec.memory_bytes >> 20);
  }
  return {};
}

std::optional<PoolKey> pool_key(const FunctionSpec& spec) {
  if (spec.runtime >= Runtime::native || spec.tmp_bytes != Isolation{}.tmp_bytes ||
      starts_with_environment(spec))
    return std::nullopt;
  PoolKey key{.runtime = spec.runtime, .interpreter = spec.interpreter, .network = spec.network};
  if (spec.runtime == Runtime::python3) return key;
  const auto found = std::find(kMemoryClasses.begin(), kMemoryClasses.end(), spec.memory_bytes);
  if (found == kMemoryClasses.end()) return std::nullopt;
  key.memory_class = static_cast<uint8_t>(found - kMemoryClasses.begin() + 1);
  return key;
}

bool same_start(const FunctionSpec& started, const FunctionSpec& spec) {
  if (started.runtime != spec.runtime || started.interpreter != spec.interpreter) return false;
  if (spec.runtime >= Runtime::native) return false;
  if (starts_with_environment(started) || starts_with_environment(spec)) return false;
  if (started.network != spec.network || started.tmp_bytes != spec.tmp_bytes) return false;
  return spec.runtime == Runtime::python3 || started.memory_bytes == spec.memory_bytes;
}

bool PoolDemand::tick() {
  peak_ *= kDecay;
  if (misses_ != 0) peak_ = std::max(peak_, static_cast<double>(takes_));
  takes_ = misses_ = 0;
  if (peak_ < kForgotten) peak_ = 0;
  return peak_ != 0;
}

uint32_t PoolDemand::wanted() const {
  const double now = misses_ != 0 ? static_cast<double>(takes_) : 0;  // a miss counts at once
  return static_cast<uint32_t>(std::ceil(std::max(now, peak_)));
}

}  // namespace hearth
