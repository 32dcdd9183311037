#include "sandbox/egress/allow.h"

#include <algorithm>
#include <cstring>

#include "base/allow_entry.h"
#include "sandbox/egress/address.h"
#include "sandbox/egress/rules.h"

namespace hearth::sandbox::egress {
namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

std::string_view next_word(std::string_view& line) {
  const size_t first = line.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return line = {};
  line.remove_prefix(first);
  const size_t end = std::min(line.find_first_of(kBlanks), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

template <class Take>
void each_line(std::string_view text, Take take) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    take(line.substr(0, line.find_first_of("#;")));
  }
}

bool permits(const Config& config, const std::string& name) {
  for (size_t i = 0; i < config.rules_count; ++i) {
    const Rule& rule = config.rules[i];
    if (rule.kind == Rule::Kind::kName && name == rule.name) return true;
    if (rule.kind == Rule::Kind::kSuffix && name.ends_with("." + std::string(rule.name)))
      return true;
  }
  return false;
}

}  // namespace

std::string parse_allow(std::string_view text, Rule& rule) {
  rule = {};
  AllowEntry entry;
  if (std::string wrong = parse_allow_entry(text, entry); !wrong.empty()) return wrong;
  static_assert(kNameMax == kHostNameMax);
  rule.port = entry.port;
  if (entry.kind == AllowEntry::Kind::range) {
    rule.kind = Rule::Kind::kCidr;
    rule.prefix = entry.bits;
    memcpy(rule.address.bytes, entry.address.data(), sizeof rule.address.bytes);
    return {};
  }
  rule.kind = entry.kind == AllowEntry::Kind::suffix ? Rule::Kind::kSuffix : Rule::Kind::kName;
  entry.host.copy(rule.name, kNameMax);
  return {};
}

Config default_config() {
  Config config{};
  config.magic = kConfigMagic;
  config.connect_timeout_ms = kConnectTimeoutMs;
  config.answer_seconds_min = kAnswerSecondsMin;
  config.question_timeout_ms = kQuestionTimeoutMs;
  config.pending_max = kPendingMax;
  config.rate = kRate;
  config.burst = kBurst;
  return config;
}

std::string add_rules(const std::vector<std::string>& allow, Config& config) {
  for (const std::string& entry : allow) {
    if (config.rules_count == kRulesMax)
      return "more than " + std::to_string(kRulesMax) + " entries";
    const std::string wrong = parse_allow(entry, config.rules[config.rules_count]);
    if (!wrong.empty()) return "\"" + entry + "\" " + wrong;
    ++config.rules_count;
  }
  return {};
}

std::string add_resolver(std::string_view text, Config& config) {
  std::string_view host;
  uint16_t port = 0;
  if (config.resolvers_count == kResolversMax)
    return "more than " + std::to_string(kResolversMax) + " resolvers";
  Resolver& resolver = config.resolvers[config.resolvers_count];
  if (!split_host_port(text, host, port) ||
      !parse_address(host.data(), host.size(), resolver.address))
    return "\"" + std::string(text) + "\" is not an address with an optional port";
  resolver.port = port == 0 ? 53 : port;
  ++config.resolvers_count;
  return {};
}

void add_resolvers_of(std::string_view resolv_conf, Config& config) {
  each_line(resolv_conf, [&config](std::string_view line) {
    if (next_word(line) == "nameserver") (void)add_resolver(next_word(line), config);
  });
}

void add_hosts_of(std::string_view hosts, Config& config) {
  each_line(hosts, [&config](std::string_view line) {
    const std::string_view text = next_word(line);
    Address address;
    if (!parse_address(text.data(), text.size(), address)) return;
    for (std::string_view word = next_word(line); !word.empty(); word = next_word(line)) {
      const std::string name = lower(word);
      if (config.hosts_count == kHostsMax || !is_name(name.c_str()) || !permits(config, name))
        continue;
      HostEntry& host = config.hosts[config.hosts_count++];
      host.address = address;
      name.copy(host.name, kNameMax);
    }
  });
}

}  // namespace hearth::sandbox::egress
