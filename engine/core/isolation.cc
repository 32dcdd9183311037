#include "core/isolation.h"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace hearth {
namespace {

constexpr std::array<std::string_view, kNetworkCount> kNetworks = {"none", "egress", "host"};
constexpr std::array<std::string_view, 4> kLeast = {"", "degraded", "user", "strict"};
constexpr std::array<std::string_view, 3> kLeftovers = {"freeze", "kill", "recycle"};
constexpr std::array<std::string_view, 2> kZygotes = {"auto", "off"};
constexpr size_t kHostNameMax = 253;
constexpr size_t kLabelMax = 63;

Error bad(std::string detail) { return Error{Code::invalid_parameter, std::move(detail)}; }

template <class Enum, size_t N>
std::optional<Enum> from_name(const std::array<std::string_view, N>& names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (name.empty() || found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
}

bool number_within(std::string_view text, uint32_t least, uint32_t most) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool plain = text.size() == 1 || (!text.empty() && text.front() != '0');
  return plain && error == std::errc() && end == text.data() + text.size() && value >= least &&
         value <= most;
}

bool is_address(int family, std::string_view text) {
  unsigned char bytes[16];
  return text.size() < 64 && inet_pton(family, std::string(text).c_str(), bytes) == 1;
}

// An address, or one with the number of its leading bits.
bool is_range(int family, std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return is_address(family, text);
  return is_address(family, text.substr(0, slash)) &&
         number_within(text.substr(slash + 1), 0, family == AF_INET ? 32 : 128);
}

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= kLabelMax && label.front() != '-' &&
         label.back() != '-' && std::all_of(label.begin(), label.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_';
         });
}

bool is_host_name(std::string_view name) {
  if (name.empty() || name.size() > kHostNameMax) return false;
  for (size_t start = 0; start <= name.size();) {
    const size_t end = std::min(name.find('.', start), name.size());
    if (!is_label(name.substr(start, end - start))) return false;
    start = end + 1;
  }
  // What ends in a number is meant as an address, and was none.
  const std::string_view last = name.substr(name.rfind('.') + 1);
  return !std::all_of(last.begin(), last.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Status validate_recycle(const Recycle& recycle) {
  if (recycle.max_age != milliseconds(0) &&
      (recycle.max_age < kRecycleAgeLeast || recycle.max_age > kRecycleAgeMost)) {
    return bad(fmt::format("recycle.max_age is {} ms: 1 s to 365 days are allowed",
                           recycle.max_age.count()));
  }
  if (recycle.max_rss != 0 && recycle.max_rss < kRecycleRssLeast) {
    return bad(fmt::format("recycle.max_rss is {} bytes: {} MB is the least that is allowed",
                           recycle.max_rss, kRecycleRssLeast >> 20));
  }
  return ok();
}

}  // namespace

std::string_view network_name(Network network) { return kNetworks[static_cast<size_t>(network)]; }
std::string_view sandbox_least_name(SandboxLeast mode) { return kLeast[static_cast<size_t>(mode)]; }
std::string_view leftovers_name(Leftovers leftovers) {
  return kLeftovers[static_cast<size_t>(leftovers)];
}
std::string_view zygote_name(Zygote zygote) { return kZygotes[static_cast<size_t>(zygote)]; }
std::optional<Network> network_from_name(std::string_view name) {
  return from_name<Network>(kNetworks, name);
}
std::optional<SandboxLeast> sandbox_least_from_name(std::string_view name) {
  return from_name<SandboxLeast>(kLeast, name);
}
std::optional<Leftovers> leftovers_from_name(std::string_view name) {
  return from_name<Leftovers>(kLeftovers, name);
}
std::optional<Zygote> zygote_from_name(std::string_view name) {
  return from_name<Zygote>(kZygotes, name);
}

Status check_allow_entry(std::string_view entry) {
  const auto refuse = [&](std::string_view why) {
    return bad(
        fmt::format("network.allow: '{}' {}; write NAME:PORT, *.NAME:PORT, 10.1.0.0/16:PORT or "
                    "[fd00::/8]:PORT (without a port: any)",
                    entry.substr(0, 2 * kHostNameMax), why));
  };
  std::string_view host = entry;
  std::string_view port;
  const bool brackets = entry.starts_with('[');
  const size_t close = entry.find(']');
  if (brackets && close == std::string_view::npos) return refuse("has no ']'");
  const size_t colon = entry.find(':', brackets ? close : 0);
  if (colon != std::string_view::npos) {
    host = entry.substr(0, colon);
    port = entry.substr(colon + 1);
    if (!number_within(port, 1, 65'535)) return refuse("has no port of 1 to 65535 behind its ':'");
  }
  if (brackets) {
    const bool whole = host.size() == close + 1;
    return whole && is_range(AF_INET6, host.substr(1, close - 1))
               ? ok()
               : refuse("is not an IPv6 range in brackets");
  }
  if (is_range(AF_INET, host)) return ok();
  if (host.find('/') != std::string_view::npos) return refuse("is not an IPv4 range");
  if (host.starts_with("*.")) host.remove_prefix(2);
  return is_host_name(host) ? ok() : refuse("is neither a host name nor an address");
}

Status check_network_available(Network network) {
  if (network != Network::host) return ok();
  return bad("network 'host' is not available: 'none' and 'egress' are");
}

Status check_egress(Network network, std::string_view problem) {
  if (network != Network::egress || problem.empty()) return ok();
  return bad(fmt::format("network 'egress' is not available in this engine: {}", problem));
}

Status validate(const Isolation& isolation) {
  if (isolation.cpu_millis != 0 &&
      (isolation.cpu_millis < kCpuMillisLeast || isolation.cpu_millis > kCpuMillisMost)) {
    return bad(
        fmt::format("cpu is {} thousandths of a CPU: {} to {} are allowed, or 0 for no quota",
                    isolation.cpu_millis, kCpuMillisLeast, kCpuMillisMost));
  }
  if (isolation.tmp_bytes < kTmpLeast || isolation.tmp_bytes > kTmpMost) {
    return bad(fmt::format("tmp is {} bytes: 1 MB to {} MB are allowed", isolation.tmp_bytes,
                           kTmpMost >> 20));
  }
  HEARTH_TRY(validate_recycle(isolation.recycle));
  if (isolation.egress_allow.size() > kAllowMax) {
    return bad(fmt::format("network.allow has {} entries: at most {} are allowed",
                           isolation.egress_allow.size(), kAllowMax));
  }
  for (const std::string& entry : isolation.egress_allow) HEARTH_TRY(check_allow_entry(entry));
  if (!isolation.egress_allow.empty() && isolation.network != Network::egress) {
    return bad(fmt::format("network.allow is for the mode egress, not for '{}'",
                           network_name(isolation.network)));
  }
  return check_network_available(isolation.network);
}

Status check_sandbox(SandboxLeast least, SandboxLeast actual) {
  if (least <= actual) return ok();
  const std::string_view name = actual == SandboxLeast::any ? "off" : sandbox_least_name(actual);
  return bad(
      fmt::format("the function asks for sandbox: {}, and this engine's sandbox is {}; "
                  "start the engine in that mode (hearth doctor says what it lacks) or "
                  "lower the function's key",
                  sandbox_least_name(least), name));
}

}  // namespace hearth
