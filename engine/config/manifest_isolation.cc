#include "config/manifest_isolation.h"

#include <fmt/core.h>

#include <charconv>

namespace hearth {
namespace {

constexpr std::string_view kCpuForm = "a number of CPUs from 0.01 to 1024, at most three decimals";

// "0.5" as 500. Exact: a binary fraction would round.
std::optional<uint32_t> parse_millis(std::string_view text) {
  const size_t dot = text.find('.');
  const auto whole = parse_whole(text.substr(0, dot));
  if (!whole || *whole > kCpuMillisMost / 1'000) return std::nullopt;
  uint32_t millis = static_cast<uint32_t>(*whole) * 1'000;
  if (dot == std::string_view::npos) return millis;
  const std::string_view decimals = text.substr(dot + 1);
  if (decimals.empty() || decimals.size() > 3) return std::nullopt;
  uint32_t unit = 100;
  for (const char c : decimals) {
    if (c < '0' || c > '9') return std::nullopt;
    millis += static_cast<uint32_t>(c - '0') * unit;
    unit /= 10;
  }
  return millis;
}

void read_cpu(YamlFields& top, uint32_t& out) {
  const YamlEntry* entry = top.entry("cpu");
  if (entry == nullptr) return;
  const bool scalar = entry->value.kind == YamlNode::Kind::scalar;
  const auto millis = scalar ? parse_millis(entry->value.text) : std::nullopt;
  if (!millis || *millis < kCpuMillisLeast || *millis > kCpuMillisMost) {
    return top.report("cpu", fmt::format("'{}' is not allowed; write {}",
                                         scalar ? entry->value.text : "a list or map", kCpuForm));
  }
  out = *millis;
}

template <class Enum, class FromName>
void read_name(YamlFields& fields, std::string_view key, FromName from_name,
               std::string_view allowed, Enum& out) {
  std::string text;
  fields.text(key, text);
  if (text.empty()) return;
  if (const auto value = from_name(text)) {
    out = *value;
  } else {
    fields.report(key, fmt::format("'{}' is not allowed; write {}", text, allowed));
  }
}

void read_network(YamlFields& top, Isolation& out) {
  const YamlEntry* entry = top.entry("network");
  if (entry == nullptr) return;
  if (entry->value.kind == YamlNode::Kind::scalar) {
    read_name(top, "network", network_from_name, kNetworkNames, out.network);
  } else {
    YamlFields fields = top.section("network");
    read_name(fields, "mode", network_from_name, kNetworkNames, out.network);
    fields.list("allow", out.egress_allow);
    fields.finish();
  }
}

void read_recycle(YamlFields& top, Recycle& out) {
  YamlFields fields = top.section("recycle");
  fields.whole("max_calls", out.max_calls, 1, UINT32_MAX);
  fields.duration("max_age", out.max_age, kRecycleAgeLeast, kRecycleAgeMost);
  fields.size("max_rss", out.max_rss, kRecycleRssLeast, gibibytes(1'024));
  fields.finish();
}

}  // namespace

void read_isolation(YamlFields& top, Isolation& out) {
  read_cpu(top, out.cpu_millis);
  read_network(top, out);
  read_name(top, "sandbox", sandbox_least_from_name, kSandboxLeastNames, out.least_sandbox);
  read_name(top, "leftovers", leftovers_from_name, kLeftoversNames, out.leftovers);
  read_recycle(top, out.recycle);
  read_name(top, "zygote", zygote_from_name, kZygoteNames, out.zygote);
  top.size("tmp", out.tmp_bytes, kTmpLeast, kTmpMost, Bare::unit);
  top.duration("init_timeout", out.init_timeout, milliseconds(1), kInitTimeoutMost, Bare::unit);
  // What holds between keys is said with the key's line, the same words as the server's.
  if (Status sound = validate(out); !sound) {
    const std::string_view detail = sound.error().detail;
    const std::string_view key = detail.substr(0, detail.find_first_of(". "));
    top.report(key, detail);
  }
}

}  // namespace hearth
