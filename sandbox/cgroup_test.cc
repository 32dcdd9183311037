// The sandboxes' cgroups, over the real protocol with the real spawner: limits that hold, what is
// reported about them, freezing, and that nothing is left behind.
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "sandbox/cgroup_find.h"
#include "sandbox/probe.h"
#include "sandbox/test_rig.h"
#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMiB = 1 << 20;

bool has(const Rig& rig, Layer layer) {
  const LayerState& state = rig.ready.layers[static_cast<size_t>(layer)];
  if (state.on == 0) WARN("skipped: " << state.reason);
  return state.on != 0;
}

bool strict_works() {
  static const Result<ProbeReport> report = probe();
  if (report && report->mode_works(Mode::kStrict)) return true;
  WARN("skipped: this machine doesn't allow mode strict");
  return false;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The folders of the groups that a process is in.
std::vector<CgroupPlace> groups_of(int pid) {
  const std::string proc = "/proc/" + std::to_string(pid);
  return find_cgroups(text_of(proc + "/cgroup"), text_of("/proc/self/mountinfo"));
}

// What is in one of the files of a process's groups, whichever hierarchy has it; one line.
std::string group_file(int pid, const char* v1, const char* v2) {
  for (const CgroupPlace& place : groups_of(pid)) {
    std::ifstream file(place.folder + "/" + (place.v2 ? v2 : v1));
    std::string line;
    if (std::getline(file, line)) return line;
  }
  return {};
}

bool is_frozen(int pid) {
  for (const CgroupPlace& place : groups_of(pid))
    if (text_of(place.folder + "/cgroup.events").find("frozen 1") != std::string::npos ||
        text_of(place.folder + "/freezer.state").starts_with("FROZEN"))
      return true;
  return false;
}

// Polls: a freeze takes as long as the kernel needs to stop the last process.
bool becomes_frozen(int pid) {
  for (int i = 0; i < 5000; ++i) {
    if (is_frozen(pid)) return true;
    poll(nullptr, 0, 1);
  }
  return false;
}

void send_slot(Rig& rig, const TestWorker& worker, MessageType type) {
  const SlotRequest request{{kSpawnerMagic, type}, worker.slot, worker.generation};
  rig.send_raw(&request, sizeof request);
}

TestWorker spawn_with(Rig& rig, uint32_t slot, const std::function<void(SpawnRequest&)>& change) {
  SpawnRequest request = rig.spawn_request(slot, 0);
  request.generation = 1000 + slot;
  change(request);
  rig.send_raw(&request, sizeof request);
  UniqueFd fds[kSpawnFds];
  const Answer answer = rig.wait_answer(fds);
  TestWorker worker;
  worker.slot = slot;
  worker.generation = request.generation;
  worker.pid = answer.pid;
  worker.error = answer.error;
  worker.detail = answer.detail;
  worker.channel = std::move(fds[kFdChannel]);
  return worker;
}

size_t own_groups(int spawner) {
  const std::string name = "hearth-" + std::to_string(spawner);
  size_t count = 0;
  for (const CgroupPlace& place : find_own_cgroups())
    count += fs::exists(place.folder + "/" + name);
  return count;
}

}  // namespace

TEST_CASE("memory that runs out is reported as that", "[cgroup]") {
  if (!strict_works()) return;
  Rig rig(Mode::kStrict);
  rig.start();
  REQUIRE(rig.ready_error == "");
  if (!has(rig, Layer::kCgroupMemory)) return;
  // 64 MiB and the headroom of a native function; the control stays below, the other goes above.
  TestWorker small = rig.spawn(0, 0, 64 * kMiB), large = rig.spawn(1, 0, 64 * kMiB);
  REQUIRE(small.line() == "HELLO");
  REQUIRE(large.line() == "HELLO");
  CHECK(small.attempt("eat_here 40") == "0");
  large.send("eat_here 200");
  ExitedMessage exited = rig.wait_exit();
  CHECK(exited.slot == 1);
  CHECK(exited.oom == 1);
  CHECK(exited.oom_child == 0);
  CHECK(WIFSIGNALED(exited.wait_status));
  CHECK(WTERMSIG(exited.wait_status) == SIGKILL);
  small.send("exit 0");
  exited = rig.wait_exit();
  CHECK(exited.slot == 0);
  CHECK(exited.oom == 0);
  CHECK(exited.oom_child == 0);
  // The slot's group is used again, and what was counted in it before is not told again.
  TestWorker again = rig.spawn(1, 0, 128 * kMiB);
  REQUIRE(again.line() == "HELLO");
  CHECK(again.attempt("eat_here 100") == "0");
  rig.kill(again);
  exited = rig.wait_exit();
  CHECK(exited.oom == 0);
  CHECK(exited.killed_by_request == 1);
}

