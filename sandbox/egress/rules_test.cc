// What the rules of a function permit, at which time.
#include "sandbox/egress/rules.h"

#include <cstring>
#include <memory>
#include <string>

#include "sandbox/egress/allow.h"
#include "tests/catch.h"

namespace hearth::sandbox::egress {
namespace {

struct Fixture {
  explicit Fixture(std::vector<std::string> allow) {
    Config config = default_config();
    REQUIRE(add_rules(allow, config).empty());
    config.protected_ports[config.protected_count++] = 4327;
    REQUIRE(rules->configure(std::as_bytes(std::span(&config, 1))) == nullptr);
  }
  Outcome decide(const char* text, uint16_t port, bool own = false, int64_t now = 0) const {
    return rules->decide({address(text), port, 0}, own, now);
  }
  static Address address(const std::string& text) {
    Address out{};
    REQUIRE(parse_address(text.data(), text.size(), out));
    return out;
  }
  std::unique_ptr<Rules> rules = std::make_unique<Rules>();
};

TEST_CASE("names match whole labels only") {
  const Fixture f({"api.example.com", "*.example.org"});
  for (const char* name : {"api.example.com", "a.example.org", "a.b.example.org"})
    CHECK(f.rules->permits_name(name));
  for (const char* name : {"example.com", "x.api.example.com", "example.org", "badexample.org",
                           ".example.org", "example.org.evil.com", ""}) {
    INFO(name);
    CHECK_FALSE(f.rules->permits_name(name));
  }
}

TEST_CASE("an answer opens the ports of the rules that permit its name, for its time") {
  Fixture f({"api.example.com:443", "*.example.org"});
  f.rules->remember("api.example.com", f.address("1.2.3.4"), 300, 1'000);
  f.rules->remember("evil.example.net", f.address("1.2.3.5"), 300, 1'000);
  f.rules->remember("x.example.org", f.address("1.2.3.6"), 5, 1'000);
  CHECK(f.decide("1.2.3.4", 443, false, 300'999) == Outcome::kConnected);
  CHECK(f.decide("1.2.3.4", 443, false, 301'000) == Outcome::kDeniedRule);
  CHECK(f.decide("1.2.3.4", 80, false, 2'000) == Outcome::kDeniedRule);
  CHECK(f.decide("1.2.3.5", 443, false, 2'000) == Outcome::kDeniedRule);
  CHECK(f.decide("1.2.3.6", 9'999, false, 60'999) == Outcome::kConnected);  // 60 s at least
  CHECK(f.decide("1.2.3.6", 9'999, false, 61'000) == Outcome::kDeniedRule);
  CHECK(f.decide("::ffff:1.2.3.4", 443, false, 2'000) == Outcome::kConnected);
}

TEST_CASE("the long life of one name does not prolong another's") {
  Fixture f({"a.example.com:80", "b.example.com:443"});
  f.rules->remember("a.example.com", f.address("1.2.3.4"), 3'600, 0);
  f.rules->remember("b.example.com", f.address("1.2.3.4"), 60, 0);
  CHECK(f.decide("1.2.3.4", 80, false, 100'000) == Outcome::kConnected);
  CHECK(f.decide("1.2.3.4", 443, false, 59'000) == Outcome::kConnected);
  CHECK(f.decide("1.2.3.4", 443, false, 100'000) == Outcome::kDeniedRule);
}

TEST_CASE("the table of answers is bounded: what expires first goes") {
  Fixture f({"*.example.com"});
  for (uint32_t i = 0; i < kAnswersMax + 10; ++i)
    f.rules->remember("x.example.com", v4(0x01000000 + i), 100 + i, 0);
  CHECK(f.rules->remembered() == kAnswersMax);
  CHECK(f.decide("1.0.0.0", 1) == Outcome::kDeniedRule);
  CHECK(f.decide("1.0.2.5", 1) == Outcome::kConnected);
}

TEST_CASE("a name never opens a special or an own address; a range opens what lies inside it") {
  Fixture f({"*.example.com", "10.1.0.0/16:5432", "0.0.0.0/0:80", "10.2.0.9/32", "127.0.0.0/8",
             "8.8.8.8/32", "0.0.0.0/8"});
  for (const char* text : {"10.3.0.1", "192.168.0.1", "169.254.169.254", "8.8.4.4"})
    f.rules->remember("x.example.com", f.address(text), 300, 0);
  CHECK(f.decide("10.3.0.1", 443) == Outcome::kDeniedSpecial);
  CHECK(f.decide("169.254.169.254", 80) == Outcome::kDeniedSpecial);
  CHECK(f.decide("8.8.4.4", 443) == Outcome::kConnected);
  CHECK(f.decide("8.8.4.4", 443, true) == Outcome::kDeniedSpecial);
  CHECK(f.decide("9.9.9.9", 80) == Outcome::kConnected);
  CHECK(f.decide("9.9.9.9", 81) == Outcome::kDeniedRule);
  CHECK(f.decide("10.1.2.3", 5432) == Outcome::kConnected);
  CHECK(f.decide("10.1.2.3", 80) == Outcome::kDeniedSpecial);
  CHECK(f.decide("10.1.2.3", 5432, true) == Outcome::kDeniedSpecial);
  CHECK(f.decide("10.2.0.9", 1, true) == Outcome::kConnected);
  CHECK(f.decide("8.8.8.8", 1, true) == Outcome::kConnected);
  CHECK(f.decide("127.0.0.1", 1, true) == Outcome::kConnected);
  CHECK(f.decide("0.0.0.0", 1, true) == Outcome::kDeniedSpecial);
  CHECK(f.decide("::", 1, true) == Outcome::kDeniedSpecial);
  for (const char* text : {"10.2.0.9", "127.0.0.1", "8.8.8.8", "::1", "0.0.0.0"}) {
    INFO(text);
    CHECK(f.decide(text, 4327, true) == Outcome::kDeniedEngine);
  }
}

TEST_CASE("metadata services need their own entry, not one of the range around them") {
  const Fixture around({"169.254.0.0/16"}), exact({"169.254.169.254/32"});
  CHECK(around.decide("169.254.1.1", 80) == Outcome::kConnected);
  CHECK(around.decide("169.254.169.254", 80) == Outcome::kDeniedSpecial);
  CHECK(exact.decide("169.254.169.254", 80) == Outcome::kConnected);
}

TEST_CASE("rules are taken once, and only whole") {
  auto rules = std::make_unique<Rules>();
  Config config = default_config();
  const auto bytes = std::as_bytes(std::span(&config, 1));
  CHECK(rules->decide({v4(0x01020304), 80, 0}, false, 0) == Outcome::kDeniedRule);
  CHECK_FALSE(rules->permits_name("example.com"));
  CHECK(rules->configure(bytes.first(bytes.size() - 1)) != nullptr);
  const auto refused = [&](auto change) {
    config = default_config();
    change(config);
    return rules->configure(bytes) != nullptr && !rules->configured();
  };
  CHECK(refused([](Config& c) { c.magic = 1; }));
  CHECK(refused([](Config& c) { c.rules_count = kRulesMax + 1; }));
  CHECK(refused([](Config& c) { c.hosts_count = kHostsMax + 1; }));
  CHECK(refused([](Config& c) { c.resolvers_count = kResolversMax + 1; }));
  CHECK(refused([](Config& c) { c.protected_count = kProtectedMax + 1; }));
  CHECK(refused([](Config& c) { c.connect_timeout_ms = 0; }));
  CHECK(refused([](Config& c) { c.question_timeout_ms = 60'001; }));
  CHECK(refused([](Config& c) { c.answer_seconds_min = 3'601; }));
  CHECK(refused([](Config& c) { c.pending_max = kPendingMax + 1; }));
  CHECK(refused([](Config& c) { c.rate = 0; }));
  CHECK(refused([](Config& c) { c.burst = kRateMax + 1; }));
  CHECK(refused([](Config& c) { c.resolvers_count = 1; }));
  CHECK(refused([](Config& c) { c.hosts_count = 1; }));
  CHECK(refused([](Config& c) { c.rules_count = 1; }));
  CHECK(refused([](Config& c) {
    c.rules_count = 1;
    c.rules[0].kind = Rule::Kind::kName;
    memset(c.rules[0].name, 'a', sizeof c.rules[0].name);
  }));
  CHECK(refused([](Config& c) {
    c.rules_count = 1;
    c.rules[0].kind = Rule::Kind::kCidr;
    c.rules[0].prefix = 129;
  }));
  config = default_config();
  CHECK(rules->configure(bytes) == nullptr);
  CHECK(rules->configure(bytes) != nullptr);
}

}  // namespace
}  // namespace hearth::sandbox::egress
