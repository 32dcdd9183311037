// hearth.yaml: each key reaches its field; whatever is wrong is named with its line, its value and
// what is allowed.
#include "config/config.h"

#include <fmt/core.h>
#include <unistd.h>

#include "config/read_file.h"
#include "config/yaml_document.h"
#include "tests/catch.h"

using namespace hearth;
using Catch::Matchers::Contains;

namespace {

std::string problem_of(std::string_view text, Code code = Code::config_invalid) {
  const auto config = parse_config(text, "hearth.yaml");
  REQUIRE_FALSE(config);
  CHECK(config.error().code == code);
  return config.error().detail;
}

Config config_of(std::string_view text) {
  auto config = parse_config(text, "hearth.yaml");
  if (!config) FAIL(config.error().detail);
  return *std::move(config);
}

}  // namespace

TEST_CASE("an empty file is the default configuration") {
  for (const char* text : {"", "\n", "# nothing\n", "---\n", "{}"}) {
    const Config config = config_of(text);
    CHECK(config.listen == "127.0.0.1:4327");
    CHECK(config.sandbox.mode == SandboxMode::automatic);
    CHECK_FALSE(config.sandbox.allow_degraded);
    CHECK(config.limits.calls_max == Limits().calls_max);
  }
}

TEST_CASE("each section reaches its field") {
  const Config config = config_of(R"(
state_dir: /var/lib/hearth
listen: "[::1]:0"
user: nobody
http: {functions_listen: "0.0.0.0:8080", allowed_hosts: [Api.Example.org], connections: 10, head: 16KB, headers: 50,
  head_timeout: 1s, body_timeout: 2s, idle_timeout: 3s, write_timeout: 4s}
sandbox: {mode: user, allow_degraded: yes}
runtimes:
  python3: {path: /opt/python/bin/python3, others: [/opt/python3.12/bin/python3.12, /opt/python3.8]}
  nodejs: {path: /opt/node/bin/node}
  substitute: nearest
pool: {python3: 0, nodejs: 5, idle_timeout: 90s}
network: {allow_host: yes, connects: 7, connect_rate: 8, connect_burst: 9, connect_timeout: 10s, question_timeout: 11ms, answer_time: 2m}
zygotes: {min_init: 200ms, idle: 2m, spares: 3}
log: {level: debug, rate: 2MB, burst: 8MB, line: 32KB, max: 1MB}
)");
  CHECK(config.state_dir == "/var/lib/hearth");
  CHECK(config.listen == "[::1]:0");
  CHECK(config.user == "nobody");
  CHECK(config.http.functions_listen == "0.0.0.0:8080");
  CHECK(config.http.allowed_hosts == std::vector<std::string>{"api.example.org"});
  CHECK(config.limits.connections_max == 10);
  CHECK(config.limits.head_max == 16 * 1024);
  CHECK(config.limits.headers_max == 50);
  CHECK(config.limits.head_timeout == seconds(1));
  CHECK(config.limits.body_timeout == seconds(2));
  CHECK(config.limits.idle_connection == seconds(3));
  CHECK(config.limits.write_timeout == seconds(4));
  CHECK(config.sandbox.mode == SandboxMode::user);
  CHECK(config.sandbox.allow_degraded);
  CHECK(config.runtimes.python3.path == "/opt/python/bin/python3");
  CHECK(config.runtimes.python3.others ==
        std::vector<std::string>{"/opt/python3.12/bin/python3.12", "/opt/python3.8"});
  CHECK(config.runtimes.nodejs.path == "/opt/node/bin/node");
  CHECK(config.runtimes.nodejs.others.empty());
  CHECK(config.runtimes.substitute == Substitute::nearest);
  CHECK(config.limits.pool_python == 0);
  CHECK(config.limits.pool_node == 5);
  CHECK(config.limits.idle_timeout == seconds(90));
  CHECK(config.network.allow_host);
  CHECK(config.limits.egress_connects == 7);
  CHECK(config.limits.egress_rate == 8);
  CHECK(config.limits.egress_burst == 9);
  CHECK(config.limits.egress_connect_timeout == seconds(10));
  CHECK(config.limits.egress_question_timeout == milliseconds(11));
  CHECK(config.limits.egress_answer_min == seconds(120));
  CHECK(config.limits.zygote_min_init == milliseconds(200));
  CHECK(config.limits.zygote_idle == seconds(120));
  CHECK(config.limits.zygote_spares == 3);
  CHECK(config.log_level == LogLevel::debug);
  CHECK(config.limits.log_rate == mebibytes(2));
  CHECK(config.limits.log_burst == mebibytes(8));
  CHECK(config.limits.log_line_max == 32 * 1024);
  CHECK(config.limits.log_function_max == mebibytes(1));
}

