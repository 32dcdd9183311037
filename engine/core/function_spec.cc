#include "core/function_spec.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

namespace hearth {
namespace {

constexpr std::array<std::string_view, kRuntimeCount> kRuntimeNames = {"python3", "nodejs",
                                                                       "native", "custom", "host"};

Error bad(std::string detail) { return Error{Code::invalid_parameter, std::move(detail)}; }

bool name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

bool clean_text(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

Status validate_handler(const FunctionSpec& spec) {
  const std::string_view handler = spec.handler;
  if (handler.empty())
    return bad("handler is empty: name it as module.function (native: the executable)");
  if (handler.size() > kHandlerMax || !clean_text(handler)) {
    return bad(
        fmt::format("handler is longer than {} bytes or has control characters", kHandlerMax));
  }
  if (spec.runtime == Runtime::custom) return ok();
  if (handler.front() == '/')
    return bad(
        fmt::format("handler '{}' is absolute: it is relative to the function's folder", handler));
  for (size_t start = 0; start <= handler.size();) {
    const size_t end = std::min(handler.find('/', start), handler.size());
    const std::string_view part = handler.substr(start, end - start);
    if (part.empty() || part == "." || part == "..") {
      return bad(fmt::format("handler '{}' has an empty, '.' or '..' path component", handler));
    }
    start = end + 1;
  }
  if (spec.runtime != Runtime::native && handler.find('.') == std::string_view::npos) {
    return bad(fmt::format("handler '{}' names no function: write it as module.function", handler));
  }
  return ok();
}

Status validate_environment(const FunctionSpec& spec) {
  size_t bytes = 0;
  const std::string* previous = nullptr;
  for (const auto& [key, value] : spec.environment) {
    const bool starts_well = !key.empty() && ((key[0] >= 'a' && key[0] <= 'z') ||
                                              (key[0] >= 'A' && key[0] <= 'Z') || key[0] == '_');
    if (!starts_well || !std::all_of(key.begin(), key.end(),
                                     [](char c) { return c != '-' && name_character(c); })) {
      return bad(
          fmt::format("environment: '{}' is not a name of letters, digits and underscores that "
                      "starts with a letter",
                      key));
    }
    if (value.find('\0') != std::string::npos)
      return bad(fmt::format("environment: the value of '{}' has a NUL byte", key));
    if (previous != nullptr && *previous >= key)
      return bad(fmt::format("environment: '{}' is there twice", key));
    previous = &key;
    bytes += key.size() + value.size();
  }
  if (bytes > kEnvironmentMax) {
    return bad(
        fmt::format("environment has {} bytes; at most {} are allowed", bytes, kEnvironmentMax));
  }
  return ok();
}

Status validate_concurrency(const Concurrency& c, const Limits& limits) {
  if (c.per_worker < 1 || c.per_worker > limits.per_worker_max) {
    return bad(fmt::format("concurrency.per_worker is {}: 1 to {} are allowed", c.per_worker,
                           limits.per_worker_max));
  }
  if (c.workers_max > limits.workers_max) {
    return bad(fmt::format("concurrency.workers_max is {}: at most {} are allowed (limits.workers)",
                           c.workers_max, limits.workers_max));
  }
  const uint32_t workers_max = c.workers_max != 0 ? c.workers_max : limits.workers_function_default;
  if (c.workers_min > workers_max) {
    return bad(fmt::format("concurrency.workers_min is {}, more than workers_max ({})",
                           c.workers_min, workers_max));
  }
  if (c.queue > limits.queue_ceiling) {
    return bad(fmt::format("concurrency.queue is {}: at most {} are allowed (limits.queue_ceiling)",
                           c.queue, limits.queue_ceiling));
  }
  return ok();
}

}  // namespace

Status check_confinement(const FunctionSpec& spec, SandboxLeast mode,
                         const NetworkProblems& network) {
  HEARTH_TRY(check_network(spec.network, network));
  HEARTH_TRY(check_sandbox(spec.least_sandbox, mode));
  if (spec.runtime != Runtime::custom) return ok();
  if (spec.network == Network::host) {
    return bad(
        "a custom runtime is served on the loopback of its own network: give it network: none or "
        "egress");
  }
  if (mode == SandboxLeast::strict || mode == SandboxLeast::user) return ok();
  return bad(
      "a custom runtime needs a sandbox with a network of its own, strict or user, and this "
      "engine has none: start it in one of these modes (hearth doctor says what is missing)");
}

std::string_view runtime_name(Runtime runtime) {
  return kRuntimeNames[static_cast<size_t>(runtime)];
}

std::optional<Runtime> runtime_from_name(std::string_view name) {
  for (size_t i = 0; i < kWorkerRuntimeCount; ++i) {
    if (kRuntimeNames[i] == name) return static_cast<Runtime>(i);
  }
  return std::nullopt;
}

std::string_view runtime_label(const FunctionSpec& spec) {
  return spec.runtime_label.empty() ? runtime_name(spec.runtime) : spec.runtime_label;
}

bool valid_function_name(std::string_view name) {
  return !name.empty() && name.size() <= kFunctionNameMax &&
         std::all_of(name.begin(), name.end(), name_character);
}

Status validate(const FunctionSpec& spec, const Limits& limits) {
  if (!valid_function_name(spec.name)) {
    return bad(fmt::format("name '{}': 1 to {} letters, digits, '-' and '_' are allowed",
                           spec.name.substr(0, kFunctionNameMax), kFunctionNameMax));
  }
  const bool host = spec.runtime == Runtime::host;
  if (host != (spec.host != nullptr)) return bad("a function of the host needs its handler");
  if (!host) HEARTH_TRY(validate_handler(spec));
  if (spec.timeout < milliseconds(1) || spec.timeout > limits.timeout_max) {
    return bad(fmt::format("timeout is {} ms: 1 ms to {} s are allowed", spec.timeout.count(),
                           limits.timeout_max.count()));
  }
  const uint64_t memory_min = host ? 0 : mebibytes(64);
  if (spec.memory_bytes < memory_min || spec.memory_bytes > limits.function_memory_max) {
    return bad(fmt::format("memory is {} MB: 64 MB to {} MB are allowed", spec.memory_bytes >> 20,
                           limits.function_memory_max >> 20));
  }
  HEARTH_TRY(validate_environment(spec));
  HEARTH_TRY(validate_concurrency(spec.concurrency, limits));
  HEARTH_TRY(validate(static_cast<const Isolation&>(spec)));
  if (spec.description.size() > kDescriptionMax || !clean_text(spec.description)) {
    return bad(fmt::format("description is longer than {} bytes or has control characters",
                           kDescriptionMax));
  }
  return ok();
}

}  // namespace hearth
