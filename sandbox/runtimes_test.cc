// Real interpreters under the real policies: what functions rely on works, within the smallest
// memory that Lambda sells. `sandbox_tests "[measure]"` prints times instead.
#include <poll.h>
#include <unistd.h>

#include <filesystem>

#include "sandbox/runtime_checks.h"
#include "sandbox/test_rig.h"
#include "tests/catch.h"

namespace hearth::sandbox {
TEST_CASE("cpython finds what functions rely on") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded);
  const std::string path = interpreter("python3");
  if (!mode_works_here(mode) || path.empty()) {
    WARN("skipped: no python3, or the mode is not available");
    return;
  }
  const auto results = run_checks(mode, "python3");
  for (const auto& [name, result] : results) {
    // Shared memory of other processes' names is not given out where there is no IPC namespace.
    if (mode == Mode::kDegraded && (name == "account" || name == "multiprocessing")) continue;
    CAPTURE(name, static_cast<int>(mode));
    CHECK(result == "0");
  }
  CHECK(results.contains("end"));
  CHECK(results.size() == 22);
}

TEST_CASE("node finds what functions rely on") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded);
  const std::string path = interpreter("node");
  if (!mode_works_here(mode) || path.empty()) {
    WARN("skipped: no node, or the mode is not available");
    return;
  }
  const auto results = run_checks(mode, "nodejs");
  for (const auto& [name, result] : results) {
    if (mode == Mode::kDegraded && name == "os")
      continue;  // the host's name, and a uid without an account
    CAPTURE(name, static_cast<int>(mode));
    CHECK(result == "0");
  }
  CHECK(results.contains("end"));
  CHECK(results.size() == 10);
}

TEST_CASE("the shims of this repository say hello") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded);
  const char* const shims[][4] = {
      {"python3", "python3", "python/bootstrap.py", "-I"},
      {"nodejs", "node", "node/bootstrap.cjs", "--max-old-space-size={memory_mb}"}};
  for (const auto& shim : shims) {
    const std::string path = interpreter(shim[1]);
    if (!mode_works_here(mode) || path.empty()) continue;
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
