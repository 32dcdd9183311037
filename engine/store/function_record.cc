#include "store/function_record.h"

#include <algorithm>

#include "store/digest.h"

namespace hearth {

void apply_patch(const ConfigurationPatch& patch, FunctionSpec& spec, std::string& label) {
  const auto set = [](auto& field, const auto& value) {
    if (value) field = *value;
  };
  set(spec.runtime, patch.runtime);
  set(label, patch.runtime_label);
  set(spec.handler, patch.handler);
  set(spec.timeout, patch.timeout);
  set(spec.memory_bytes, patch.memory_bytes);
  set(spec.environment, patch.environment);
  set(spec.description, patch.description);
  set(spec.role, patch.role);
  set(spec.network, patch.network);
  set(spec.concurrency.per_worker, patch.per_worker);
  set(spec.concurrency.workers_min, patch.workers_min);
  set(spec.concurrency.workers_max, patch.workers_max);
  set(spec.concurrency.queue, patch.queue);
  std::sort(spec.environment.begin(), spec.environment.end());
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
  text(spec.network);
  text(spec.description);
  text(spec.role);
  return to_hex(hash.finish());
}

}  // namespace hearth
