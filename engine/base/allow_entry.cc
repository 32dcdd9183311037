#include "base/allow_entry.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace hearth {
namespace {

constexpr size_t kLabelMax = 63;
constexpr unsigned kMappedBits = 96;  // in front of an IPv4 address

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Decimal, without a sign or zeros in front.
bool parse_number(std::string_view text, unsigned least, unsigned most, unsigned& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool plain = text.size() == 1 || (!text.empty() && text.front() != '0');
  return plain && error == std::errc() && end == text.data() + text.size() && number >= least &&
         number <= most;
}

bool parse_address(bool four, std::string_view text, std::array<uint8_t, 16>& address) {
  // A zero byte would end the text early.
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return false;
  const std::string copy(text);
  address = {};
  if (!four) return inet_pton(AF_INET6, copy.c_str(), address.data()) == 1;
  address[10] = address[11] = 0xff;
  return inet_pton(AF_INET, copy.c_str(), address.data() + 12) == 1;
}

bool any_bit_behind(const std::array<uint8_t, 16>& address, unsigned bits) {
  for (unsigned bit = bits; bit < 128; ++bit)
    if ((address[bit / 8] & 0x80u >> bit % 8) != 0) return true;
  return false;
}

std::string parse_range(bool four, std::string_view text, AllowEntry& entry) {
  const size_t slash = text.find('/');
  unsigned bits = four ? 32 : 128;
  if (!parse_address(four, text.substr(0, slash), entry.address))
    return "is neither a name nor an address";
  if (slash != std::string_view::npos && !parse_number(text.substr(slash + 1), 0, bits, bits))
    return "has a prefix length out of range";
  if (four) bits += kMappedBits;
  entry.kind = AllowEntry::Kind::range;
  entry.bits = static_cast<uint8_t>(bits);
  return any_bit_behind(entry.address, bits) ? "has bits set behind its prefix" : "";
}

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= kLabelMax && label.front() != '-' &&
         label.back() != '-' && std::all_of(label.begin(), label.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
         });
}

bool is_host_name(std::string_view name) {
  if (name.empty() || name.size() > kHostNameMax) return false;
  for (size_t start = 0; start <= name.size();) {
    const size_t end = std::min(name.find('.', start), name.size());
    if (!is_label(name.substr(start, end - start))) return false;
    start = end + 1;
  }
  return true;
}

std::string parse_name(std::string_view text, AllowEntry& entry) {
  if (text.starts_with("*.")) {
    entry.kind = AllowEntry::Kind::suffix;
    text.remove_prefix(2);
  }
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.find('*') != std::string_view::npos) return "may have a * only as its whole first label";
  entry.host.assign(text);
  std::transform(text.begin(), text.end(), entry.host.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (!is_host_name(entry.host))
    return "is not a host name (letters, digits, - and _ in labels of at most 63)";
  const std::string_view last = text.substr(text.rfind('.') + 1);
  if (std::all_of(last.begin(), last.end(), is_digit))
    return "is neither a name nor an address: it ends in a number";
  if (entry.kind == AllowEntry::Kind::suffix && last.size() == text.size())
    return "would allow a whole top-level domain";
  return {};
}

}  // namespace

bool split_host_port(std::string_view text, std::string_view& host, uint16_t& port) {
  port = 0;
  size_t colon = text.find(':');
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return false;
    host = text.substr(1, close - 1);
    if (close + 1 == text.size()) return true;
    if (text[close + 1] != ':') return false;
    colon = close + 1;
  } else {
    const bool several =
        colon != std::string_view::npos && text.find(':', colon + 1) != std::string_view::npos;
    host = several ? text : text.substr(0, colon);
    if (several || colon == std::string_view::npos) return true;
  }
  unsigned number = 0;
  if (!parse_number(text.substr(colon + 1), 1, 65'535, number)) return false;
  port = static_cast<uint16_t>(number);
  return true;
}

std::string parse_allow_entry(std::string_view text, AllowEntry& entry) {
  entry = {};
  std::string_view host;
  if (text.find("://") != std::string_view::npos)
    return "is a URL; write the host and the port only";
  if (!split_host_port(text, host, entry.port))
    return "has no port from 1 to 65535 behind its colon";
  if (text.starts_with('[')) return parse_range(false, host, entry);
  if (host.find(':') != std::string_view::npos) return "is an IPv6 address without brackets";
  const bool digits =
      !host.empty() && host.find_first_not_of("0123456789./") == std::string_view::npos;
  if (digits || host.find('/') != std::string_view::npos) return parse_range(true, host, entry);
  return parse_name(host, entry);
}

}  // namespace hearth
