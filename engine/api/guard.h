// Who may ask: the Host rule (against DNS rebinding) and the browser rule (against pages of other
// origins). Until there is authentication this is what stands between a developer's browser and the
// management API.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "http/message.h"

namespace hearth::api {

// The name in a Host header, without its port and without a trailing dot: "[::1]",
// "hello.localhost". Empty: not the shape of a host.
std::string_view host_name(std::string_view host);

// The port that a Host header names: digits, or empty when it names none.
std::string_view host_port(std::string_view host);

// The label before ".localhost" of a name as host_name() gives it; empty when it is no such name.
std::string_view localhost_label(std::string_view name);

class Guard {
 public:
  // `allowed_hosts`: http.allowed_hosts. "example.test" allows that name, "*.example.test" every
  // name below it. Without port.
  explicit Guard(std::vector<std::string> allowed_hosts);

  // Is this a Host of ours: a loopback literal (127.0.0.0/8, [::1]), localhost, a name below it, or
  // an allowed one? A request without Host (HTTP/1.0 only) has none, and is refused: what can't
  // name us was not meant for us.
  bool host_allowed(std::string_view host) const;

  // Does the request come from a page in a browser? Every request with an Origin does, and one with
  // a Sec-Fetch-Site other than "none"
  // ("none" is what a user types into the address bar).
  static bool from_browser_page(const http::RequestHead& head);

 private:
  std::vector<std::string> exact_;
  std::vector<std::string> suffixes_;  // with the leading dot
};

}  // namespace hearth::api
