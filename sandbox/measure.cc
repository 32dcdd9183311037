// Prints what starting and binding a sandbox costs on this machine, in each mode that it allows.
// Not a test: times depend on the load.
#include <stdio.h>

#include <algorithm>
#include <chrono>
#include <fstream>

#include "sandbox/probe.h"
#include "sandbox/test_rig.h"

namespace hearth::sandbox {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kRounds = 60;

long micros(Clock::duration time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
}

long rss_kib(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  std::string line;
  while (std::getline(file, line))
    if (line.starts_with("VmRSS:")) return atol(line.c_str() + 6);
  return -1;
}

long median(std::vector<long>& values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

bool measure(Mode mode) {
  Rig rig(mode, kRounds);
  std::ofstream(rig.folder.path() + "/shims/hello.py")
      << "import os\nos.write(3, b'HELLO\\n')\nos.read(3, 1)\n";
  const uint32_t python =
      rig.add_runtime("python3", "/usr/bin/python3", {"-I", "/var/runtime/hello.py"});
  const auto begin = Clock::now();
  rig.start();
  const long ready = micros(Clock::now() - begin);
  std::vector<long> spawned, native, hello, assigned;
  std::vector<TestWorker> workers;
  for (int i = 0; i < kRounds; ++i) {
    const bool is_native = i % 2 == 0;
    const auto start = Clock::now();
    workers.push_back(rig.spawn(static_cast<uint32_t>(i), is_native ? 0 : python));
    spawned.push_back(micros(Clock::now() - start));
    if (workers.back().line() != "HELLO") return false;
    (is_native ? native : hello).push_back(micros(Clock::now() - start));
  }
  for (TestWorker& worker : workers) {
    const auto start = Clock::now();
    if (rig.assign(worker, code_hash('a')).error != 0) return false;
    assigned.push_back(micros(Clock::now() - start));
  }
  const char* const names[] = {"off", "degraded", "user", "strict"};
  printf(
      "%s: ready %ld us, kSpawned %ld us, native HELLO %ld us, python HELLO %ld us, kAssigned %ld "
      "us, spawner RSS %ld KiB\n",
      names[static_cast<int>(mode)], ready, median(spawned), median(native), median(hello),
      median(assigned), rss_kib(rig.spawner_pid()));
  return true;
}

}  // namespace
}  // namespace hearth::sandbox

int main() {
  using namespace hearth::sandbox;
  const auto report = probe();
  if (!report) return 1;
  bool good = true;
  for (const Mode mode : {Mode::kStrict, Mode::kUser, Mode::kDegraded})
    if (report->mode_works(mode)) good = measure(mode) && good;
  return good ? 0 : 1;
}
