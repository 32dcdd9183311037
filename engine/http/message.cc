#include "http/message.h"

namespace hearth::http {
namespace {

constexpr char lower_case(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

bool is_token_char(char c) {
  if ((c >= '0' && c <= '9') || (lower_case(c) >= 'a' && lower_case(c) <= 'z')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

// What the server writes itself, and what describes one hop only (RFC 9110, 7.6.1).
constexpr std::string_view kServersHeaders[] = {"connection", "content-length",    "date",
                                                "keep-alive", "proxy-connection",  "te",
                                                "trailer",    "transfer-encoding", "upgrade"};

}  // namespace

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lower_case(a[i]) != lower_case(b[i])) return false;
  }
  return true;
}

std::string_view RequestHead::header(std::string_view lower) const {
  for (const HeaderView& h : headers) {
    if (equals_ignoring_case(h.name, lower)) return h.value;
  }
  return {};
}

bool RequestHead::has_header(std::string_view lower) const {
  for (const HeaderView& h : headers) {
    if (equals_ignoring_case(h.name, lower)) return true;
  }
  return false;
}

bool valid_header(std::string_view name, std::string_view value) {
  if (name.empty()) return false;
  for (const char c : name) {
    if (!is_token_char(c)) return false;
  }
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7f) return false;
  }
  for (const std::string_view reserved : kServersHeaders) {
    if (equals_ignoring_case(name, reserved)) return false;
  }
  return true;
}

}  // namespace hearth::http
