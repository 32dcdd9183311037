// Addresses of the internet: which are special, which lie in a range, and their forms. No I/O, no
// heap.
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>

#include "sandbox/egress/protocol.h"

namespace hearth::sandbox::egress {

Address v4(uint32_t host_order);
bool is_v4(const Address& address);

// True if `address` lies in the first `bits` (0..128) of `range`.
bool in_range(const Address& address, const Address& range, unsigned bits);

// The special range that holds `address`, as text ("loopback"), or null: an ordinary address of the
// internet. `range` and `bits` say which it is, if not null.
const char* special_range(const Address& address, Address* range = nullptr,
                          unsigned* bits = nullptr);

// Of the sandbox itself when its worker connects there: 127/8, ::1, and the unspecified address.
bool is_loopback(const Address& address);

struct Endpoint {
  Address address;
  uint16_t port;   // host order
  uint32_t scope;  // of a link-local IPv6 address
};

// False: not an INET or INET6 address of at least its kernel's least length.
bool from_sockaddr(const void* bytes, size_t size, Endpoint& endpoint);

// `family`: AF_INET (only for an IPv4 address) or AF_INET6. Returns the length.
socklen_t to_sockaddr(const Endpoint& endpoint, int family, sockaddr_storage& out);

// "192.0.2.1", "2001:db8::1". `text` without brackets, not necessarily terminated.
bool parse_address(const char* text, size_t length, Address& address);
inline constexpr size_t kAddressTextMax = 48;
void format_address(const Address& address, char (&text)[kAddressTextMax]);

}  // namespace hearth::sandbox::egress