TEST_CASE("each limit reaches its field") {
  const Limits l = config_of(R"(
limits:
  calls: 11
  queue: 12
  queue_ceiling: 13
  prefetch: 14
  prefetch_time: 15us
  timeout: 16s
  workers: 18
  workers_per_function: 17
  per_worker: 19
  memory_budget: 20GB
  function_memory: 21GB
  init_timeout: 22ms
  boot_timeout: 23ms
  ping_timeout: 24ms
  stop_grace: 25ms
  drain_timeout: 26ms
  invoke_body: 27KB
  reply: 28KB
  stream: 29MB
  code_upload: 29KB
  code_unpacked: 30KB
  code_files: 31
  buffers: 32MB
  functions: 33
  queue_time: 34ms
  code_total: 35MB
  code_unpack_time: 136ms
  freeze_after: 36ms
  pids: 37
  compile_cache_per_function: 38KB
  compile_cache_total: 39MB
)")
                       .limits;
  CHECK((l.calls_max == 11 && l.queue_default == 12 && l.queue_ceiling == 13 &&
         l.prefetch_max == 14));
  CHECK((l.prefetch_time == microseconds(15) && l.timeout_max == seconds(16)));
  CHECK((l.workers_function_default == 17 && l.workers_max == 18 && l.per_worker_max == 19));
  CHECK((l.memory_budget == gibibytes(20) && l.function_memory_max == gibibytes(21)));
  CHECK((l.init_timeout == milliseconds(22) && l.boot_timeout == milliseconds(23) &&
         l.ping_timeout == milliseconds(24)));
  CHECK((l.freeze_after == milliseconds(36) && l.pids_max == 37));
  CHECK((l.compile_cache_per_function == kibibytes(38) && l.compile_cache_total == mebibytes(39)));
  CHECK((l.stop_grace == milliseconds(25) && l.drain_timeout == milliseconds(26)));
  CHECK((l.invoke_body_max == kibibytes(27) && l.reply_max == kibibytes(28)));
  CHECK(l.stream_max == mebibytes(29));
  CHECK((l.code_upload_max == kibibytes(29) && l.code_unpacked_max == kibibytes(30) &&
         l.code_files_max == 31));
  CHECK((l.buffers_max == mebibytes(32) && l.functions_max == 33 &&
         l.queue_time == milliseconds(34) && l.code_total_max == mebibytes(35)));
  CHECK(l.code_unpack_time == milliseconds(136));
}

TEST_CASE("every key that limits h names is known") {
  const auto text = read_file(HEARTH_LIMITS_HEADER, 1u << 20, Code::io_failed);
  REQUIRE(text);
  int keys = 0;
  for (const std::string_view section :
       {"limits.", "http.", "log.", "pool.", "zygotes.", "network."}) {
    const std::string mark = "// " + std::string(section);
    for (size_t at = text->find(mark); at != std::string::npos; at = text->find(mark, at + 1)) {
      const size_t start = at + mark.size();
      const std::string key = text->substr(start, text->find_first_of(": ;\n", start) - start);
      // A value that no key takes: the message names the key as known, or as unknown.
      const std::string problem =
          problem_of(fmt::format("{}: {{{}: [{{}}]}}", section.substr(0, section.size() - 1), key));
      INFO(key);
      CHECK_THAT(problem, !Contains("unknown key"));
      ++keys;
    }
  }
  CHECK(keys > 30);
}

TEST_CASE("what the pools may grow to and the host's network are keys of hearth yaml") {
  const auto config = parse_config(
      "pool: {max_per_key: 5, memory_share: 30, zygote_forks: 0}\nnetwork: {allow_host: true}\n",
      "hearth.yaml");
  REQUIRE(config);
  CHECK(config->limits.pool_key_max == 5);
  CHECK(config->limits.pool_memory_share == 30);
  CHECK(config->limits.pool_zygote_forks == 0);
  CHECK(Limits{}.pool_zygote_forks == 256);
  CHECK(config->network.allow_host);
  CHECK_FALSE(Config{}.network.allow_host);
  CHECK(Config{}.keep_alive.policy == KeepAlivePolicy::fixed);
  CHECK(parse_config("keep_alive: {policy: histogram}", "hearth.yaml")->keep_alive.policy ==
        KeepAlivePolicy::histogram);
  CHECK_THAT(problem_of("keep_alive: {policy: lru}"), Contains("fixed or histogram"));
  CHECK_THAT(problem_of("pool: {memory_share: 101}"), Contains("pool.memory_share"));
  CHECK_THAT(problem_of("limits: {compile_cache_total: 1MB}"),
             Contains("compile_cache_per_function"));
  CHECK_THAT(problem_of("limits: {freeze_after: 1ms}"), Contains("at least 10ms"));
  CHECK(parse_config("limits: {freeze_after: 0}", "hearth.yaml")->limits.freeze_after ==
        milliseconds(0));
}

