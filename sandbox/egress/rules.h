// Which names may be asked for and which addresses may be connected to. Holds the rules of one
// function and what its names were answered with. No I/O, no heap; time comes in.
#pragma once
#include <cstddef>
#include <span>

#include "sandbox/egress/address.h"
#include "sandbox/egress/protocol.h"

namespace hearth::sandbox::egress {

// Copies a Config out of a message. Null, or what is wrong with it. Safe for any bytes.
const char* check_config(std::span<const std::byte> message, Config& config);

// Letters, digits, '-', '_' and dots between non-empty labels of at most 63; lower case.
bool is_name(const char* name);

class Rules {
 public:
  // Null, or what is wrong. Only the first good one counts: later ones are refused.
  const char* configure(std::span<const std::byte> message);
  bool configured() const { return configured_; }
  const Config& config() const { return config_; }

  // Whether a rule permits `name` (lower case, without the final dot).
  bool permits_name(const char* name) const { return rules_of(name) != 0; }

  // `address` was the answer to an allowed `name`. When the table is full, the one that expires
  // first goes.
  void remember(const char* name, const Address& address, uint32_t ttl_seconds, int64_t now_ms);

  // kConnected: it may be connected to. `own`: the address is the host's own. A special address, as
  // well as one of the host's own, has to be named by a CIDR entry (README.md).
  Outcome decide(const Endpoint& to, bool own, int64_t now_ms) const;

  // Whether one of the engine's own listeners has that port.
  bool protects(uint16_t port) const;

  size_t remembered() const { return answers_count_; }

 private:
  struct Answer {
    Address address;
    uint64_t rules;  // a bit for each rule that permits the name
    int64_t until_ms;
  };
  uint64_t rules_of(const char* name) const;
  bool is_named(const Endpoint& to, bool own, bool special, const Address& range,
                unsigned bits) const;

  bool configured_ = false;
  Config config_{};
  Answer answers_[kAnswersMax];
  size_t answers_count_ = 0;
};

}  // namespace hearth::sandbox::egress
