#include "sandbox/egress/allow.h"

#include <algorithm>
#include <cstring>

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

bool parse_number(std::string_view text, unsigned most, unsigned& number) {
  if (text.empty() || text.size() > 5) return false;
  number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    number = number * 10 + static_cast<unsigned>(c - '0');
  }
  return number <= most;
}

// Splits "HOST:PORT", "HOST", "[V6]:PORT" and "[V6]"; a bare V6 has no port. Port 0: none given.
bool split(std::string_view text, std::string_view& host, unsigned& port) {
  port = 0;
  std::string_view rest;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
    if (rest.empty()) return true;
    if (rest[0] != ':') return false;
    rest.remove_prefix(1);
  } else {
    const size_t colon = text.find(':');
    host = text.substr(0, colon);
    if (colon == std::string_view::npos) return true;
    if (text.find(':', colon + 1) != std::string_view::npos) {
      host = text;
      return true;
    }
    rest = text.substr(colon + 1);
  }
  return parse_number(rest, 65'535, port) && port != 0;
}

std::string parse_range(std::string_view text, Rule& rule) {
  const size_t slash = text.find('/');
  const std::string_view address = text.substr(0, slash);
  if (!parse_address(address.data(), address.size(), rule.address))
    return "is neither a name nor an address";
  const bool four = address.find(':') == std::string_view::npos;
  unsigned bits = four ? 32 : 128;
  if (slash != std::string_view::npos && !parse_number(text.substr(slash + 1), bits, bits))
    return "has a prefix length out of range";
  if (four) bits += 96;
  rule.kind = Rule::Kind::kCidr;
  rule.prefix = static_cast<uint8_t>(bits);
  Address start = rule.address;
  for (unsigned bit = bits; bit < 128; ++bit)
    start.bytes[bit / 8] &= static_cast<uint8_t>(~(0x80u >> bit % 8));
  if (!(start == rule.address)) return "has bits set behind its prefix";
  return {};
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

std::string parse_allow(std::string_view entry, Rule& rule) {
  rule = {};
  std::string_view host;
  unsigned port = 0;
  if (entry.find("://") != std::string_view::npos)
    return "is a URL; write the host and the port only";
  if (!split(entry, host, port)) return "has no port from 1 to 65535 behind its colon";
  rule.port = static_cast<uint16_t>(port);
  const bool digits =
      !host.empty() && host.find_first_not_of("0123456789./") == std::string_view::npos;
  if (host.find_first_of(":/") != std::string_view::npos || digits) return parse_range(host, rule);
  rule.kind = Rule::Kind::kName;
  if (host.starts_with("*.")) {
    rule.kind = Rule::Kind::kSuffix;
    host.remove_prefix(2);
  }
  if (host.ends_with('.')) host.remove_suffix(1);
  const std::string name = lower(host);
  if (name.find('*') != std::string::npos) return "may have a * only as its whole first label";
  if (!is_name(name.c_str()) || name.size() != host.size())
    return "is not a host name (letters, digits, - and _ in labels of at most 63)";
  if (rule.kind == Rule::Kind::kSuffix && name.find('.') == std::string::npos)
    return "would allow a whole top-level domain";
  name.copy(rule.name, kNameMax);
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
  unsigned port = 0;
  if (config.resolvers_count == kResolversMax)
    return "more than " + std::to_string(kResolversMax) + " resolvers";
  Resolver& resolver = config.resolvers[config.resolvers_count];
  if (!split(text, host, port) || !parse_address(host.data(), host.size(), resolver.address))
    return "\"" + std::string(text) + "\" is not an address with an optional port";
  resolver.port = port == 0 ? 53 : static_cast<uint16_t>(port);
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