TEST_CASE("an unknown key is named with its line and the nearest known one") {
  CHECK_THAT(problem_of("listen: 127.0.0.1:1\nsandbx: {}\n"),
             Contains("hearth.yaml:2") && Contains("'sandbx'") && Contains("'sandbox'"));
  CHECK_THAT(problem_of("limits:\n  qeue: 1\n"), Contains("hearth.yaml:2") && Contains("'qeue'") &&
                                                     Contains("in limits") && Contains("'queue'"));
  CHECK_THAT(problem_of("sandbox:\n  modes: strict"), Contains("'modes'") && Contains("'mode'"));
  CHECK_THAT(problem_of("runtimes: {python: {path: /a}}"),
             Contains("'python'") && Contains("'python3'"));
}

TEST_CASE("a wrong value is named with its key and what is allowed") {
  CHECK_THAT(problem_of("limits: {calls: many}"),
             Contains("limits.calls") && Contains("'many'") && Contains("from 1 to 1000000"));
  CHECK_THAT(problem_of("limits: {calls: 0}"), Contains("limits.calls") && Contains("'0'"));
  CHECK_THAT(problem_of("limits: {workers: 4097}"), Contains("limits.workers") && Contains("4096"));
  CHECK_THAT(problem_of("limits: {calls: 012}"),
             Contains("limits.calls") && Contains("'012'") && Contains("octal"));
  CHECK_THAT(problem_of("limits: {ping_timeout: 100}"),
             Contains("limits.ping_timeout") && Contains("'100'") && Contains("500ms"));
  CHECK_THAT(problem_of("limits: {ping_timeout: 100MB}"),
             Contains("limits.ping_timeout") && Contains("ms, s, m or h"));
  CHECK_THAT(problem_of("limits: {prefetch_time: 0.5us}"),
             Contains("limits.prefetch_time") && Contains("multiple"));
  CHECK_THAT(problem_of("limits: {reply: 6s}"),
             Contains("limits.reply") && Contains("KB, MB or GB"));
  CHECK_THAT(problem_of("limits: {reply: [6MB]}"), Contains("limits.reply") && Contains("a list"));
  CHECK_THAT(problem_of("limits: {reply: }"), Contains("limits.reply") && Contains("nothing"));
  CHECK_THAT(problem_of("limits: 7"), Contains("limits") && Contains("'7'") && Contains("a map"));
  CHECK_THAT(problem_of("just words"), Contains("hearth.yaml:1") && Contains("a map"));
  CHECK_THAT(problem_of("sandbox: {mode: strickt}"),
             Contains("sandbox.mode") && Contains("'strickt'") && Contains("'strict'"));
  CHECK_THAT(problem_of("sandbox: {allow_degraded: 1}"),
             Contains("sandbox.allow_degraded") && Contains("true or false"));
  CHECK_THAT(problem_of("sandbox: {allow_degraded: \"true\"}"), Contains("true or false"));
  CHECK_THAT(problem_of("log: {level: loud}"), Contains("log.level") && Contains("'loud'"));
  CHECK_THAT(problem_of("http: {allowed_hosts: a}"),
             Contains("http.allowed_hosts") && Contains("a list"));
  CHECK_THAT(problem_of("http: {allowed_hosts: ['http://a']}"),
             Contains("http.allowed_hosts") && Contains("http://a"));
  CHECK_THAT(problem_of("runtimes: {python3: {path: python3}}"),
             Contains("runtimes.python3.path") && Contains("absolute"));
  CHECK_THAT(problem_of("state_dir: state"), Contains("state_dir") && Contains("absolute"));
}

