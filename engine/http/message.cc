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

std::string_view Request::trailer(std::string_view lower) const {
  for (std::string_view rest = trailers; !rest.empty();) {
    const size_t end = rest.find("\r\n");
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 2);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !equals_ignoring_case(line.substr(0, colon), lower))
      continue;
    std::string_view value = line.substr(colon + 1);
    while (value.starts_with(' ') || value.starts_with('\t')) value.remove_prefix(1);
    while (value.ends_with(' ') || value.ends_with('\t')) value.remove_suffix(1);
    return value;
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
