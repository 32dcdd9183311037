// Entries of network.allow, resolv.conf and hosts files, as text.
#include "sandbox/egress/allow.h"

#include <memory>
#include <span>
#include <string>

#include "sandbox/egress/rules.h"
#include "tests/allow_entries.h"
#include "tests/catch.h"

namespace hearth::sandbox::egress {
namespace {

TEST_CASE("entries are read") {
  Rule rule;
  REQUIRE(parse_allow("API.Example.com:443", rule).empty());
  CHECK(rule.kind == Rule::Kind::kName);
  CHECK(std::string(rule.name) == "api.example.com");
  CHECK(rule.port == 443);
  REQUIRE(parse_allow("*.example.org", rule).empty());
  CHECK(rule.kind == Rule::Kind::kSuffix);
  CHECK(std::string(rule.name) == "example.org");
  CHECK(rule.port == 0);
  REQUIRE(parse_allow("10.1.0.0/16:5432", rule).empty());
  CHECK(rule.kind == Rule::Kind::kCidr);
  CHECK(rule.prefix == 96 + 16);
  CHECK(rule.port == 5432);
  REQUIRE(parse_allow("192.0.2.7", rule).empty());
  CHECK(rule.prefix == 128);
  REQUIRE(parse_allow("[fd00::/8]:443", rule).empty());
  CHECK(rule.prefix == 8);
  CHECK(rule.port == 443);
  REQUIRE(parse_allow("[2001:db8::1]", rule).empty());
  CHECK(rule.prefix == 128);
  CHECK(rule.port == 0);
  REQUIRE(parse_allow("localhost:80", rule).empty());
}

TEST_CASE("what is no entry is refused with the reason") {
  Rule rule;
  const std::pair<const char*, const char*> cases[] = {{"https://api.example.com", "URL"},
                                                       {"api.example.com:", "port"},
                                                       {"api.example.com:0", "port"},
                                                       {"api.example.com:65536", "port"},
                                                       {"api.example.com:http", "port"},
                                                       {"", "host name"},
                                                       {"*", "first label"},
                                                       {"*.com", "top-level"},
                                                       {"a.*.com", "first label"},
                                                       {"a b.com", "host name"},
                                                       {"a..b", "host name"},
                                                       {"10.0.0.0/33", "prefix"},
                                                       {"10.0.0.1/8", "behind its prefix"},
                                                       {"10.0.0/8", "neither"},
                                                       {"300.1.1.1", "neither"},
                                                       {"[fd00::/8", "port"},
                                                       {"[fd00::1]x", "port"},
                                                       {"exa\u0301mple.com", "host name"}};
  for (const auto& [entry, reason] : cases) {
    INFO(entry);
    CHECK(parse_allow(entry, rule).find(reason) != std::string::npos);
  }
  CHECK_FALSE(parse_allow(std::string(300, 'a'), rule).empty());
}

// engine/core/isolation_test.cc walks the same entries through what a deploy asks.
TEST_CASE("what a deploy accepts, the agent accepts") {
  auto config = std::make_unique<Config>(default_config());
  config->rules_count = 1;
  auto taken = std::make_unique<Config>();
  for (const auto& [text, good] : hearth_test::kAllowEntries) {
    INFO(text);
    CHECK(parse_allow(text, config->rules[0]).empty() == good);
    if (!good) continue;
    CHECK(check_config(std::as_bytes(std::span(config.get(), 1)), *taken) == nullptr);
  }
}

TEST_CASE("the error names the entry, and there are at most 64") {
  auto config = std::make_unique<Config>(default_config());
  CHECK(add_rules({"good.example", "bad:99999"}, *config) ==
        "\"bad:99999\" has no port from 1 to 65535 behind its colon");
  *config = default_config();
  CHECK(add_rules(std::vector<std::string>(kRulesMax, "a.example"), *config).empty());
  CHECK(add_rules({"a.example"}, *config) == "more than 64 entries");
}

TEST_CASE("resolvers and hosts come from the host's files") {
  auto config = std::make_unique<Config>(default_config());
  add_resolvers_of(
      "# c\nnameserver 192.0.2.1\nsearch x\n nameserver\t2001:db8::1 \nnameserver "
      "fe80::1%eth0\nnameserver 192.0.2.2\nnameserver 192.0.2.3",
      *config);
  CHECK(config->resolvers_count == 3);
  CHECK(config->resolvers[2].address == config->resolvers[2].address);
  CHECK(config->resolvers[1].port == 53);
  CHECK(add_resolver("192.0.2.9", *config) == "more than 3 resolvers");
  *config = default_config();
  CHECK_FALSE(add_resolver("dns.example", *config).empty());
  CHECK(add_resolver("192.0.2.9:5353", *config).empty());
  CHECK(config->resolvers[0].port == 5353);
  REQUIRE(add_rules({"db.internal", "*.svc.internal"}, *config).empty());
  add_hosts_of("127.0.0.1 localhost\n10.0.0.5 DB.internal db # main\n::1 a.svc.internal\nbad\n",
               *config);
  REQUIRE(config->hosts_count == 2);
  CHECK(std::string(config->hosts[0].name) == "db.internal");
  CHECK(std::string(config->hosts[1].name) == "a.svc.internal");
}

}  // namespace
}  // namespace hearth::sandbox::egress
