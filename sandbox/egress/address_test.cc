// Which addresses are special, and the forms of addresses.
#include "sandbox/egress/address.h"

#include <cstring>
#include <string>

#include "tests/catch.h"

namespace hearth::sandbox::egress {
namespace {

Address address(const std::string& text) {
  Address out{};
  INFO(text);
  REQUIRE(parse_address(text.data(), text.size(), out));
  return out;
}

TEST_CASE("special addresses are known, with the first and the last of each range") {
  for (const char* text : {"0.0.0.0",
                           "0.255.255.255",
                           "10.0.0.0",
                           "10.255.255.255",
                           "100.64.0.0",
                           "100.127.255.255",
                           "127.0.0.1",
                           "127.255.255.255",
                           "168.63.129.16",
                           "169.254.0.0",
                           "169.254.169.254",
                           "172.16.0.0",
                           "172.31.255.255",
                           "192.0.0.1",
                           "192.168.0.0",
                           "192.168.255.255",
                           "198.18.0.0",
                           "198.19.255.255",
                           "224.0.0.0",
                           "239.255.255.255",
                           "240.0.0.0",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "::7f00:1",
                           "::ffff:10.0.0.1",
                           "::ffff:0:7f00:1",
                           "64:ff9b::7f00:1",
                           "64:ff9b:1::1",
                           "100::1",
                           "2001::1",
                           "2001:db8::1",
                           "2002:7f00:1::",
                           "fc00::",
                           "fdff::1",
                           "fd00:ec2::254",
                           "fe80::1",
                           "fec0::1",
                           "ff02::1",
                           "3fff::1"}) {
    INFO(text);
    CHECK(special_range(address(text)) != nullptr);
  }
  for (const char* text :
       {"1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
        "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
        "2606:2800:21f::14", "2a00:1450::1", "2001:200::1"}) {
    INFO(text);
    CHECK(special_range(address(text)) == nullptr);
  }
}

TEST_CASE("socket addresses are taken only whole, and a mapped one is the one that it maps") {
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(443);
  const Address mapped = address("::ffff:192.168.1.2");
  memcpy(&in6.sin6_addr, mapped.bytes, 16);
  Endpoint endpoint{};
  REQUIRE(from_sockaddr(&in6, sizeof in6, endpoint));
  CHECK(endpoint.address == address("192.168.1.2"));
  CHECK(endpoint.port == 443);
  CHECK(from_sockaddr(&in6, 24, endpoint));
  CHECK_FALSE(from_sockaddr(&in6, 23, endpoint));
  sockaddr_in in{};
  in.sin_family = AF_INET;
  CHECK_FALSE(from_sockaddr(&in, 15, endpoint));
  CHECK_FALSE(from_sockaddr(&in, 1, endpoint));
  in.sin_family = AF_UNSPEC;
  CHECK_FALSE(from_sockaddr(&in, sizeof in, endpoint));
}

TEST_CASE("an address survives its socket form and its text") {
  for (const char* text : {"1.2.3.4", "2606:2800:21f::14"}) {
    const Endpoint before{address(text), 8080, 0};
    sockaddr_storage raw;
    const socklen_t size = to_sockaddr(before, is_v4(before.address) ? AF_INET : AF_INET6, raw);
    Endpoint after{};
    REQUIRE(from_sockaddr(&raw, size, after));
    CHECK(after.address == before.address);
    CHECK(after.port == 8080);
    char printed[kAddressTextMax];
    format_address(after.address, printed);
    CHECK(std::string(printed) == text);
  }
}

}  // namespace
}  // namespace hearth::sandbox::egress
