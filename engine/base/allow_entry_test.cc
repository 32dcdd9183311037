// The reader of network.allow: what comes out of an entry. Which entries are good is the table of
// tests/allow_entries.h.
#include "base/allow_entry.h"

#include "tests/allow_entries.h"
#include "tests/catch.h"

using namespace hearth;
using Kind = AllowEntry::Kind;

TEST_CASE("entries of network allow are good or have a reason") {
  for (const auto& [text, good] : hearth_test::kAllowEntries) {
    INFO(text);
    AllowEntry entry;
    CHECK(parse_allow_entry(text, entry).empty() == good);
  }
}

TEST_CASE("what an entry says comes out of it") {
  AllowEntry entry;
  REQUIRE(parse_allow_entry("API.Example.com.:443", entry).empty());
  CHECK(entry.kind == Kind::name);
  CHECK(entry.host == "api.example.com");
  CHECK(entry.port == 443);
  REQUIRE(parse_allow_entry("*.example.org", entry).empty());
  CHECK(entry.kind == Kind::suffix);
  CHECK(entry.host == "example.org");
  CHECK(entry.port == 0);
  REQUIRE(parse_allow_entry("10.1.0.0/16:5432", entry).empty());
  CHECK(entry.kind == Kind::range);
  CHECK(entry.bits == 96 + 16);
  CHECK(entry.address == std::array<uint8_t, 16>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1});
  REQUIRE(parse_allow_entry("[fd00::/8]:443", entry).empty());
  CHECK(entry.bits == 8);
  CHECK(entry.address == std::array<uint8_t, 16>{0xfd});
  CHECK(entry.port == 443);
}

TEST_CASE("a host name has at most 253 bytes and labels of 63, and no zero byte") {
  const std::string label(63, 'a');
  AllowEntry entry;
  CHECK(parse_allow_entry(label + ".com", entry).empty());
  CHECK_FALSE(parse_allow_entry(label + "a.com", entry).empty());
  const std::string most = label + "." + label + "." + label + "." + std::string(61, 'a');
  REQUIRE(most.size() == kHostNameMax);
  CHECK(parse_allow_entry(most, entry).empty());
  CHECK_FALSE(parse_allow_entry(most + "a", entry).empty());
  CHECK_FALSE(parse_allow_entry(std::string_view("a.com\0b", 7), entry).empty());
  CHECK_FALSE(parse_allow_entry(std::string_view("1.2.3.4\0", 8), entry).empty());
  CHECK_FALSE(parse_allow_entry(std::string_view("[::1\0]", 6), entry).empty());
}

TEST_CASE("a host and its port are told apart") {
  std::string_view host;
  uint16_t port = 1;
  CHECK(split_host_port("192.0.2.53", host, port));
  CHECK(port == 0);
  CHECK(split_host_port("[2001:db8::53]:5353", host, port));
  CHECK(host == "2001:db8::53");
  CHECK(port == 5353);
  CHECK(split_host_port("2001:db8::53", host, port));
  CHECK(host == "2001:db8::53");
  CHECK(port == 0);
  CHECK_FALSE(split_host_port("a:70000", host, port));
}