TEST_CASE("a child that is killed for memory is told apart from the worker", "[cgroup]") {
  if (!strict_works()) return;
  Rig rig(Mode::kStrict);
  rig.start();
  if (!has(rig, Layer::kCgroupMemory)) return;
  TestWorker worker = rig.spawn(0, 0, 64 * kMiB);
  REQUIRE(worker.line() == "HELLO");
  const bool v1 = !group_file(worker.pid, "memory.limit_in_bytes", "no").empty();
  worker.send("eat 200");
  if (v1) {
    CHECK(worker.line() == "eat=S9");
    worker.send("exit 0");
  }
  const ExitedMessage exited = rig.wait_exit();
  CHECK(exited.oom_child == (v1 ? 1 : 0));
  CHECK(exited.oom == (v1 ? 0 : 1));  // version 2 ends the sandbox as a whole
}

TEST_CASE("files in tmp count as memory and fit beside it", "[cgroup]") {
  if (!strict_works()) return;
  Rig rig(Mode::kStrict);
  rig.start();
  if (!has(rig, Layer::kCgroupMemory)) return;
  TestWorker worker = spawn_with(rig, 0, [](SpawnRequest& request) {
    request.memory_bytes = 32 * kMiB;
    request.tmp_bytes = 64 * kMiB;
  });
  REQUIRE(worker.line() == "HELLO");
  CHECK(worker.attempt("fill /tmp/x") == "E28");
  CHECK(worker.attempt("fill /dev/shm/x") == "E28");
  CHECK(worker.attempt("eat_here 16") == "0");
  worker.send("eat_here 100");
  CHECK(rig.wait_exit().oom == 1);
}

TEST_CASE("a fork that the limit refuses is counted", "[cgroup]") {
  if (!strict_works()) return;
  Rig rig(Mode::kStrict);
  rig.start();
  if (!has(rig, Layer::kCgroupPids)) return;
  TestWorker bomb = rig.spawn(0), quiet = rig.spawn(1);
  REQUIRE(bomb.line() == "HELLO");
  REQUIRE(quiet.line() == "HELLO");
  CHECK(group_file(bomb.pid, "pids.max", "pids.max") == std::to_string(rig.config.nproc));
  CHECK(bomb.attempt("fork_bomb 500") == "E11");
  rig.kill(bomb);
  CHECK(rig.wait_exit().pids_hit == 1);
  CHECK(quiet.attempt("fork_bomb 10") == "0");
  rig.kill(quiet);
  CHECK(rig.wait_exit().pids_hit == 0);
}

TEST_CASE("a quota bounds the CPU time from the spawn and from the assignment", "[cgroup]") {
  if (!strict_works()) return;
  Rig rig(Mode::kStrict);
  rig.start();
  if (!has(rig, Layer::kCgroupCpu)) return;
  TestWorker free = rig.spawn(0),
             bound = spawn_with(rig, 1, [](SpawnRequest&request) { request.cpu_millis = 100; });
  REQUIRE(free.line() == "HELLO");
  REQUIRE(bound.line() == "HELLO");
  CHECK(group_file(free.pid, "cpu.cfs_quota_us", "cpu.max").find_first_of("-m") == 0);
  CHECK(group_file(bound.pid, "cpu.cfs_quota_us", "cpu.max").starts_with("10000"));
  const std::string share = bound.attempt("spin 1000");
  CHECK(std::stoi("0" + share.substr(1)) <= 25);
  // Alone a process gets what other programs leave; ten times less would be the quota's work.
  CHECK(std::stoi("0" + free.attempt("spin 300").substr(1)) > 25);
  AssignRequest assign{};
  assign.header = {kSpawnerMagic, MessageType::kAssign};
  assign.slot = 0;
  assign.generation = free.generation;
  assign.cpu_millis = 250;
  code_hash('a').copy(assign.code, sizeof assign.code);
  rig.send_raw(&assign, sizeof assign);
  UniqueFd fds[kSpawnFds];
  CHECK(rig.wait_answer(fds).error == 0);
  CHECK(group_file(free.pid, "cpu.cfs_quota_us", "cpu.max").starts_with("25000"));
}

