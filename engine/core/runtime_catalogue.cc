#include "core/runtime_catalogue.h"

#include <fmt/core.h>

#include <cstdlib>
#include <utility>

namespace hearth {
namespace {

int distance(RuntimeVersion a, RuntimeVersion b) {
  constexpr int kMajor = 10'000;  // a major version is further than any minor one
  return std::abs(a.major - b.major) * kMajor + std::abs(a.minor - b.minor);
}

bool newer(RuntimeVersion a, RuntimeVersion b) {
  return a.major != b.major ? a.major > b.major : a.minor > b.minor;
}

}  // namespace

RuntimeCatalogue::RuntimeCatalogue(std::vector<Interpreter> interpreters, Substitute substitute,
                                   AskVersion ask)
    : interpreters_(std::move(interpreters)), substitute_(substitute), ask_(std::move(ask)) {}

const std::string& RuntimeCatalogue::version_of(Interpreter& interpreter) {
  if (interpreter.version.empty() && ask_) interpreter.version = ask_(interpreter);
  return interpreter.version;
}

const Interpreter* RuntimeCatalogue::find(Runtime runtime, uint8_t number) const {
  for (const Interpreter& each : interpreters_)
    if (each.runtime == runtime && each.number == number) return &each;
  return nullptr;
}

Result<RuntimeChoice> RuntimeCatalogue::choose(Runtime runtime, std::string_view label) {
  if (!has_interpreter(runtime)) return RuntimeChoice{};
  std::optional<RuntimeVersion> wanted;
  if (!label.empty()) wanted = HEARTH_TRY(parse_runtime_label(label)).version;
  if (!wanted) {
    const Interpreter* first = find(runtime, 0);
    if (first == nullptr) return missing(runtime, label);
    return RuntimeChoice{0, first->version, false};
  }
  const Interpreter* best = nullptr;
  RuntimeVersion best_version;
  for (Interpreter& each : interpreters_) {
    if (each.runtime != runtime) continue;
    const auto version = runtime_version(runtime, version_of(each));
    if (!version) continue;
    const int further =
        best == nullptr ? -1 : distance(*version, *wanted) - distance(best_version, *wanted);
    if (further > 0 || (further == 0 && !newer(*version, best_version))) continue;
    best = &each;
    best_version = *version;
  }
  if (best == nullptr || (best_version != *wanted && substitute_ == Substitute::never))
    return missing(runtime, label);
  return RuntimeChoice{best->number, best->version, best_version != *wanted};
}

Error RuntimeCatalogue::missing(Runtime runtime, std::string_view label) {
  const std::string_view name = runtime_name(runtime);
  std::string there, labels;
  for (Interpreter& each : interpreters_) {
    if (each.runtime != runtime) continue;
    const std::string& version = version_of(each);
    const auto number = runtime_version(runtime, version);
    there += fmt::format("{}{} ({})", there.empty() ? "" : ", ",
                         version.empty() ? "one of unknown version" : version, each.path);
    if (number) labels += runtime_label_text(runtime, *number) + ", ";
  }
  if (there.empty()) {
    return Error{Code::runtime_unavailable,
                 fmt::format("{}: install it, or name its interpreter in hearth.yaml with "
                             "runtimes.{}.path",
                             label.empty() ? name : label, name)};
  }
  return Error{
      Code::runtime_unavailable,
      fmt::format("{} is not installed; there is {}. Deploy it with runtime {}{}, install "
                  "that version (runtimes.{}.others names interpreters that are not in "
                  "/usr/bin or /usr/local/bin), or set runtimes.substitute: nearest",
                  label, there, labels.empty() ? "" : labels.substr(0, labels.size() - 2) + " or ",
                  name, name)};
}

}  // namespace hearth
