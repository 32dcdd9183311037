// An entry of a manifest's `network.allow`: "api.example.com", "*.example.org:443",
// "10.1.0.0/16:5432", "192.0.2.7", "[2001:db8::/32]:443". The only reader of that form: what a
// deploy accepts and what the agent of a sandbox is given are the same by this.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth {

struct AllowEntry {
  enum class Kind : uint8_t { name, suffix, range };
  Kind kind = Kind::name;
  uint16_t port = 0;  // 0 = any
  // name, suffix ("example.org" of "*.example.org"): lower case, without the final dot.
  std::string host;
  // range: 16 bytes in network order, an IPv4 address as v4-mapped IPv6; and its leading bits of
  // 128.
  std::array<uint8_t, 16> address{};
  uint8_t bits = 0;
};

inline constexpr size_t kHostNameMax = 253;

// Empty = good; else what is wrong with the entry, in words that follow its text.
std::string parse_allow_entry(std::string_view text, AllowEntry& entry);

// Splits "HOST:PORT", "HOST", "[V6]:PORT" and "[V6]"; a V6 without brackets has no port. `port` 0:
// none was given. False: the port is none of 1 to 65535, or the brackets are not closed.
bool split_host_port(std::string_view text, std::string_view& host, uint16_t& port);

}  // namespace hearth