TEST_CASE("a frozen sandbox stands still goes on when thawed and can be killed", "[cgroup]") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kDegraded);
  if (!strict_works()) return;
  Rig rig(mode);
  rig.start();
  REQUIRE(rig.ready_error == "");
  if (!has(rig, Layer::kFreezer)) return;
  TestWorker worker = rig.spawn(0);
  REQUIRE(worker.line() == "HELLO");
  CHECK(worker.attempt("daemon") == "0");
  send_slot(rig, worker, MessageType::kFreeze);
  REQUIRE(becomes_frozen(worker.pid));
  worker.send("descriptors");
  pollfd answer{worker.channel.get(), POLLIN, 0};
  CHECK(poll(&answer, 1, 20) == 0);
  send_slot(rig, worker, MessageType::kThaw);
  CHECK(worker.line() == "descriptors=0");
  send_slot(rig, worker, MessageType::kFreeze);
  REQUIRE(becomes_frozen(worker.pid));
  // An assignment needs the worker awake.
  REQUIRE(rig.assign(worker, code_hash('a')).error == 0);
  CHECK(worker.attempt("descriptors") == "0");
  send_slot(rig, worker, MessageType::kFreeze);
  REQUIRE(becomes_frozen(worker.pid));
  rig.kill(worker);
  CHECK(rig.wait_exit().killed_by_request == 1);
  TestWorker next = rig.spawn(0);
  REQUIRE(next.line() == "HELLO");
  CHECK(!is_frozen(next.pid));
  // Of another life: nothing happens.
  send_slot(rig, worker, MessageType::kFreeze);
  CHECK(next.attempt("descriptors") == "0");
}

