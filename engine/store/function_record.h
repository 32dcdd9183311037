// What the store keeps of a function beyond its spec, and what may be changed of it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "core/function_spec.h"

namespace hearth {

struct FunctionRecord {
  FunctionSpec spec;  // with revision, code_sha256 and code_size
  // The version of the interpreter that runs it here, "3.11.2"; empty: nobody has asked. It changes
  // with the machine, not with the function.
  std::string interpreter_version;
  bool substituted = false;  // it is another than spec.runtime_label names
  std::string unavailable;   // why no interpreter here runs it; empty = one does
  std::string revision_id;   // a UUID that changes with each update; for optimistic locking
  WallTime created{};        // of the function
  WallTime modified{};       // of its last update
  std::string code_sha256_base64;
};

struct IsolationPatch {
  std::optional<uint32_t> cpu_millis;
  std::optional<Network> network;
  std::optional<std::vector<std::string>> egress_allow;
  std::optional<SandboxLeast> least_sandbox;
  std::optional<Leftovers> leftovers;
  std::optional<uint32_t> recycle_calls;
  std::optional<milliseconds> recycle_age;
  std::optional<uint64_t> recycle_rss;
  std::optional<Zygote> zygote;
  std::optional<uint64_t> tmp_bytes;
  std::optional<milliseconds> init_timeout;
  // Names every key, so that what is not said goes back to its default.
  static IsolationPatch of(const Isolation& isolation);
};

// What update_configuration changes; what is empty stays.
struct ConfigurationPatch {
  std::optional<Runtime> runtime;
  std::optional<std::string> runtime_label;  // set together with `runtime`
  std::optional<std::string> handler;
  std::optional<milliseconds> timeout;
  std::optional<uint64_t> memory_bytes;
  std::optional<std::vector<std::pair<std::string, std::string>>> environment;  // replaces all
  std::optional<std::string> description;
  std::optional<std::string> role;
  std::optional<uint32_t> per_worker;
  std::optional<uint32_t> workers_min;
  std::optional<uint32_t> workers_max;
  std::optional<uint32_t> queue;
  IsolationPatch isolation;
};

// Puts what `patch` names into `spec`; sorts the environment.
void apply_patch(const ConfigurationPatch& patch, FunctionSpec& spec);

// A change that has been committed.
struct FunctionChange {
  enum class Kind : uint8_t { created, updated, removed };
  Kind kind = Kind::created;
  std::string name;
  FunctionSpecPtr spec;  // the current revision; null for removed
  std::string note;      // substitution_note(), or empty
};

// For a record that is `substituted`: what it names and what runs it, for people.
std::string substitution_note(const FunctionRecord& record);

// 64 lower-case hex digits: SHA-256 over everything of the spec but `revision` itself and what a
// machine adds. Two
// functions never share a revision, since the name is part of it.
std::string revision_of(const FunctionSpec& spec);

}  // namespace hearth
