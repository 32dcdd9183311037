// What a function asks of its sandbox and of the life of its workers: the part of FunctionSpec that
// function.yaml's keys cpu, network, sandbox, leftovers, recycle, zygote and tmp stand for. Names
// and rules; nothing is enforced here.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/units.h"

namespace hearth {

// none: an own network with a loopback. egress: connections out to what `allow` names. host: the
// machine's own network, but for the engine's listeners.
enum class Network : uint8_t { none, egress, host };
inline constexpr size_t kNetworkCount = 3;

// The least mode of the sandbox that a function agrees to run in. In the order of their strength.
enum class SandboxLeast : uint8_t { any, degraded, user, strict };

// What becomes of threads and processes that a call leaves behind. freeze: they stand still between
// calls, with the worker. kill: the worker's other processes are killed. recycle: the worker is
// replaced if it left any. A worker that stays is frozen with all three.
enum class Leftovers : uint8_t { freeze, kill, recycle };

enum class Zygote : uint8_t { automatic, off };

// When a worker is replaced; 0 = never for that reason. Between calls only.
struct Recycle {
  uint32_t max_calls = 0;
  milliseconds max_age{0};
  uint64_t max_rss = 0;
  friend bool operator==(const Recycle&, const Recycle&) = default;
};

struct Isolation {
  uint32_t cpu_millis = 0;  // thousandths of a CPU; 0 = no quota
  Network network = Network::none;
  std::vector<std::string> egress_allow;  // "NAME:PORT", "*.NAME:PORT", "CIDR:PORT"; port optional
  SandboxLeast least_sandbox = SandboxLeast::any;
  Leftovers leftovers = Leftovers::freeze;
  Recycle recycle;
  Zygote zygote = Zygote::automatic;
  uint64_t tmp_bytes = mebibytes(64);  // size of /tmp
  milliseconds init_timeout{0};        // for loading the code; 0 = limits.init_timeout
  friend bool operator==(const Isolation&, const Isolation&) = default;
};

inline constexpr uint32_t kCpuMillisLeast = 10;
inline constexpr uint32_t kCpuMillisMost = 1'024'000;
inline constexpr size_t kAllowMax = 64;  // entries of egress_allow
inline constexpr uint64_t kTmpLeast = mebibytes(1);
inline constexpr uint64_t kTmpMost = gibibytes(16);
inline constexpr milliseconds kInitTimeoutMost{900'000};
inline constexpr milliseconds kRecycleAgeLeast{1'000};
inline constexpr milliseconds kRecycleAgeMost{365LL * 24 * 3'600'000};
inline constexpr uint64_t kRecycleRssLeast = mebibytes(16);

std::string_view network_name(Network network);
std::string_view sandbox_least_name(SandboxLeast mode);  // "" for any
std::string_view leftovers_name(Leftovers leftovers);
std::string_view zygote_name(Zygote zygote);  // "auto", "off"
std::optional<Network> network_from_name(std::string_view name);
std::optional<SandboxLeast> sandbox_least_from_name(std::string_view name);
std::optional<Leftovers> leftovers_from_name(std::string_view name);
std::optional<Zygote> zygote_from_name(std::string_view name);
// The names of the above as a sentence says them: "none, egress or host".
inline constexpr std::string_view kNetworkNames = "none, egress or host";
inline constexpr std::string_view kSandboxLeastNames = "degraded, user or strict";
inline constexpr std::string_view kLeftoversNames = "freeze, kill or recycle";
inline constexpr std::string_view kZygoteNames = "auto or off";

// Is `text` an entry of network.allow (base/allow_entry.h)? Errors: invalid_parameter, which says
// what is wrong with it.
Status check_allow_entry(std::string_view text);

// Why the modes of a network can't be had in this engine; empty: they can.
struct NetworkProblems {
  std::string egress;
  std::string host;
};
// `permitted` is hearth.yaml's network.allow_host. Host needs what egress needs: the agent that
// keeps its functions from the engine's own listeners.
NetworkProblems network_problems(std::string egress_problem, bool permitted);

// Can a function with `network` run there? Errors: invalid_parameter.
Status check_network(Network network, const NetworkProblems& problems);

// Ranges and what holds between keys. Errors: invalid_parameter, which names the key.
Status validate(const Isolation& isolation);

// A function asks for at least `least`; the engine runs in `actual` (any = its sandbox is off).
// Errors: invalid_parameter, with the reason and the fix.
Status check_sandbox(SandboxLeast least, SandboxLeast actual);

}  // namespace hearth