TEST_CASE("the groups are taken away when the spawner ends frozen sandboxes or not", "[cgroup]") {
  if (!strict_works()) return;
  Rig rig(Mode::kStrict);
  rig.start();
  if (!has(rig, Layer::kFreezer)) return;
  TestWorker worker = rig.spawn(0), frozen = rig.spawn(3);
  REQUIRE(worker.line() == "HELLO");
  REQUIRE(frozen.line() == "HELLO");
  send_slot(rig, frozen, MessageType::kFreeze);
  REQUIRE(becomes_frozen(frozen.pid));
  const int spawner = rig.spawner_pid();
  CHECK(own_groups(spawner) > 0);
  rig.close_lifeline();
  CHECK(rig.spawner_ends(10'000));
  CHECK(own_groups(spawner) == 0);
}

TEST_CASE("what a killed spawner left behind goes at the next start and a living one's stays",
          "[cgroup]") {
  if (!strict_works()) return;
  Rig living(Mode::kStrict), killed(Mode::kStrict);
  living.start();
  killed.start();
  if (!has(living, Layer::kFreezer)) return;
  TestWorker worker = killed.spawn(0);
  REQUIRE(worker.line() == "HELLO");
  send_slot(killed, worker, MessageType::kFreeze);
  REQUIRE(becomes_frozen(worker.pid));
  const int dead = killed.spawner_pid();
  ::kill(dead, SIGKILL);
  CHECK(killed.spawner_ends(10'000));
  Rig next(Mode::kStrict);
  next.start();
  REQUIRE(next.ready_error == "");
  CHECK(own_groups(dead) == 0);
  CHECK(process_ends(worker.pid));
  CHECK(own_groups(living.spawner_pid()) > 0);
  CHECK(living.spawn(0).line() == "HELLO");
}

TEST_CASE("an unprivileged spawner uses a subtree that was delegated to it and no other",
          "[cgroup]") {
  if (!strict_works() || !running_as_root()) return;
  static const Result<ProbeReport> report = probe();
  if (!report->mode_works(Mode::kUser)) {
    WARN("skipped: this machine doesn't allow mode user");
    return;
  }
  const std::string name = "/hearth-delegated-" + std::to_string(getpid());
  std::vector<std::string> groups;
  for (const CgroupPlace& place : find_own_cgroups()) {
    std::error_code error;
    const std::string folder = place.folder + name;
    if (!fs::create_directory(folder, error)) continue;
    groups.push_back(folder);
    for (const char* file : {"", "/cgroup.procs", "/cgroup.subtree_control", "/tasks"})
      if (chown((folder + file).c_str(), 65534, 65534) != 0 && *file == '\0') FAIL("chown");
  }
  {
    Rig plain(Mode::kUser), rig(Mode::kUser);
    plain.start();
    REQUIRE(plain.ready_error == "");
    CHECK(plain.ready.layers[static_cast<size_t>(Layer::kCgroupMemory)].on == 0);
    rig.groups = groups;
    rig.start();
    REQUIRE(rig.ready_error == "");
    if (has(rig, Layer::kCgroupMemory)) {
      TestWorker worker = rig.spawn(0, 0, 64 * kMiB);
      REQUIRE(worker.line() == "HELLO");
      worker.send("eat_here 200");
      CHECK(rig.wait_exit().oom == 1);
    }
    if (has(rig, Layer::kFreezer)) {
      TestWorker worker = rig.spawn(0);
      REQUIRE(worker.line() == "HELLO");
      send_slot(rig, worker, MessageType::kFreeze);
      CHECK(becomes_frozen(worker.pid));
      rig.kill(worker);
      CHECK(rig.wait_exit().killed_by_request == 1);
    }
  }
  // Empty, so they can be removed.
  for (const std::string& group : groups) {
    rmdir((group + "/" + std::string(kCgroupHostName)).c_str());
    CHECK(rmdir(group.c_str()) == 0);
  }
}

TEST_CASE("a soak of starts and kills leaves nothing behind", "[cgroup]") {
  if (!strict_works()) return;
  const char* text = getenv("HEARTH_TEST_SCALE");
  const int rounds =
      text == nullptr || atof(text) <= 0 ? 500 : static_cast<int>(10'000 * atof(text));
  Rig rig(Mode::kStrict, 4);
  rig.start();
  REQUIRE(rig.ready_error == "");
  const std::string proc = "/proc/" + std::to_string(rig.spawner_pid());
  const auto entries = [](const std::string& folder) {
    std::error_code error;
    return std::distance(fs::directory_iterator(folder, error), fs::directory_iterator());
  };
  struct Counts {
    long descriptors, mounts, processes, groups, namespaces;
    bool operator==(const Counts&) const = default;
  };
  const auto lines = [](const std::string& content) {
    return std::count(content.begin(), content.end(), '\n');
  };
  const auto count = [&] {
    Counts counts{entries(proc + "/fd"), lines(text_of(proc + "/mountinfo")), 0, 0, 0};
    std::istringstream children(
        text_of(proc + "/task/" + std::to_string(rig.spawner_pid()) + "/children"));
    for (std::string pid; children >> pid;) ++counts.processes;
    for (const CgroupPlace& place : find_own_cgroups()) {
      const std::string root = place.folder + "/hearth-" + std::to_string(rig.spawner_pid());
      for (uint32_t slot = 0; slot < 5; ++slot) {
        const std::string folder = root + "/slot-" + std::to_string(slot);
        counts.groups += fs::exists(folder);
        counts.processes += lines(text_of(folder + "/cgroup.procs"));
      }
    }
    counts.namespaces = lines(text_of("/proc/mounts"));
    return counts;
  };
  const auto life = [&](int round) {
    TestWorker worker = rig.spawn(static_cast<uint32_t>(round) % 4);
    REQUIRE(worker.error == 0);
    REQUIRE(worker.line() == "HELLO");
    if (round % 3 == 0) REQUIRE(rig.assign(worker, code_hash('a')).error == 0);
    if (round % 5 == 0) send_slot(rig, worker, MessageType::kFreeze);
    if (round % 7 == 0) worker.send("exit 0");
    if (round % 7 != 0 || round % 5 == 0) rig.kill(worker);
    CHECK(rig.wait_exit().generation == worker.generation);
  };
  for (int round = 0; round < 4; ++round) life(round);  // every slot has had its group
  const Counts before = count();
  for (int round = 4; round < rounds; ++round) life(round);
  CHECK((count() == before));
}

TEST_CASE("a sandbox sees no path of its groups", "[cgroup]") {
  if (!strict_works()) return;
  Rig rig(Mode::kStrict);
  rig.start();
  if (!has(rig, Layer::kCgroupPids)) return;
  TestWorker worker = rig.spawn(0);
  REQUIRE(worker.line() == "HELLO");
  CHECK(text_of("/proc/" + std::to_string(worker.pid) + "/cgroup").find("/slot-0") !=
        std::string::npos);
  CHECK(worker.attempt("cgroup_path") == "0");
}

}  // namespace hearth::sandbox
