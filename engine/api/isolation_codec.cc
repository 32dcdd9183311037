#include "api/isolation_codec.h"

#include <fmt/core.h>

#include "api/control_json.h"

namespace hearth::api {
namespace {

using Json = nlohmann::json;

Error bad(std::string detail) { return Error{Code::invalid_parameter, std::move(detail)}; }

// A field that holds one of a few names.
template <class Enum, class FromName>
Status read_name(const Json& hearth, const char* key, FromName from_name, std::string_view allowed,
                 std::optional<Enum>& out) {
  const std::string path = fmt::format("Hearth.{}", key);
  const auto text = HEARTH_TRY(string_field(hearth, key, path));
  if (!text) return ok();
  out = from_name(*text);
  if (!out) return bad(fmt::format("{} '{}': {} are known", path, text->substr(0, 64), allowed));
  return ok();
}

template <class T>
Status read_number(const Json& object, const char* key, std::string_view path, int64_t most,
                   std::optional<T>& out) {
  const auto value = HEARTH_TRY(integer_field(object, key, path, 0, most));
  if (value) out = static_cast<T>(*value);
  return ok();
}

Status read_allow(const Json& hearth, IsolationPatch& patch) {
  const auto it = hearth.find("NetworkAllow");
  if (it == hearth.end() || it->is_null()) return ok();
  if (!it->is_array()) return bad("Hearth.NetworkAllow is not a list");
  patch.egress_allow.emplace();
  for (const Json& entry : *it) {
    if (!entry.is_string()) return bad("Hearth.NetworkAllow has an entry that is not a string");
    patch.egress_allow->push_back(entry.get<std::string>());
  }
  return ok();
}

Status read_recycle(const Json& hearth, IsolationPatch& patch) {
  const Json* recycle = HEARTH_TRY(object_field(hearth, "Recycle", "Hearth.Recycle"));
  if (recycle == nullptr) return ok();
  HEARTH_TRY(only_fields(*recycle, "Hearth.Recycle", {"MaxCalls", "MaxAgeMs", "MaxRssBytes"}));
  HEARTH_TRY(read_number(*recycle, "MaxCalls", "Hearth.Recycle.MaxCalls", UINT32_MAX,
                         patch.recycle_calls));
  HEARTH_TRY(read_number(*recycle, "MaxAgeMs", "Hearth.Recycle.MaxAgeMs", kRecycleAgeMost.count(),
                         patch.recycle_age));
  return read_number(*recycle, "MaxRssBytes", "Hearth.Recycle.MaxRssBytes", int64_t{1} << 50,
                     patch.recycle_rss);
}

}  // namespace

Result<IsolationPatch> read_isolation(const Json& hearth) {
  IsolationPatch patch;
  HEARTH_TRY(
      read_number(hearth, "CpuMillis", "Hearth.CpuMillis", kCpuMillisMost, patch.cpu_millis));
  HEARTH_TRY(read_name(hearth, "Network", network_from_name, kNetworkNames, patch.network));
  HEARTH_TRY(read_allow(hearth, patch));
  const auto sandbox = HEARTH_TRY(string_field(hearth, "Sandbox", "Hearth.Sandbox"));
  if (sandbox && sandbox->empty()) {
    patch.least_sandbox = SandboxLeast::any;
  } else {
    HEARTH_TRY(read_name(hearth, "Sandbox", sandbox_least_from_name, kSandboxLeastNames,
                         patch.least_sandbox));
  }
  HEARTH_TRY(read_name(hearth, "Leftovers", leftovers_from_name, kLeftoversNames, patch.leftovers));
  HEARTH_TRY(read_recycle(hearth, patch));
  HEARTH_TRY(read_name(hearth, "Zygote", zygote_from_name, kZygoteNames, patch.zygote));
  HEARTH_TRY(read_number(hearth, "TmpBytes", "Hearth.TmpBytes", static_cast<int64_t>(kTmpMost),
                         patch.tmp_bytes));
  HEARTH_TRY(read_number(hearth, "InitTimeoutMs", "Hearth.InitTimeoutMs", kInitTimeoutMost.count(),
                         patch.init_timeout));
  return patch;
}

void add_isolation(Json& hearth, const Isolation& isolation) {
  hearth["CpuMillis"] = isolation.cpu_millis;
  hearth["Network"] = network_name(isolation.network);
  hearth["NetworkAllow"] = isolation.egress_allow;
  hearth["Sandbox"] = sandbox_least_name(isolation.least_sandbox);
  hearth["Leftovers"] = leftovers_name(isolation.leftovers);
  hearth["Recycle"] = {{"MaxCalls", isolation.recycle.max_calls},
                       {"MaxAgeMs", isolation.recycle.max_age.count()},
                       {"MaxRssBytes", isolation.recycle.max_rss}};
  hearth["Zygote"] = zygote_name(isolation.zygote);
  hearth["TmpBytes"] = isolation.tmp_bytes;
  hearth["InitTimeoutMs"] = isolation.init_timeout.count();
}

}  // namespace hearth::api
