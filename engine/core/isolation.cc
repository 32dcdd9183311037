#include "core/isolation.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/allow_entry.h"

namespace hearth {
namespace {

constexpr std::array<std::string_view, kNetworkCount> kNetworks = {"none", "egress", "host"};
constexpr std::array<std::string_view, 4> kLeast = {"", "degraded", "user", "strict"};
constexpr std::array<std::string_view, 3> kLeftovers = {"freeze", "kill", "recycle"};
constexpr std::array<std::string_view, 2> kZygotes = {"auto", "off"};

Error bad(std::string detail) { return Error{Code::invalid_parameter, std::move(detail)}; }

template <class Enum, size_t N>
std::optional<Enum> from_name(const std::array<std::string_view, N>& names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (name.empty() || found == names.end()) return std::nullopt;
  return static_cast<Enum>(found - names.begin());
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

Status check_allow_entry(std::string_view text) {
  AllowEntry entry;
  const std::string wrong = parse_allow_entry(text, entry);
  if (wrong.empty()) return ok();
  return bad(
      fmt::format("network.allow: '{}' {}; write NAME:PORT, *.NAME:PORT, 10.1.0.0/16:PORT or "
                  "[fd00::/8]:PORT (without a port: any)",
                  text.substr(0, 2 * kHostNameMax), wrong));
}

NetworkProblems network_problems(std::string egress_problem, bool permitted) {
  std::string host = egress_problem;
  if (!permitted) host = "hearth.yaml does not permit it (network.allow_host: true would)";
  return {std::move(egress_problem), std::move(host)};
}

Status check_network(Network network, const NetworkProblems& problems) {
  if (network == Network::none) return ok();
  const std::string& problem = network == Network::host ? problems.host : problems.egress;
  if (problem.empty()) return ok();
  return bad(fmt::format("network '{}' is not available in this engine: {}", network_name(network),
                         problem));
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
  if (isolation.init_timeout < milliseconds(0) || isolation.init_timeout > kInitTimeoutMost) {
    return bad(fmt::format("init_timeout is {} ms: 1 ms to {} s are allowed",
                           isolation.init_timeout.count(), kInitTimeoutMost.count() / 1'000));
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
  return ok();
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
