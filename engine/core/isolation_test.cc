// What a function may ask of its sandbox: names both ways, ranges, the forms of network.allow.
#include "core/isolation.h"

#include "tests/allow_entries.h"
#include "tests/catch.h"

using namespace hearth;
using Catch::Contains;

namespace {

std::string wrong(const Isolation& isolation) {
  const Status status = validate(isolation);
  return status ? "" : status.error().detail;
}

}  // namespace

TEST_CASE("isolation names go both ways") {
  for (const auto v : {Network::none, Network::egress, Network::host})
    CHECK(network_from_name(network_name(v)) == v);
  for (const auto v : {SandboxLeast::degraded, SandboxLeast::user, SandboxLeast::strict})
    CHECK(sandbox_least_from_name(sandbox_least_name(v)) == v);
  for (const auto v : {Leftovers::freeze, Leftovers::kill, Leftovers::recycle})
    CHECK(leftovers_from_name(leftovers_name(v)) == v);
  for (const auto v : {Zygote::automatic, Zygote::off})
    CHECK(zygote_from_name(zygote_name(v)) == v);
  CHECK_FALSE(sandbox_least_from_name(""));
  CHECK_FALSE(network_from_name("full"));
}

TEST_CASE("ranges of isolation are refused from both sides of their edges") {
  Isolation i;
  CHECK(wrong(i).empty());
  i.cpu_millis = kCpuMillisLeast - 1;
  CHECK_THAT(wrong(i), Contains("cpu is 9"));
  i.cpu_millis = kCpuMillisMost;
  CHECK(wrong(i).empty());
  i.cpu_millis = kCpuMillisMost + 1;
  CHECK_THAT(wrong(i), Contains("cpu"));
  i = {};
  i.tmp_bytes = kTmpLeast - 1;
  CHECK_THAT(wrong(i), Contains("tmp"));
  i.tmp_bytes = kTmpMost;
  CHECK(wrong(i).empty());
  i.init_timeout = kInitTimeoutMost;
  CHECK(wrong(i).empty());
  i.init_timeout += milliseconds(1);
  CHECK_THAT(wrong(i), Contains("init_timeout"));
  i = {};
  for (const auto v : {Leftovers::freeze, Leftovers::kill, Leftovers::recycle}) {
    i.leftovers = v;
    CHECK(validate(i));
  }
  i = {};
  i.recycle.max_age = milliseconds(999);
  CHECK_THAT(wrong(i), Contains("recycle.max_age"));
  i.recycle = {.max_rss = kRecycleRssLeast - 1};
  CHECK_THAT(wrong(i), Contains("recycle.max_rss"));
}

TEST_CASE("an entry of network allow is a name or a range, with or without a port") {
  for (const auto& [text, good] : hearth_test::kAllowEntries) {
    INFO(text);
    CHECK(static_cast<bool>(check_allow_entry(text)) == good);
  }
  CHECK_FALSE(check_allow_entry(std::string(300, 'a')));
  const std::string nul("a.com\0b", 7);
  CHECK_FALSE(check_allow_entry(nul));
}

TEST_CASE("network allow is for egress only and has a limit") {
  Isolation i;
  i.egress_allow = {"a.com:443"};
  CHECK_THAT(wrong(i), Contains("mode egress"));
  i.network = Network::egress;
  i.egress_allow.assign(kAllowMax + 1, "a.com:443");
  CHECK_THAT(wrong(i), Contains("65 entries"));
}

TEST_CASE("a network that the engine can't give is refused with the reason") {
  for (const Network mode : {Network::none, Network::egress, Network::host})
    CHECK(check_network(mode, network_problems("", true)));
  const NetworkProblems closed = network_problems("", false);
  CHECK(check_network(Network::egress, closed));
  const Status refused = check_network(Network::host, closed);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::invalid_parameter);
  CHECK_THAT(refused.error().detail,
             Contains("network 'host'") && Contains("network.allow_host: true"));
  const NetworkProblems old = network_problems("too old a kernel", true);
  CHECK(check_network(Network::none, old));
  CHECK_THAT(check_network(Network::egress, old).error().detail, Contains("too old a kernel"));
  CHECK_THAT(check_network(Network::host, old).error().detail, Contains("too old a kernel"));
}

TEST_CASE(
    "a function that asks for a stronger sandbox than the engine's is refused with the reason") {
  CHECK(check_sandbox(SandboxLeast::any, SandboxLeast::any));
  CHECK(check_sandbox(SandboxLeast::user, SandboxLeast::strict));
  const Status refused = check_sandbox(SandboxLeast::strict, SandboxLeast::user);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::invalid_parameter);
  CHECK_THAT(refused.error().detail, Contains("sandbox: strict") && Contains("sandbox is user"));
  CHECK_THAT(check_sandbox(SandboxLeast::degraded, SandboxLeast::any).error().detail,
             Contains("sandbox is off"));
}
