// Real interpreters under the real policies: what functions rely on works, within the smallest
// memory that Lambda sells. `sandbox_tests "[measure]"` prints times instead.
#include <poll.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "sandbox/probe.h"
#include "sandbox/test_rig.h"
#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

bool allowed(Mode mode) {
  static const Result<ProbeReport> report = probe();
  return report && report->mode_works(mode);
}

std::string interpreter(const char* name) {
  for (const char* folder : {"/usr/bin/", "/usr/local/bin/"})
    if (std::filesystem::exists(std::string(folder) + name)) return std::string(folder) + name;
  return {};
}

// Runs a script of testcases/ and collects its lines; "END" = it came to its end.
std::map<std::string, std::string> run_checks(Mode mode, const char* runtime,
                                              const std::string& path, const char* script,
                                              const std::vector<std::string>& options) {
  Rig rig(mode);
  std::filesystem::copy_file(std::string(HEARTH_TESTCASES) + "/" + script,
                             rig.folder.path() + "/shims/" + script);
  std::vector<std::string> args = options;
  args.push_back(std::string("/var/runtime/") + script);
  const uint32_t index = rig.add_runtime(runtime, path, args);
  rig.config.nproc = 256;
  rig.start();
  std::map<std::string, std::string> results;
  TestWorker worker = rig.spawn(0, index, 128u << 20);
  if (worker.error != 0 || worker.line() != "HELLO") {
    results["start"] = worker.detail;
    return results;
  }
  for (std::string line = worker.line(); !line.empty(); line = worker.line()) {
    const size_t equals = line.find('=');
    results[line.substr(0, equals)] = equals == std::string::npos ? "0" : line.substr(equals + 1);
    if (line == "END") break;
  }
  return results;
}

}  // namespace

TEST_CASE("cpython finds what functions rely on") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded);
  const std::string path = interpreter("python3");
  if (!allowed(mode) || path.empty()) {
    WARN("skipped: no python3, or the mode is not available");
    return;
  }
  const auto results = run_checks(mode, "python3", path, "check.py", {"-I"});
  for (const auto& [name, result] : results) {
    // Shared memory of other processes' names is not given out where there is no IPC namespace.
    if (mode == Mode::kDegraded && (name == "account" || name == "multiprocessing")) continue;
    CAPTURE(name, static_cast<int>(mode));
    CHECK(result == "0");
  }
  CHECK(results.contains("END"));
  CHECK(results.size() == 11);
}

TEST_CASE("node finds what functions rely on") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded);
  const std::string path = interpreter("node");
  if (!allowed(mode) || path.empty()) {
    WARN("skipped: no node, or the mode is not available");
    return;
  }
  const auto results =
      run_checks(mode, "nodejs", path, "check.cjs", {"--max-old-space-size={memory_mb}"});
  for (const auto& [name, result] : results) {
    if (mode == Mode::kDegraded && name == "os")
      continue;  // the host's name, and a uid without an account
    CAPTURE(name, static_cast<int>(mode));
    CHECK(result == "0");
  }
  CHECK(results.contains("END"));
  CHECK(results.size() == 10);
}

TEST_CASE("the shims of this repository say hello") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded);
  const char* const shims[][4] = {
      {"python3", "python3", "python/bootstrap.py", "-I"},
      {"nodejs", "node", "node/bootstrap.cjs", "--max-old-space-size={memory_mb}"}};
  for (const auto& shim : shims) {
    const std::string path = interpreter(shim[1]);
    if (!allowed(mode) || path.empty()) continue;
    CAPTURE(shim[0], static_cast<int>(mode));
    Rig rig(mode);
    std::filesystem::copy(std::string(HEARTH_TESTCASES) + "/../../runtimes",
                          rig.folder.path() + "/shims", std::filesystem::copy_options::recursive);
    const uint32_t index =
        rig.add_runtime(shim[0], path, {shim[3], std::string("/var/runtime/") + shim[2]});
    rig.start();
    TestWorker worker = rig.spawn(0, index, 128u << 20);
    REQUIRE(worker.error == 0);
    // The head of a frame of runtimes/protocol.md: its fifth byte is the type, and HELLO is 0x81.
    pollfd wait{worker.channel.get(), POLLIN, 0};
    REQUIRE(poll(&wait, 1, 10'000) == 1);
    unsigned char head[5] = {};
    REQUIRE(read(worker.channel.get(), head, sizeof head) == sizeof head);
    CHECK(head[4] == 0x81);
  }
}

}  // namespace hearth::sandbox
