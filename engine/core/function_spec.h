// One immutable revision of a function, and the only validator of it. Every dialect (function.yaml,
// the Lambda API, later ones) is a codec onto this.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/result.h"
#include "core/host_handler.h"
#include "core/isolation.h"

namespace hearth {

// native: an executable that speaks runtimes/protocol.md. custom: one that speaks the Lambda
// Runtime API (engine/design/0015-runtime-api.md). host: a function of the process that the engine
// is embedded in; no manifest can name it.
enum class Runtime : uint8_t { python3, nodejs, native, custom, host };
inline constexpr size_t kRuntimeCount = 5;
inline constexpr size_t kWorkerRuntimeCount = 4;  // those before host have processes
// Does an interpreter of the machine run its functions?
inline constexpr bool has_interpreter(Runtime runtime) { return runtime < Runtime::native; }
inline constexpr std::string_view kBootstrapName = "bootstrap";  // a custom function's executable
inline constexpr size_t kInterpretersMax = 4;                    // of one runtime
std::string_view runtime_name(Runtime runtime);
std::optional<Runtime> runtime_from_name(std::string_view name);

struct Concurrency {
  uint32_t per_worker = 1;   // calls that one worker executes at once
  uint32_t workers_min = 0;  // kept warm
  uint32_t workers_max = 0;  // 0 = limits.workers_per_function
  uint32_t queue = 0;        // calls that may wait; 0 = limits.queue
  friend bool operator==(const Concurrency&, const Concurrency&) = default;
};

struct FunctionSpec : Isolation {
  std::string name;
  Runtime runtime = Runtime::python3;
  // The runtime as its owner named it, with or without a version: "python3", "python3.12". Empty:
  // as runtime_name() has it.
  std::string runtime_label;
  // Which of this machine's interpreters of `runtime` runs it (RuntimeCatalogue); set by the
  // function service at each start anew, no part of the revision.
  uint8_t interpreter = 0;
  // "app.handler"; native: the executable, relative to the code folder; custom: what its bootstrap
  // makes of it.
  std::string handler;
  milliseconds timeout{3'000};
  uint64_t memory_bytes = 128u << 20;
  std::vector<std::pair<std::string, std::string>> environment;  // sorted by key, keys unique
  Concurrency concurrency;
  std::string description;
  std::string role;         // kept for AWS clients, means nothing here
  std::string code_sha256;  // 64 lower-case hex digits: the archive's hash, names the folder in the
                            // code store
  uint64_t code_size = 0;   // bytes of the archive
  std::shared_ptr<HostHandler> host;  // of runtime host only
  std::string revision;  // 64 lower-case hex digits over code and configuration; set by the
                         // function service

  friend bool operator==(const FunctionSpec&, const FunctionSpec&) = default;
};

// FunctionSpec::runtime_label, never empty.
std::string_view runtime_label(const FunctionSpec& spec);

using FunctionSpecPtr = std::shared_ptr<const FunctionSpec>;

inline constexpr size_t kFunctionNameMax = 64;    // bytes, [A-Za-z0-9_-]
inline constexpr size_t kEnvironmentMax = 4'096;  // bytes of all keys and values, as in Lambda
inline constexpr size_t kDescriptionMax = 256;
inline constexpr size_t kHandlerMax = 128;

bool valid_function_name(std::string_view name);

// Can an engine whose sandbox is in `mode` (any = off) run it? Errors: invalid_parameter.
Status check_confinement(const FunctionSpec& spec, SandboxLeast mode,
                         const NetworkProblems& network);

// Checks everything but `revision` and `code_*`, which the function service makes. The error
// (invalid_parameter) names the field, its value and what is allowed.
Status validate(const FunctionSpec& spec, const Limits& limits);

}  // namespace hearth
