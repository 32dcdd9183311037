#include "sandbox/egress/rules.h"

#include <string.h>

namespace hearth::sandbox::egress {
namespace {

template <class T>
bool within(T value, T least, T most) {
  return value >= least && value <= most;
}

template <size_t N>
bool good_name(const char (&name)[N]) {
  return memchr(name, '\0', N) != nullptr && is_name(name);
}

bool is_unspecified(const Address& address) { return address == Address{} || address == v4(0); }

const char* check_rule(const Rule& rule) {
  switch (rule.kind) {
    case Rule::Kind::kName:
    case Rule::Kind::kSuffix:
      return good_name(rule.name) ? nullptr : "a rule's name";
    case Rule::Kind::kCidr:
      return rule.prefix <= 128 ? nullptr : "a rule's prefix";
  }
  return "a rule's kind";
}

const char* check_numbers(const Config& config) {
  if (!within(config.connect_timeout_ms, 1u, 600'000u)) return "connect_timeout_ms";
  if (config.answer_seconds_min > 3'600) return "answer_seconds_min";
  if (!within(config.question_timeout_ms, 1u, 60'000u)) return "question_timeout_ms";
  if (!within(config.pending_max, 1u, static_cast<uint32_t>(kPendingMax))) return "pending_max";
  if (!within(config.rate, 1u, kRateMax) || !within(config.burst, 1u, kRateMax)) return "rate";
  return nullptr;
}

}  // namespace

bool is_name(const char* name) {
  const size_t length = strlen(name);
  if (length == 0 || length > kNameMax) return false;
  size_t label = 0;
  for (size_t i = 0; i < length; ++i) {
    const char c = name[i];
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    const bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!good || ++label > 63) return false;
  }
  return label > 0;
}

const char* check_config(std::span<const std::byte> message, Config& config) {
  if (message.size() != sizeof config) return "the size";
  memcpy(&config, message.data(), sizeof config);
  if (config.magic != kConfigMagic) return "the magic number";
  if (config.rules_count > kRulesMax) return "rules_count";
  if (config.hosts_count > kHostsMax) return "hosts_count";
  if (config.resolvers_count > kResolversMax) return "resolvers_count";
  if (config.protected_count > kProtectedMax) return "protected_count";
  if (const char* wrong = check_numbers(config)) return wrong;
  for (size_t i = 0; i < config.rules_count; ++i)
    if (const char* wrong = check_rule(config.rules[i])) return wrong;
  for (size_t i = 0; i < config.hosts_count; ++i)
    if (!good_name(config.hosts[i].name)) return "a host entry's name";
  for (size_t i = 0; i < config.resolvers_count; ++i)
    if (config.resolvers[i].port == 0) return "a resolver's port";
  return nullptr;
}

const char* Rules::configure(std::span<const std::byte> message) {
  if (configured_) return "it came twice";
  if (const char* wrong = check_config(message, config_)) {
    config_ = {};
    return wrong;
  }
  configured_ = true;
  return nullptr;
}

uint64_t Rules::rules_of(const char* name) const {
  const size_t length = strlen(name);
  uint64_t found = 0;
  for (size_t i = 0; i < config_.rules_count; ++i) {
    const Rule& rule = config_.rules[i];
    if (rule.kind == Rule::Kind::kCidr) continue;
    const size_t own = strlen(rule.name);
    const bool match = rule.kind == Rule::Kind::kName
                           ? strcmp(name, rule.name) == 0
                           : length > own + 1 && name[length - own - 1] == '.' &&
                                 strcmp(name + length - own, rule.name) == 0;
    if (match) found |= uint64_t{1} << i;
  }
  return found;
}

void Rules::remember(const char* name, const Address& address, uint32_t ttl_seconds,
                     int64_t now_ms) {
  const uint64_t rules = rules_of(name);
  if (rules == 0) return;
  constexpr uint32_t kDay = 86'400;
  uint32_t seconds = ttl_seconds < kDay ? ttl_seconds : kDay;
  if (seconds < config_.answer_seconds_min) seconds = config_.answer_seconds_min;
  const int64_t until = now_ms + int64_t{seconds} * 1000;
  Answer* slot = nullptr;
  for (size_t i = 0; i < answers_count_; ++i) {
    Answer& answer = answers_[i];
    // One entry an address and set of rules: a longer life of one name must not prolong another's.
    if (answer.address == address && answer.rules == rules) {
      if (answer.until_ms < until) answer.until_ms = until;
      return;
    }
    if (slot == nullptr || answer.until_ms < slot->until_ms) slot = &answer;
  }
  if (answers_count_ < kAnswersMax) slot = &answers_[answers_count_++];
  *slot = {address, rules, until};
}

bool Rules::is_named(const Endpoint& to, bool own, bool special, const Address& range,
                     unsigned bits) const {
  for (size_t i = 0; i < config_.rules_count; ++i) {
    const Rule& rule = config_.rules[i];
    if (rule.kind != Rule::Kind::kCidr || (rule.port != 0 && rule.port != to.port)) continue;
    if (!in_range(to.address, rule.address, rule.prefix)) continue;
    if (own && rule.prefix != 128) continue;
    // 0.0.0.0/0 holds 10.0.0.1, but does not name it. The unspecified address means the host itself
    // when it is connected to: nothing names it.
    if (is_unspecified(to.address)) continue;
    if (special && !(rule.prefix >= bits && in_range(rule.address, range, bits))) continue;
    return true;
  }
  return false;
}

bool Rules::protects(uint16_t port) const {
  for (size_t i = 0; i < config_.protected_count; ++i)
    if (config_.protected_ports[i] == port) return true;
  return false;
}

Outcome Rules::decide(const Endpoint& to, bool own, int64_t now_ms) const {
  if (!configured_) return Outcome::kDeniedRule;
  Address range{};
  unsigned bits = 0;
  const bool special = special_range(to.address, &range, &bits) != nullptr;
  if ((own || is_loopback(to.address)) && protects(to.port)) return Outcome::kDeniedEngine;
  // The host's loopback is all its own, but a range of it may be named.
  const bool own_outside = own && !special;
  const bool own_private = own && special && !is_loopback(to.address);
  if (is_named(to, own_outside || own_private, special, range, bits)) return Outcome::kConnected;
  if (special || own) return Outcome::kDeniedSpecial;
  for (size_t i = 0; i < answers_count_; ++i) {
    const Answer& answer = answers_[i];
    if (answer.until_ms <= now_ms || !(answer.address == to.address)) continue;
    for (size_t r = 0; r < config_.rules_count; ++r) {
      if ((answer.rules >> r & 1) == 0) continue;
      if (config_.rules[r].port == 0 || config_.rules[r].port == to.port)
        return Outcome::kConnected;
    }
  }
  return Outcome::kDeniedRule;
}

}  // namespace hearth::sandbox::egress
