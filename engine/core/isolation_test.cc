// What a function may ask of its sandbox: names both ways, ranges, the forms of network.allow.
#include "core/isolation.h"

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
  for (const char* good :
       {"api.example.com:443", "api.example.com", "*.example.org", "*.example.org:8443",
        "10.1.0.0/16:5432", "10.1.0.0/16", "192.0.2.1:1", "[fd00::/8]:443", "[::1]", "a_b.c:65535"})
    CHECK(check_allow_entry(good));
  for (const char* bad :
       {"",          ":443",        "a b",       "a.com:0",      "a.com:65536", "a.com:",
        "a.com:44x", "*",           "*.",        "*.*.org",      "a.*.org",     "-a.com",
        "a..com",    "10.1.0.0/33", "10.1.0/16", "1.2.3.4.5",    "300.1.1.1",   "[fd00::/129]:1",
        "[fd00::",   "[fd00::]x",   "fd00::1",   "http://a.com", "a.com/path",  "10.1.0.0/016"})
    CHECK_FALSE(check_allow_entry(bad));
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
