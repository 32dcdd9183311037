#include "config/config.h"

#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "config/nearest.h"
#include "config/read_file.h"
#include "config/yaml_document.h"
#include "config/yaml_fields.h"
#include "core/zygote.h"

namespace hearth {
namespace {

using std::chrono::hours;

constexpr std::array<std::string_view, 5> kModeNames = {"auto", "strict", "user", "degraded",
                                                        "off"};
constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warning", "error"};

// The ranges. A floor keeps the engine able to work; a ceiling keeps sums of sizes within 64 bits
// and tables within memory.
constexpr uint64_t kCallsCeiling = 1'000'000;
constexpr uint64_t kWorkersCeiling = 4'096;  // the spawner has as many slots
constexpr uint64_t kPrefetchCeiling = 64;    // protocol.md promises workers no more
constexpr uint64_t kBodyCeiling = mebibytes(256);
constexpr milliseconds kTimeFloor{10};

void read_calls(YamlFields& limits, Limits& out) {
  limits.whole("calls", out.calls_max, 1, kCallsCeiling);
  limits.whole("queue", out.queue_default, 1, kCallsCeiling);
  limits.whole("queue_ceiling", out.queue_ceiling, 1, kCallsCeiling);
  limits.whole("prefetch", out.prefetch_max, 1, kPrefetchCeiling);
  limits.duration("prefetch_time", out.prefetch_time, microseconds(0), seconds(1));
  limits.duration("queue_time", out.queue_time, kTimeFloor, hours(24));
  limits.duration("timeout", out.timeout_max, seconds(1), hours(24));
}

void read_workers(YamlFields& limits, Limits& out) {
  limits.whole("workers", out.workers_max, 1, kWorkersCeiling);
  limits.whole("workers_per_function", out.workers_function_default, 1, kWorkersCeiling);
  limits.whole("per_worker", out.per_worker_max, 1, 1'024);
  limits.whole("pids", out.pids_max, 16, 32'768);
  limits.size("memory_budget", out.memory_budget, 0, gibibytes(16'384));
  limits.size("function_memory", out.function_memory_max, mebibytes(64), gibibytes(1'024));
  limits.size("compile_cache_per_function", out.compile_cache_per_function, 0, mebibytes(64));
  limits.size("compile_cache_total", out.compile_cache_total, 0, gibibytes(16));
  limits.duration("init_timeout", out.init_timeout, kTimeFloor, hours(1));
  limits.duration("boot_timeout", out.boot_timeout, kTimeFloor, hours(1));
  limits.duration("freeze_after", out.freeze_after, milliseconds(0), hours(1));
  if (out.freeze_after != milliseconds(0) && out.freeze_after < kTimeFloor)
    limits.report("freeze_after", "write 0 for never, or at least 10ms");
  limits.duration("ping_timeout", out.ping_timeout, kTimeFloor, seconds(60));
  limits.duration("stop_grace", out.stop_grace, milliseconds(0), seconds(60));
  limits.duration("drain_timeout", out.drain_timeout, milliseconds(0), hours(1));
}

void read_payloads(YamlFields& limits, Limits& out) {
  limits.size("invoke_body", out.invoke_body_max, kibibytes(1), kBodyCeiling);
  limits.size("reply", out.reply_max, kibibytes(1), kBodyCeiling);
  limits.size("stream", out.stream_max, kibibytes(1), gibibytes(1'024));
  limits.size("code_upload", out.code_upload_max, kibibytes(1), gibibytes(1));
  limits.size("code_unpacked", out.code_unpacked_max, kibibytes(1), gibibytes(4));
  limits.whole("code_files", out.code_files_max, 1, 1'000'000);
  limits.duration("code_unpack_time", out.code_unpack_time, milliseconds(100), hours(1));
  limits.size("code_total", out.code_total_max, mebibytes(1), gibibytes(16'384));
  limits.whole("functions", out.functions_max, 1, 1'000'000);
  limits.size("buffers", out.buffers_max, mebibytes(16), gibibytes(64));
}

void read_limits(YamlFields& top, Limits& out) {
  YamlFields limits = top.section("limits");
  read_calls(limits, out);
  read_workers(limits, out);
  read_payloads(limits, out);
  limits.finish();
}

void read_pool(YamlFields& top, Limits& out) {
  YamlFields pool = top.section("pool");
  pool.whole("python3", out.pool_python, 0, kWorkersCeiling);
  pool.whole("nodejs", out.pool_node, 0, kWorkersCeiling);
  pool.whole("max_per_key", out.pool_key_max, 0, kWorkersCeiling);
  pool.whole("zygote_forks", out.pool_zygote_forks, 0, 1'000'000);
  pool.whole("memory_share", out.pool_memory_share, 0, 100);
  pool.duration("idle_timeout", out.idle_timeout, seconds(1), hours(24));
  pool.finish();
}

void read_zygotes(YamlFields& top, Limits& out) {
  YamlFields zygotes = top.section("zygotes");
  zygotes.duration("min_init", out.zygote_min_init, milliseconds(1), hours(1));
  zygotes.duration("idle", out.zygote_idle, seconds(1), hours(24));
  zygotes.whole("spares", out.zygote_spares, 0, kZygoteChildrenMax);
  zygotes.finish();
}

void read_http(YamlFields& top, HttpConfig& out, Limits& limits) {
  YamlFields http = top.section("http");
  http.text("functions_listen", out.functions_listen);
  http.list("allowed_hosts", out.allowed_hosts);
  http.whole("connections", limits.connections_max, 1, 65'536);
  uint64_t head = limits.head_max;
  http.size("head", head, kibibytes(1), mebibytes(1));
  limits.head_max = static_cast<uint32_t>(head);
  http.whole("headers", limits.headers_max, 8, 1'024);
  http.duration("head_timeout", limits.head_timeout, milliseconds(100), hours(1));
  http.duration("body_timeout", limits.body_timeout, milliseconds(100), hours(1));
  http.duration("idle_timeout", limits.idle_connection, milliseconds(100), hours(24));
  http.duration("write_timeout", limits.write_timeout, milliseconds(100), hours(1));
  for (std::string& host : out.allowed_hosts) {
    for (char& c : host) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    const bool clean = std::all_of(host.begin(), host.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    });
    if (host.empty() || !clean)
      http.report("allowed_hosts",
                  fmt::format("'{}' is not a host name; write it without scheme and port", host));
  }
  http.finish();
}

void read_log(YamlFields& top, Config& out) {
  YamlFields log = top.section("log");
  std::string level(kLevelNames[static_cast<size_t>(out.log_level)]);
  log.text("level", level);
  const auto found = std::find(kLevelNames.begin(), kLevelNames.end(), level);
  if (found == kLevelNames.end()) {
    log.report("level",
               fmt::format("'{}' is not allowed; write debug, info, warning or error", level));
  } else {
    out.log_level = static_cast<LogLevel>(found - kLevelNames.begin());
  }
  log.size("rate", out.limits.log_rate, kibibytes(1), gibibytes(1));
  log.size("burst", out.limits.log_burst, kibibytes(1), gibibytes(1));
  uint64_t line = out.limits.log_line_max;
  log.size("line", line, 256, kibibytes(64));
  out.limits.log_line_max = static_cast<uint32_t>(line);
  log.size("max", out.limits.log_function_max, kibibytes(64), gibibytes(1'024));
  log.finish();
}

void read_sandbox(YamlFields& top, SandboxConfig& out) {
  YamlFields sandbox = top.section("sandbox");
  std::string mode(sandbox_mode_name(out.mode));
  sandbox.text("mode", mode);
  const auto known = sandbox_mode_from_name(mode);
  if (known) {
    out.mode = *known;
  } else {
    sandbox.report("mode", known.error().detail);
  }
  sandbox.boolean("allow_degraded", out.allow_degraded);
  sandbox.finish();
}

// The ceilings are those of the agent (sandbox/egress/rules.cc).
void read_network(YamlFields& top, NetworkConfig& out, Limits& limits) {
  YamlFields network = top.section("network");
  network.boolean("allow_host", out.allow_host);
  network.list("resolvers", out.resolvers);
  network.whole("connects", limits.egress_connects, 1, 64);
  network.whole("connect_rate", limits.egress_rate, 1, 100'000);
  network.whole("connect_burst", limits.egress_burst, 1, 100'000);
  network.duration("connect_timeout", limits.egress_connect_timeout, milliseconds(1), seconds(600));
  network.duration("question_timeout", limits.egress_question_timeout, milliseconds(1),
                   seconds(60));
  network.duration("answer_time", limits.egress_answer_min, seconds(60), hours(1));
  network.finish();
}

void read_keep_alive(YamlFields& top, KeepAliveConfig& out) {
  YamlFields fields = top.section("keep_alive");
  std::string policy = "fixed";
  fields.text("policy", policy);
  if (policy == "histogram") {
    out.policy = KeepAlivePolicy::histogram;
  } else if (policy != "fixed") {
    fields.report("policy", fmt::format("'{}' is not allowed; write fixed or histogram", policy));
  }
  fields.finish();
}

void read_runtime(YamlFields& runtimes, std::string_view name, RuntimeConfig& out) {
  YamlFields runtime = runtimes.section(name);
  const auto check = [&](std::string_view key, const std::string& path) {
    if (path.starts_with('/')) return;
    runtime.report(
        key,
        fmt::format("'{}' is not allowed; write an absolute path (PATH is never searched)", path));
  };
  runtime.text("path", out.path);
  if (!out.path.empty()) check("path", out.path);
  runtime.list("others", out.others);
  for (const std::string& path : out.others) check("others", path);
  if (out.others.size() >= kInterpretersMax) {
    runtime.report("others", fmt::format("{} interpreters are more than the {} that are allowed",
                                         out.others.size(), kInterpretersMax - 1));
  }
  runtime.finish();
}

void read_substitute(YamlFields& runtimes, std::optional<Substitute>& out) {
  std::string text;
  runtimes.text("substitute", text);
  if (text == "never") {
    out = Substitute::never;
  } else if (text == "nearest") {
    out = Substitute::nearest;
  } else if (!text.empty()) {
    runtimes.report("substitute", fmt::format("'{}' is not allowed; write never or nearest", text));
  }
}

void read_top(YamlFields& top, Config& config) {
  top.text("state_dir", config.state_dir);
  if (!config.state_dir.empty() && config.state_dir[0] != '/') {
    top.report("state_dir",
               fmt::format("'{}' is not allowed; write an absolute path", config.state_dir));
  }
  top.text("listen", config.listen);
  top.text("user", config.user);
  read_http(top, config.http, config.limits);
  read_sandbox(top, config.sandbox);
  read_network(top, config.network, config.limits);
  read_keep_alive(top, config.keep_alive);
  YamlFields runtimes = top.section("runtimes");
  read_runtime(runtimes, "python3", config.runtimes.python3);
  read_runtime(runtimes, "nodejs", config.runtimes.nodejs);
  read_substitute(runtimes, config.runtimes.substitute);
  runtimes.finish();
  read_pool(top, config.limits);
  read_zygotes(top, config.limits);
  read_log(top, config);
  read_limits(top, config.limits);
  top.finish();
}

Error bad(std::string detail) { return Error{Code::config_invalid, std::move(detail)}; }

Status validate_limits(const Limits& l) {
  if (l.queue_default > l.queue_ceiling) {
    return bad(fmt::format("limits.queue ({}) is above limits.queue_ceiling ({})", l.queue_default,
                           l.queue_ceiling));
  }
  if (l.workers_function_default > l.workers_max) {
    return bad(fmt::format("limits.workers_per_function ({}) is above limits.workers ({})",
                           l.workers_function_default, l.workers_max));
  }
  if (uint64_t{l.pool_python} + l.pool_node > l.workers_max) {
    return bad(
        fmt::format("pool.python3 ({}) and pool.nodejs ({}) are more than limits.workers ({})",
                    l.pool_python, l.pool_node, l.workers_max));
  }
  if (l.buffers_max < l.invoke_body_max + l.reply_max) {
    return bad(
        fmt::format("limits.buffers ({} bytes) can't hold one call of limits.invoke_body and "
                    "limits.reply ({} bytes)",
                    l.buffers_max, l.invoke_body_max + l.reply_max));
  }
  if (l.compile_cache_total < l.compile_cache_per_function)
    return bad(
        fmt::format("limits.compile_cache_total ({} bytes) is below "
                    "limits.compile_cache_per_function ({} bytes)",
                    l.compile_cache_total, l.compile_cache_per_function));
  if (l.log_burst < l.log_line_max)
    return bad(fmt::format("log.burst ({} bytes) is below log.line ({} bytes)", l.log_burst,
                           l.log_line_max));
  return ok();
}

}  // namespace

std::string_view sandbox_mode_name(SandboxMode mode) {
  return kModeNames[static_cast<size_t>(mode)];
}

Result<SandboxMode> sandbox_mode_from_name(std::string_view name) {
  const auto found = std::find(kModeNames.begin(), kModeNames.end(), name);
  if (found != kModeNames.end()) return static_cast<SandboxMode>(found - kModeNames.begin());
  return bad(fmt::format(
      "'{}' is not a sandbox mode; write auto, strict, user, degraded or off (the nearest is '{}')",
      name, nearest(name, kModeNames)));
}

Result<ListenAddress> parse_listen(std::string_view text) {
  const auto malformed = [&] {
    return bad(fmt::format("'{}' is not an address; write IP:PORT, as in 127.0.0.1:4327 or [::1]:0",
                           text));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return malformed();
  ListenAddress address;
  const auto port = parse_whole(text.substr(colon + 1));
  if (!port || *port > 65'535) return malformed();
  address.port = static_cast<uint16_t>(*port);
  std::string_view host = text.substr(0, colon);
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  address.host = host;
  in_addr v4{};
  in6_addr v6{};
  const bool is_v6 = inet_pton(AF_INET6, address.host.c_str(), &v6) == 1;
  const bool is_v4 = inet_pton(AF_INET, address.host.c_str(), &v4) == 1;
  if (is_v6 != brackets || (!is_v6 && !is_v4)) return malformed();
  address.loopback = is_v6 ? IN6_IS_ADDR_LOOPBACK(&v6) : (ntohl(v4.s_addr) >> 24) == 127;
  return address;
}

Status validate(const Config& config) {
  const auto listen = parse_listen(config.listen);
  if (!listen) return bad("listen: " + listen.error().detail);
  if (!listen->loopback) {
    return Error{Code::listen_not_allowed,
                 fmt::format("listen: '{}' is not a loopback address; use 127.0.0.1 or [::1], and "
                             "http.functions_listen for functions "
                             "that others may call",
                             config.listen)};
  }
  if (!config.http.functions_listen.empty()) {
    const auto functions = parse_listen(config.http.functions_listen);
    if (!functions) return bad("http.functions_listen: " + functions.error().detail);
    if (functions->port != 0 && functions->port == listen->port &&
        functions->host == listen->host) {
      return bad(fmt::format("http.functions_listen: '{}' is the same address as listen",
                             config.http.functions_listen));
    }
  }
  return validate_limits(config.limits);
}

Result<Config> parse_config(std::string_view text, std::string_view file) {
  const YamlNode root = HEARTH_TRY(parse_yaml(text, file, kConfigBytesMax, Code::config_invalid));
  Config config;
  YamlErrors errors(file, Code::config_invalid);
  YamlFields top(root, "", errors);
  read_top(top, config);
  HEARTH_TRY(errors.status());
  if (Status sound = validate(config); !sound) {
    return Error{sound.error().code, fmt::format("{}: {}", file, sound.error().detail)};
  }
  return config;
}

Result<Config> load_config(const std::string& path) {
  const std::string text = HEARTH_TRY(read_file(path, kConfigBytesMax, Code::config_invalid));
  return parse_config(text, path);
}

}  // namespace hearth
