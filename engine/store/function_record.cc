#include "store/function_record.h"

#include <fmt/core.h>

#include <algorithm>

#include "store/digest.h"

namespace hearth {
namespace {

void apply(const IsolationPatch& patch, Isolation& isolation) {
  const auto set = [](auto& field, const auto& value) {
    if (value) field = *value;
  };
  set(isolation.cpu_millis, patch.cpu_millis);
  set(isolation.network, patch.network);
  set(isolation.egress_allow, patch.egress_allow);
  set(isolation.least_sandbox, patch.least_sandbox);
  set(isolation.leftovers, patch.leftovers);
  set(isolation.recycle.max_calls, patch.recycle_calls);
  set(isolation.recycle.max_age, patch.recycle_age);
  set(isolation.recycle.max_rss, patch.recycle_rss);
  set(isolation.zygote, patch.zygote);
  set(isolation.tmp_bytes, patch.tmp_bytes);
  set(isolation.init_timeout, patch.init_timeout);
  // A list belongs to its mode: with another one it goes, unless the patch names it too.
  if (patch.network && *patch.network != Network::egress && !patch.egress_allow)
    isolation.egress_allow.clear();
}

// Only what differs from the default: functions of older engines keep their revision.
void hash_isolation(Sha256& hash, const Isolation& isolation) {
  const Isolation defaults;
  const auto field = [&](std::string_view key, const auto& value, const auto& other,
                         const auto& text) {
    if (value == other) return;
    hash.update_field(key);
    hash.update_field(text(value));
  };
  const auto number = [](auto value) { return std::to_string(value); };
  field("cpu", isolation.cpu_millis, defaults.cpu_millis, number);
  field("sandbox", isolation.least_sandbox, defaults.least_sandbox, sandbox_least_name);
  field("leftovers", isolation.leftovers, defaults.leftovers, leftovers_name);
  field("max_calls", isolation.recycle.max_calls, defaults.recycle.max_calls, number);
  field("max_age", isolation.recycle.max_age.count(), defaults.recycle.max_age.count(), number);
  field("max_rss", isolation.recycle.max_rss, defaults.recycle.max_rss, number);
  field("zygote", isolation.zygote, defaults.zygote, zygote_name);
  field("tmp", isolation.tmp_bytes, defaults.tmp_bytes, number);
  field("init_timeout", isolation.init_timeout.count(), defaults.init_timeout.count(), number);
  for (const std::string& entry : isolation.egress_allow) {
    hash.update_field("allow");
    hash.update_field(entry);
  }
}

}  // namespace

IsolationPatch IsolationPatch::of(const Isolation& isolation) {
  return {isolation.cpu_millis,      isolation.network,         isolation.egress_allow,
          isolation.least_sandbox,   isolation.leftovers,       isolation.recycle.max_calls,
          isolation.recycle.max_age, isolation.recycle.max_rss, isolation.zygote,
          isolation.tmp_bytes,       isolation.init_timeout};
}

void apply_patch(const ConfigurationPatch& patch, FunctionSpec& spec) {
  const auto set = [](auto& field, const auto& value) {
    if (value) field = *value;
  };
  set(spec.runtime, patch.runtime);
  set(spec.runtime_label, patch.runtime_label);
  set(spec.handler, patch.handler);
  set(spec.timeout, patch.timeout);
  set(spec.memory_bytes, patch.memory_bytes);
  set(spec.environment, patch.environment);
  set(spec.description, patch.description);
  set(spec.role, patch.role);
  apply(patch.isolation, spec);
  set(spec.concurrency.per_worker, patch.per_worker);
  set(spec.concurrency.workers_min, patch.workers_min);
  set(spec.concurrency.workers_max, patch.workers_max);
  set(spec.concurrency.queue, patch.queue);
  std::sort(spec.environment.begin(), spec.environment.end());
}

std::string substitution_note(const FunctionRecord& record) {
  return fmt::format(
      "'{}' asks for {}, which is not here, and runs on version {} "
      "(runtimes.substitute: nearest)",
      record.spec.name, record.spec.runtime_label, record.interpreter_version);
}

std::string revision_of(const FunctionSpec& spec) {
  Sha256 hash;
  const auto text = [&](std::string_view value) { hash.update_field(value); };
  const auto number = [&](int64_t value) { hash.update_field(std::to_string(value)); };
  text("hearth revision 1");
  text(spec.code_sha256);
  text(spec.name);
  text(runtime_name(spec.runtime));
  text(spec.handler);
  number(spec.timeout.count());
  number(static_cast<int64_t>(spec.memory_bytes));
  number(static_cast<int64_t>(spec.environment.size()));
  for (const auto& [key, value] : spec.environment) {
    text(key);
    text(value);
  }
  number(spec.concurrency.per_worker);
  number(spec.concurrency.workers_min);
  number(spec.concurrency.workers_max);
  number(spec.concurrency.queue);
  text(network_name(spec.network));
  text(spec.description);
  text(spec.role);
  hash_isolation(hash, spec);
  if (runtime_label(spec) != runtime_name(spec.runtime)) {
    text("runtime label");
    text(spec.runtime_label);
  }
  return to_hex(hash.finish());
}

}  // namespace hearth
