// hearth.yaml as plain data. Every key, its default and its range stand here or, for limits, in
// base/limits.h. Plain structs without behaviour: made once at start, read-only afterwards.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/log.h"
#include "base/result.h"
#include "core/keep_alive.h"
#include "core/runtime_catalogue.h"

namespace hearth {

// `automatic` takes strict, else user; degraded only with allow_degraded. A named mode that can't
// be met refuses to start.
enum class SandboxMode : uint8_t { automatic, strict, user, degraded, off };
std::string_view sandbox_mode_name(SandboxMode mode);  // "auto", "strict", ...
// Errors: config_invalid, which names the nearest mode.
Result<SandboxMode> sandbox_mode_from_name(std::string_view name);

struct HttpConfig {
  // http.functions_listen: a second listener that serves /fn and /healthz only, and may be public.
  // Empty: none.
  std::string functions_listen;
  // http.allowed_hosts: Host names served besides loopback literals, localhost and *.localhost.
  // Lower case, without port.
  std::vector<std::string> allowed_hosts;
};

struct SandboxConfig {
  SandboxMode mode = SandboxMode::automatic;  // sandbox.mode
  bool allow_degraded = false;                // sandbox.allow_degraded
};

struct NetworkConfig {
  bool allow_host = false;  // network.allow_host: functions may ask for `network: host`
  // network.resolvers: name servers for functions with network: egress, as ADDRESS or ADDRESS:PORT,
  // at most 3; empty: those of /etc/resolv.conf.
  std::vector<std::string> resolvers;
};

// keep_alive.policy: fixed (pool.idle_timeout) or histogram (of each function's idle times).
struct KeepAliveConfig {
  KeepAlivePolicy policy = KeepAlivePolicy::fixed;
};

struct RuntimeConfig {
  // runtimes.NAME.path: an absolute path, or empty = /usr/bin, then /usr/local/bin (see
  // runtimes.h).
  std::string path;
  // runtimes.NAME.others: absolute paths of interpreters for functions that name their version.
  std::vector<std::string> others;
};

struct RuntimesConfig {
  RuntimeConfig python3;
  RuntimeConfig nodejs;
  // runtimes.substitute: never or nearest; empty = never, and nearest in hearth dev.
  std::optional<Substitute> substitute;
};

struct Config {
  std::string state_dir;                  // state_dir: absolute; empty = the host program chooses
  std::string listen = "127.0.0.1:4327";  // listen: loopback only; port 0 = any free one
  std::string user;  // user: whom the daemon becomes when it was started as root; empty = see cli/
  HttpConfig http;
  SandboxConfig sandbox;
  NetworkConfig network;
  KeepAliveConfig keep_alive;
  RuntimesConfig runtimes;
  LogLevel log_level = LogLevel::info;  // log.level: debug, info, warning or error
  // limits.*, and what belongs to them by meaning: pool.*, http.{connections, head, ..}, log.{rate,
  // burst, line, max}.
  Limits limits;
};

// The largest hearth.yaml that is read; function.yaml has the same limit.
inline constexpr size_t kConfigBytesMax = 1u << 20;

// Reads the file at `path`. An empty file is the default configuration. Errors: io_failed (it can't
// be read), config_invalid and listen_not_allowed; each names the file, the line, the key, its
// value and what is allowed.
Result<Config> load_config(const std::string& path);

// The same of a text; `file` stands in messages only.
Result<Config> parse_config(std::string_view text, std::string_view file);

// What holds between keys, and the addresses; parse_config has called it. Call it again after
// changing fields, for example from command line options. Errors: config_invalid,
// listen_not_allowed.
Status validate(const Config& config);

// An address to listen on: "127.0.0.1:4327", "[::1]:0". Literals only: no name is looked up.
struct ListenAddress {
  std::string host;  // without brackets
  uint16_t port = 0;
  bool loopback = false;  // 127.0.0.0/8 or ::1
};
// Errors: config_invalid, which says what an address looks like.
Result<ListenAddress> parse_listen(std::string_view text);

}  // namespace hearth
