#include "sandbox/egress/address.h"

#include <arpa/inet.h>
#include <string.h>

namespace hearth::sandbox::egress {
namespace {

constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct Special {
  uint8_t bytes[16];
  uint8_t bits;
  const char* what;
};

#define V4(a, b, c, d) \
  { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d }

// More special ones first. From the registries of special-purpose addresses; the metadata services
// of the clouds lie in 169.254/16 and fc00::/7, and are named for the operator's sake.
constexpr Special kSpecial[] = {
    {V4(0, 0, 0, 0), 96 + 8, "this network"},
    {V4(10, 0, 0, 0), 96 + 8, "private"},
    {V4(100, 64, 0, 0), 96 + 10, "shared by a carrier"},
    {V4(127, 0, 0, 0), 96 + 8, "loopback"},
    {V4(168, 63, 129, 16), 96 + 32, "metadata"},
    {V4(169, 254, 169, 254), 96 + 32, "metadata"},
    {V4(169, 254, 0, 0), 96 + 16, "link-local"},
    {V4(172, 16, 0, 0), 96 + 12, "private"},
    {V4(192, 0, 0, 0), 96 + 24, "reserved"},
    {V4(192, 0, 2, 0), 96 + 24, "documentation"},
    {V4(192, 88, 99, 0), 96 + 24, "a relay"},
    {V4(192, 168, 0, 0), 96 + 16, "private"},
    {V4(198, 18, 0, 0), 96 + 15, "for benchmarks"},
    {V4(198, 51, 100, 0), 96 + 24, "documentation"},
    {V4(203, 0, 113, 0), 96 + 24, "documentation"},
    {V4(224, 0, 0, 0), 96 + 4, "multicast"},
    {V4(240, 0, 0, 0), 96 + 4, "reserved"},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, "loopback"},
    {{0}, 96, "unspecified"},  // and the old form of IPv4 in IPv6
    {{0x00, 0x64, 0xff, 0x9b}, 96, "translated IPv4"},
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, "translated IPv4"},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, "translated IPv4"},
    {{0x01}, 64, "discarded"},
    {{0x20, 0x01}, 23, "reserved"},  // Teredo among them: it carries an IPv4 address
    {{0x20, 0x01, 0x0d, 0xb8}, 32, "documentation"},
    {{0x20, 0x02}, 16, "translated IPv4"},
    {{0x3f, 0xff}, 20, "documentation"},
    {{0x5f, 0x00}, 16, "segment routing"},
    {{0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}, 128, "metadata"},
    {{0xfc}, 7, "private"},
    {{0xfe, 0x80}, 10, "link-local"},
    {{0xfe, 0xc0}, 10, "site-local"},
    {{0xff}, 8, "multicast"},
};
#undef V4

}  // namespace

Address v4(uint32_t host_order) {
  Address address;
  memcpy(address.bytes, kMapped, sizeof kMapped);
  const uint32_t network = htonl(host_order);
  memcpy(address.bytes + 12, &network, 4);
  return address;
}

bool is_v4(const Address& address) { return memcmp(address.bytes, kMapped, sizeof kMapped) == 0; }

bool in_range(const Address& address, const Address& range, unsigned bits) {
  const unsigned whole = bits / 8, rest = bits % 8;
  if (memcmp(address.bytes, range.bytes, whole) != 0) return false;
  if (rest == 0) return true;
  const unsigned mask = 0xff00u >> rest & 0xff;
  return ((address.bytes[whole] ^ range.bytes[whole]) & mask) == 0;
}

const char* special_range(const Address& address, Address* range, unsigned* bits) {
  for (const Special& special : kSpecial) {
    Address start;
    memcpy(start.bytes, special.bytes, sizeof start.bytes);
    if (!in_range(address, start, special.bits)) continue;
    if (range != nullptr) *range = start;
    if (bits != nullptr) *bits = special.bits;
    return special.what;
  }
  return nullptr;
}

bool is_loopback(const Address& address) {
  static constexpr Address kNone{}, kOne{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
  if (address == kNone || address == kOne) return true;
  return is_v4(address) && (address.bytes[12] == 127 || address == v4(0));
}

bool from_sockaddr(const void* bytes, size_t size, Endpoint& endpoint) {
  sa_family_t family;
  if (size < sizeof family) return false;
  memcpy(&family, bytes, sizeof family);
  endpoint = {};
  if (family == AF_INET && size >= sizeof(sockaddr_in)) {
    sockaddr_in in;
    memcpy(&in, bytes, sizeof in);
    endpoint.address = v4(ntohl(in.sin_addr.s_addr));
    endpoint.port = ntohs(in.sin_port);
    return true;
  }
  // Without the scope it is 24 bytes: the kernel takes that too.
  constexpr size_t kLeast = offsetof(sockaddr_in6, sin6_scope_id);
  if (family != AF_INET6 || size < kLeast) return false;
  sockaddr_in6 in6{};
  memcpy(&in6, bytes, size < sizeof in6 ? size : sizeof in6);
  memcpy(endpoint.address.bytes, &in6.sin6_addr, 16);
  endpoint.port = ntohs(in6.sin6_port);
  endpoint.scope = in6.sin6_scope_id;
  return true;
}

socklen_t to_sockaddr(const Endpoint& endpoint, int family, sockaddr_storage& out) {
  out = {};
  if (family == AF_INET) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    memcpy(&in.sin_addr, endpoint.address.bytes + 12, 4);
    memcpy(&out, &in, sizeof in);
    return sizeof in;
  }
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_port = htons(endpoint.port);
  in6.sin6_scope_id = endpoint.scope;
  memcpy(&in6.sin6_addr, endpoint.address.bytes, 16);
  memcpy(&out, &in6, sizeof in6);
  return sizeof in6;
}

bool parse_address(const char* text, size_t length, Address& address) {
  char copy[kAddressTextMax];
  if (length >= sizeof copy) return false;
  memcpy(copy, text, length);
  copy[length] = '\0';
  in_addr in;
  if (inet_pton(AF_INET, copy, &in) == 1) {
    address = v4(ntohl(in.s_addr));
    return true;
  }
  return inet_pton(AF_INET6, copy, address.bytes) == 1;
}

void format_address(const Address& address, char (&text)[kAddressTextMax]) {
  const bool four = is_v4(address);
  inet_ntop(four ? AF_INET : AF_INET6, address.bytes + (four ? 12 : 0), text, sizeof text);
}

}  // namespace hearth::sandbox::egress
