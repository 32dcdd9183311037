// The whole: real interpreters, started by the real spawner with `network: egress`, against the
// world outside.
#include <signal.h>
#include <sys/socket.h>

#include <filesystem>
#include <map>

#include "sandbox/egress/test_rig.h"
#include "sandbox/test_rig.h"
#include "tests/catch.h"

namespace hearth::sandbox::egress {
namespace {

constexpr const char* kRuntimes[][4] = {
    {"python3", "/usr/bin/python3", "check.py", "-I"},
    {"nodejs", "/usr/bin/node", "check.cjs", "--max-old-space-size={memory_mb}"}};

void configure(const TestWorker& worker, const Config& config) {
  REQUIRE(send(worker.egress.get(), &config, sizeof config, MSG_NOSIGNAL) == sizeof config);
}

std::map<std::string, std::string> results_of(TestWorker& worker) {
  std::map<std::string, std::string> results;
  for (std::string line = worker.line(); !line.empty(); line = worker.line()) {
    const size_t equals = line.find('=');
    results[line.substr(0, equals)] = equals == std::string::npos ? "0" : line.substr(equals + 1);
    if (line == "END") break;
  }
  return results;
}

TEST_CASE("interpreters reach what their function may, and nothing else") {
  HEARTH_NEED_NETWORK();
  // The spawner's rig starts the user mode as nobody, which takes root.
  if (!is_real_root()) {
    WARN("skipped: needs root");
    return;
  }
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser);
  for (const auto& runtime : kRuntimes) {
    if (!std::filesystem::exists(runtime[1])) continue;
    sandbox::Rig rig(mode);
    std::filesystem::copy_file(std::string(HEARTH_TESTCASES) + "/" + runtime[2],
                               rig.folder.path() + "/shims/" + runtime[2]);
    const uint32_t index = rig.add_runtime(runtime[0], runtime[1],
                                           {runtime[3], std::string("/var/runtime/") + runtime[2]});
    rig.config.nproc = 256;
    rig.start();
    if (!rig.ready_error.empty()) {
      WARN("skipped: mode " << static_cast<int>(mode) << ": " << rig.ready_error);
      return;
    }
    REQUIRE(std::string(rig.ready.egress.reason) == "");
    REQUIRE(rig.ready.egress.on);
    TestWorker worker = rig.spawn(0, index, 128u << 20, Network::kEgress);
    CAPTURE(worker.detail, runtime[0], static_cast<int>(mode));
    REQUIRE(worker.error == 0);
    REQUIRE(worker.egress.valid());
    REQUIRE(worker.line() == "HELLO");
    configure(worker, make_config({"api.example.com"}));
    worker.send("go");
    const auto results = results_of(worker);
    for (const auto& [name, result] : results) {
      CAPTURE(name);
      CHECK(result == "0");
    }
    CHECK(results.contains("END"));
    CHECK(results.size() >= 10);
    rig.kill(worker);
    CHECK(rig.wait_exit().killed_by_request == 1);
    // Its agent has gone with it.
    char byte[sizeof(Report)];
    while (recv(worker.egress.get(), byte, sizeof byte, 0) > 0) continue;
  }
}

TEST_CASE("a worker without egress has no agent, and other modes say why not") {
  HEARTH_NEED_NETWORK();
  // The spawner's rig starts the user mode as nobody, which takes root.
  if (!is_real_root()) {
    WARN("skipped: needs root");
    return;
  }
  for (const Mode mode : {Mode::kStrict, Mode::kDegraded}) {
    sandbox::Rig rig(mode);
    rig.start();
    if (!rig.ready_error.empty()) continue;
    TestWorker plain = rig.spawn(0);
    CHECK(plain.error == 0);
    CHECK_FALSE(plain.egress.valid());
    if (mode != Mode::kDegraded) continue;
    CHECK_FALSE(rig.ready.egress.on);
    const TestWorker refused = rig.spawn(1, 0, 0, Network::kEgress);
    CHECK(refused.error == EOPNOTSUPP);
    CHECK(refused.detail.find("no network namespaces") != std::string::npos);
  }
}

}  // namespace
}  // namespace hearth::sandbox::egress
