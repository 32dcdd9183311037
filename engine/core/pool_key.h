// Which parked workers fit which function: pools are keyed by what is fixed when a process starts
// (interpreter, memory class, network mode), and some functions fit none. Pure functions.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "core/function_spec.h"
#include "core/ports.h"

namespace hearth {

// V8 sizes its heap when it starts: a Node worker is parked for one of these sizes. A Python worker
// takes its limit when it gets its function: class 0, any.
inline constexpr std::array<uint64_t, 5> kMemoryClasses = {
    mebibytes(128), mebibytes(256), mebibytes(512), mebibytes(1'024), mebibytes(2'048)};
inline constexpr size_t kParkedRuntimes = 2;  // python3, nodejs
inline constexpr size_t kPoolKeyCount =
    kParkedRuntimes * kInterpretersMax * (kMemoryClasses.size() + 1) * kNetworkCount;

struct PoolKey {
  Runtime runtime = Runtime::python3;
  uint8_t interpreter = 0;   // FunctionSpec::interpreter
  uint8_t memory_class = 0;  // 0 = any; n = kMemoryClasses[n - 1]
  Network network = Network::none;
  size_t index() const;
  static PoolKey at(size_t index);
  uint64_t memory_bytes() const { return memory_class == 0 ? 0 : kMemoryClasses[memory_class - 1]; }
  WorkerShape shape() const {
    return {.runtime = runtime,
            .interpreter = interpreter,
            .memory_bytes = memory_bytes(),
            .network = network};
  }
  // The key whose size hearth.yaml names: the first interpreter, no network, for Node 128 MB.
  static PoolKey standard(Runtime runtime);
};

// The pool whose workers can take this function, or nothing: it starts a process of its own.
std::optional<PoolKey> pool_key(const FunctionSpec& spec);
// Why a function of python3 or nodejs fits no pool, for people; empty when it fits one.
std::string fresh_start_reason(const FunctionSpec& spec);
// Can a process that was started for `started`, and has no code yet, load `spec` instead?
bool same_start(const FunctionSpec& started, const FunctionSpec& spec);

// How many parked workers a key's functions could have used. See design/0009-warm-workers.md.
class PoolDemand {
 public:
  void took(bool hit) {
    ++takes_;
    if (!hit) ++misses_;
  }
  // Each second. False: nothing is remembered any more.
  bool tick();
  // What is wanted, by the busiest second with a miss that is remembered.
  uint32_t wanted() const;

 private:
  uint32_t takes_ = 0;
  uint32_t misses_ = 0;
  double peak_ = 0;
};

}  // namespace hearth
