#include "api/guard.h"

#include <algorithm>

namespace hearth::api {
namespace {

constexpr std::string_view kLocalhost = "localhost";
constexpr std::string_view kDotLocalhost = ".localhost";

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool ends_with_ignoring_case(std::string_view text, std::string_view end) {
  return text.size() >= end.size() &&
         http::equals_ignoring_case(text.substr(text.size() - end.size()), end);
}

// Four decimal numbers, the first of them 127. Shorter spellings ("127.1") and leading zeros are
// not the literal that a client sends.
bool is_loopback_v4(std::string_view name) {
  if (!name.starts_with("127.")) return false;
  size_t parts = 0;
  while (true) {
    const size_t end = std::min(name.find('.'), name.size());
    const std::string_view part = name.substr(0, end);
    if (part.empty() || part.size() > 3 || !std::all_of(part.begin(), part.end(), is_digit))
      return false;
    if (part.size() > 1 && part[0] == '0') return false;
    if (part.size() == 3 && part > "255") return false;
    ++parts;
    if (end == name.size()) return parts == 4;
    name.remove_prefix(end + 1);
  }
}

// Nothing else stands in a name. It goes into links, so that a "*." rule must not let more pass.
bool is_name_char(char c) {
  return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '_' ||
         c == '.';
}

bool is_port(std::string_view text) {
  return text.size() <= 5 && std::all_of(text.begin(), text.end(), is_digit);
}

}  // namespace

std::string_view host_name(std::string_view host) {
  size_t end;
  if (host.starts_with('[')) {
    end = host.find(']');
    if (end == std::string_view::npos) return {};
    ++end;
  } else {
    end = std::min(host.find(':'), host.size());
  }
  const std::string_view rest = host.substr(end);
  if (!rest.empty() && (rest[0] != ':' || !is_port(rest.substr(1)))) return {};
  std::string_view name = host.substr(0, end);
  if (name.size() > 1 && name.ends_with('.')) name.remove_suffix(1);
  return name;
}

std::string_view host_port(std::string_view host) {
  const size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || host_name(host).empty()) return {};
  const std::string_view port = host.substr(colon + 1);
  return is_port(port) ? port : std::string_view();  // not so: the colon stands in an IPv6 literal
}

std::string_view localhost_label(std::string_view name) {
  if (!ends_with_ignoring_case(name, kDotLocalhost)) return {};
  return name.substr(0, name.size() - kDotLocalhost.size());
}

Guard::Guard(std::vector<std::string> allowed_hosts) {
  for (std::string& host : allowed_hosts) {
    if (host.starts_with("*.")) {
      suffixes_.push_back(host.substr(1));
    } else {
      exact_.push_back(std::move(host));
    }
  }
}

bool Guard::host_allowed(std::string_view host) const {
  const std::string_view name = host_name(host);
  if (name.empty()) return false;
  if (is_loopback_v4(name) || name == "[::1]" || http::equals_ignoring_case(name, kLocalhost))
    return true;
  if (!std::all_of(name.begin(), name.end(), is_name_char)) return false;
  if (!localhost_label(name).empty()) return true;
  const auto same = [&](const std::string& allowed) {
    return http::equals_ignoring_case(name, allowed);
  };
  if (std::any_of(exact_.begin(), exact_.end(), same)) return true;
  return std::any_of(suffixes_.begin(), suffixes_.end(), [&](const std::string& suffix) {
    return name.size() > suffix.size() && ends_with_ignoring_case(name, suffix);
  });
}

bool Guard::from_browser_page(const http::RequestHead& head) {
  for (const http::HeaderView& header : head.headers) {
    // Both names are rare; their lengths keep the comparison off the warm path.
    if (header.name.size() == 6 && http::equals_ignoring_case(header.name, "origin")) return true;
    if (header.name.size() == 14 && http::equals_ignoring_case(header.name, "sec-fetch-site") &&
        header.value != "none") {
      return true;
    }
  }
  return false;
}

}  // namespace hearth::api
