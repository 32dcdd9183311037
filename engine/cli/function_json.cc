#include "cli/function_json.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "cli/daemon.h"

namespace hearth::cli {
namespace {

using nlohmann::json;

constexpr size_t kRevisionShown = 12;

// A copy of an object's member; an empty object when it is missing or something else.
json member(const json& object, const char* key) {
  if (!object.is_object()) return json::object();
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : json::object();
}

bool same_number(const json& object, const char* key, double value) {
  return number_of(object, key, value) == value;
}

}  // namespace

json configuration_json(const FunctionSpec& spec) {
  json variables = json::object();
  for (const auto& [key, value] : spec.environment) variables[key] = value;
  const Concurrency& c = spec.concurrency;
  return json{{"Runtime", runtime_label(spec)},
              {"Handler", spec.handler},
              {"Timeout", (spec.timeout.count() + 999) / 1'000},
              {"MemorySize", spec.memory_bytes >> 20},
              {"Description", spec.description},
              {"Environment", {{"Variables", std::move(variables)}}},
              {"Hearth",
               {{"TimeoutMs", spec.timeout.count()},
                {"Concurrency",
                 {{"PerWorker", c.per_worker},
                  {"WorkersMin", c.workers_min},
                  {"WorkersMax", c.workers_max},
                  {"Queue", c.queue}}},
                {"CpuMillis", spec.cpu_millis},
                {"Network", network_name(spec.network)},
                {"NetworkAllow", spec.egress_allow},
                {"Sandbox", sandbox_least_name(spec.least_sandbox)},
                {"Leftovers", leftovers_name(spec.leftovers)},
                {"Recycle",
                 {{"MaxCalls", spec.recycle.max_calls},
                  {"MaxAgeMs", spec.recycle.max_age.count()},
                  {"MaxRssBytes", spec.recycle.max_rss}}},
                {"Zygote", zygote_name(spec.zygote)},
                {"TmpBytes", spec.tmp_bytes},
                {"InitTimeoutMs", spec.init_timeout.count()}}}};
}

bool same_configuration(const FunctionSpec& spec, const json& current) {
  const json wanted = configuration_json(spec);
  const json hearth = member(current, "Hearth");
  const json concurrency = member(hearth, "Concurrency");
  const json& c = wanted["Hearth"]["Concurrency"];
  if (text_of(current, "Runtime") != runtime_label(spec) ||
      text_of(current, "Handler") != spec.handler)
    return false;
  if (text_of(current, "Description") != spec.description) return false;
  if (number_of(current, "MemorySize") != static_cast<double>(spec.memory_bytes >> 20))
    return false;
  const double timeout_ms = number_of(hearth, "TimeoutMs", number_of(current, "Timeout") * 1'000);
  if (timeout_ms != static_cast<double>(spec.timeout.count())) return false;
  if (member(member(current, "Environment"), "Variables") != wanted["Environment"]["Variables"])
    return false;
  for (const char* key : {"PerWorker", "WorkersMin", "WorkersMax", "Queue"}) {
    if (!same_number(concurrency, key, number_of(c, key))) return false;
  }
  const json defaults = configuration_json(FunctionSpec{})["Hearth"];
  for (const char* key : {"CpuMillis", "Network", "NetworkAllow", "Sandbox", "Leftovers", "Recycle",
                          "Zygote", "TmpBytes", "InitTimeoutMs"}) {
    const json& current_value = hearth.contains(key) ? hearth[key] : defaults[key];
    if (current_value != wanted["Hearth"][key]) return false;
  }
  return true;
}

std::string substitution_note(const json& configuration) {
  const json hearth = member(configuration, "Hearth");
  const auto substituted = hearth.find("Substituted");
  if (substituted == hearth.end() || *substituted != true) return {};
  return fmt::format("{} is not there; version {} runs it", text_of(configuration, "Runtime"),
                     text_of(hearth, "InterpreterVersion"));
}

std::string full_revision(const json& configuration) {
  std::string revision = text_of(member(configuration, "Hearth"), "Revision");
  return revision.empty() ? text_of(configuration, "RevisionId") : revision;
}

std::string short_revision(const json& configuration) {
  return full_revision(configuration).substr(0, kRevisionShown);
}

}  // namespace hearth::cli
