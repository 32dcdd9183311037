// An entry of a manifest's `network.allow`, and what the host knows of names, as the agent takes
// them. For the engine; allocates.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/egress/protocol.h"

namespace hearth::sandbox::egress {

// What base/allow_entry.h reads, as a rule. Empty = good; else what is wrong with it, in words that
// follow the entry's text.
std::string parse_allow(std::string_view text, Rule& rule);

// A Config with the usual limits and without rules.
Config default_config();

// Adds all entries. Empty = good; else names the entry and what is wrong.
std::string add_rules(const std::vector<std::string>& allow, Config& config);

// "192.0.2.53", "192.0.2.53:5353", "[2001:db8::53]:53". Empty = good.
std::string add_resolver(std::string_view text, Config& config);

// The name servers of a resolv.conf; at most kResolversMax, those with a zone are left out.
void add_resolvers_of(std::string_view resolv_conf, Config& config);

// The lines of a hosts file whose names the rules permit; at most kHostsMax.
void add_hosts_of(std::string_view hosts, Config& config);

}  // namespace hearth::sandbox::egress
