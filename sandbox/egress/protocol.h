// What the engine and the agent of one sandbox say to each other: a SEQPACKET socket, plain
// structs, same machine and same build. The engine sends one Config; the agent sends Reports until
// the sandbox is gone. Until its Config has come, the agent refuses every connection and every
// name. With Network::kHost only the engine's listeners count of it.
#pragma once
#include <cstddef>
#include <cstdint>

namespace hearth::sandbox::egress {

inline constexpr uint32_t kConfigMagic = 0x48454731;  // "HEG1"
inline constexpr size_t kRulesMax = 64;               // one bit each of a uint64_t
inline constexpr size_t kHostsMax = 64;
inline constexpr size_t kResolversMax = 3;
inline constexpr size_t kProtectedMax = 8;
inline constexpr size_t kNameMax = 253;  // of a host name, in text form
inline constexpr size_t kAnswersMax = 512;
inline constexpr size_t kQuestionsMax = 32;
inline constexpr size_t kPendingMax = 64;
inline constexpr uint32_t kRateMax = 100'000;

// IPv4 as v4-mapped IPv6, in network order.
struct Address {
  uint8_t bytes[16];

  bool operator==(const Address&) const = default;
};

struct Rule {
  enum class Kind : uint8_t { kName = 1, kSuffix = 2, kCidr = 3 };
  Kind kind;
  uint8_t prefix;  // kCidr: bits of the 128 (an IPv4 prefix + 96)
  uint16_t port;   // 0 = any
  Address address;
  // Lower case, without the final dot. kSuffix: "example.org" stands for every name below it, not
  // for itself.
  char name[kNameMax + 1];
};

// A line of the host's /etc/hosts.
struct HostEntry {
  Address address;
  char name[kNameMax + 1];
};

struct Resolver {
  Address address;
  uint16_t port;
};

struct Config {
  uint32_t magic;
  uint32_t rules_count, hosts_count, resolvers_count, protected_count;
  uint32_t connect_timeout_ms;   // 1 .. 600,000
  uint32_t answer_seconds_min;   // an answer counts at least this long; at most 3,600
  uint32_t question_timeout_ms;  // of one try with one resolver; 1 .. 60,000
  uint32_t pending_max;          // blocking connects under way; 1 .. kPendingMax
  uint32_t rate, burst;          // connects a second, and how many at once; 1 .. kRateMax
  uint16_t protected_ports[kProtectedMax];  // the engine's listeners: never on an own address
  Resolver resolvers[kResolversMax];
  Rule rules[kRulesMax];
  HostEntry hosts[kHostsMax];
};

inline constexpr uint32_t kConnectTimeoutMs = 30'000;
inline constexpr uint32_t kAnswerSecondsMin = 60;
inline constexpr uint32_t kQuestionTimeoutMs = 2'000;
inline constexpr uint32_t kRate = 200;
inline constexpr uint32_t kBurst = 400;

// How attempts ended. One counter each.
enum class Outcome : uint8_t {
  kConnected,      // or handed over while it connects (non-blocking)
  kFailed,         // allowed; the network said no
  kTimedOut,       // allowed; nobody answered in time
  kDeniedRule,     // no rule, or not resolved, or no longer
  kDeniedSpecial,  // an address that only a CIDR entry could allow
  kDeniedEngine,   // one of the engine's own listeners
  kDeniedLimit,    // too many at once, or too fast
  kDeniedName,     // a name that no rule permits
  kResolved,       // a question was answered
  kResolveFailed,  // no resolver answered, or the name does not exist
  kBroken,         // the worker's memory or descriptor could not be used
  kCount,
};
inline constexpr size_t kOutcomes = static_cast<size_t>(Outcome::kCount);

struct Report {
  uint32_t magic;
  uint32_t has_event;            // 1: the fields below the counters describe one refusal
  uint64_t counters[kOutcomes];  // since the agent's start
  Outcome outcome;
  uint8_t reserved;
  uint16_t port;
  Address address;          // of a connect
  char name[kNameMax + 1];  // of a question
};

inline constexpr int kReportsPerSecond = 20;  // refusals above this are only counted

}  // namespace hearth::sandbox::egress