TEST_CASE("values that contradict each other are named together") {
  CHECK_THAT(problem_of("limits: {queue: 20000}"),
             Contains("limits.queue") && Contains("limits.queue_ceiling"));
  CHECK_THAT(problem_of("limits: {workers: 10}"),
             Contains("limits.workers_per_function") && Contains("limits.workers "));
  CHECK_THAT(problem_of("pool: {python3: 500, nodejs: 500}"),
             Contains("pool.python3") && Contains("limits.workers"));
  CHECK_THAT(problem_of("limits: {buffers: 16MB, invoke_body: 64MB}"), Contains("limits.buffers"));
  CHECK_THAT(problem_of("log: {burst: 1KB}"), Contains("log.burst") && Contains("log.line"));
}

TEST_CASE("only loopback may be listened on, and functions may be public") {
  CHECK_THAT(problem_of("listen: 0.0.0.0:4327", Code::listen_not_allowed),
             Contains("0.0.0.0:4327") && Contains("functions_listen"));
  problem_of("listen: 192.168.1.2:1", Code::listen_not_allowed);
  problem_of("listen: \"[::]:1\"", Code::listen_not_allowed);
  problem_of("listen: \"[::ffff:10.0.0.1]:1\"", Code::listen_not_allowed);
  CHECK(config_of("listen: 127.9.9.9:1").listen == "127.9.9.9:1");
  for (const char* address : {"4327", "localhost:1", "127.0.0.1", "127.0.0.1:70000", "::1:80",
                              "[127.0.0.1]:1", ":1", "127.1:80"}) {
    INFO(address);
    CHECK_THAT(problem_of(fmt::format("listen: \"{}\"", address)),
               Contains("listen") && Contains(address));
  }
  CHECK_THAT(problem_of("listen: 127.0.0.1:9\nhttp: {functions_listen: 127.0.0.1:9}"),
             Contains("same address"));
}

TEST_CASE("the traps of yaml are errors that name their line") {
  CHECK_THAT(problem_of("listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n"),
             Contains("hearth.yaml:2") && Contains("'listen'") && Contains("twice"));
  CHECK_THAT(problem_of("a: 1\n---\nb: 2\n"), Contains("second document"));
  CHECK_THAT(problem_of("a: [1, 2\n"), Contains("not YAML"));
  CHECK_THAT(problem_of("listen: !!binary aGVhcnRo\n"), Contains("tag"));
  CHECK_THAT(problem_of("? [a]\n: b\n"), Contains("key"));
  CHECK_THAT(problem_of(std::string("listen: a\x04 b", 12)), Contains("control character"));
  CHECK_THAT(problem_of("listen: \xff\xfe"), Contains("UTF-8"));
  CHECK_THAT(problem_of("a: &x [*x]\n"), Contains("hearth.yaml:1"));
  CHECK_THAT(problem_of("<<: {listen: a}\n"), Contains("'<<'"));
}

TEST_CASE("documents that would explode are refused") {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 10; ++i) {
    bomb += fmt::format("a{}: &a{} [", i, i);
    for (int k = 0; k < 9; ++k) bomb += fmt::format("*a{},", i - 1);
    bomb += "x]\n";
  }
  CHECK_THAT(problem_of(bomb), Contains("5000 values"));
  std::string fat = "a: &a \"" + std::string(500'000, 'x') + "\"\nb: [*a, *a, *a]\n";
  CHECK_THAT(problem_of(fat), Contains("aliases"));
  CHECK_THAT(problem_of(std::string(40, '[') + std::string(40, ']')), Contains("16 levels"));
  CHECK_THAT(problem_of(std::string(100'000, '[')), Contains("hearth.yaml:1"));
  CHECK_THAT(problem_of(std::string(kConfigBytesMax + 1, '#')), Contains("1MB"));
  std::string wide;
  for (int i = 0; i < 6'000; ++i) wide += fmt::format("k{}: 1\n", i);
  CHECK_THAT(problem_of(wide), Contains("5000 values"));
}

TEST_CASE("an alias within bounds is a copy") {
  const Config config = config_of("pool: {python3: &n 7, nodejs: *n}");
  CHECK(config.limits.pool_python == 7);
  CHECK(config.limits.pool_node == 7);
}

TEST_CASE("a file that is not there, or no file at all, is named") {
  const auto config = load_config("/nonexistent/hearth.yaml");
  REQUIRE_FALSE(config);
  CHECK(config.error().code == Code::io_failed);
  CHECK_THAT(config.error().detail, Contains("/nonexistent/hearth.yaml"));
  CHECK_THAT(load_config("/dev/zero").error().detail, Contains("not a regular file"));
}
