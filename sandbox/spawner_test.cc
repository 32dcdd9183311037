// The life of sandboxes as the engine sees it, over the real protocol with the real spawner, in
// every mode that this machine allows.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "sandbox/message.h"
#include "sandbox/probe.h"
#include "sandbox/test_rig.h"
#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

bool namespaced(Mode mode) { return mode == Mode::kStrict || mode == Mode::kUser; }

// The pid outside of the sandbox of a process that testcases/worker.c left behind: a child of init
// other than the worker.
std::vector<int> processes_of(const std::string& program) {
  std::vector<int> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    std::ifstream file(entry.path() / "cmdline");
    std::string text;
    std::getline(file, text, '\0');
    if (text == program) found.push_back(atoi(entry.path().filename().c_str()));
  }
  return found;
}

// The soft limit in /proc/PID/limits, whose columns are as wide as their names' one.
uint64_t limit_of(int pid, const std::string& name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/limits");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name)) return std::stoull(line.substr(26));
  return 0;
}

}  // namespace

TEST_CASE("a worker starts and speaks on descriptor 3 in every mode") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded, Mode::kOff);
  CAPTURE(mode_name(mode));
  if (!allowed(mode)) return;
  Rig rig(mode);
  rig.start();
  REQUIRE(rig.ready_error == "");
  TestWorker worker = rig.spawn(0);
  CAPTURE(worker.detail);
  REQUIRE(worker.error == 0);
  CHECK(worker.pid > 0);
  CHECK(worker.line() == "HELLO");
  CHECK(worker.attempt("descriptors") == "0");
  if (mode != Mode::kOff)
    CHECK(worker.attempt("status") == (mode == Mode::kDegraded && !running_as_root() ? "E1" : "0"));
  worker.send("exit 7");
  const ExitedMessage exited = rig.wait_exit();
  CHECK(exited.slot == 0);
  CHECK(exited.generation == worker.generation);
  CHECK(WIFEXITED(exited.wait_status));
  CHECK(WEXITSTATUS(exited.wait_status) == 7);
  CHECK(exited.killed_by_request == 0);
  CHECK(rig.ready.layers[static_cast<size_t>(Layer::kPidNs)].on == namespaced(mode));
  CHECK(rig.ready.layers[static_cast<size_t>(Layer::kSeccomp)].on == (mode != Mode::kOff));
}

TEST_CASE("code is bound to a running worker") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded, Mode::kOff);
  CAPTURE(mode_name(mode));
  if (!allowed(mode)) return;
  Rig rig(mode);
  rig.start();
  REQUIRE(rig.ready_error == "");
  TestWorker worker = rig.spawn(1);
  REQUIRE(worker.line() == "HELLO");
  const std::string task = namespaced(mode) ? "/var/task" : rig.code_path('a');
  if (namespaced(mode)) CHECK(worker.attempt("read /var/task/hello.txt") == "E2");
  Answer answer = rig.assign(worker, code_hash('a'), 64u << 20);
  CAPTURE(answer.detail);
  REQUIRE(answer.error == 0);
  CHECK(std::string(answer.detail) == task);
  CHECK(worker.attempt("read " + task + "/hello.txt") == "0");
  if (namespaced(mode)) CHECK(worker.attempt("write " + task + "/hello.txt") == "E30");
  CHECK(worker.attempt("memory 32") == "0");
  // With a memory cgroup it is what is used that counts.
  const bool group = rig.ready.layers[static_cast<size_t>(Layer::kCgroupMemory)].on != 0;
  CHECK(worker.attempt("memory 100") == (group ? "0" : "E12"));
  CHECK(worker.attempt("memory 4096") == "E12");
  answer = rig.assign(worker, code_hash('b'));
  CHECK(answer.error == EALREADY);
}

TEST_CASE("an assignment that can't be met leaves the worker as it was") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser);
  CAPTURE(mode_name(mode));
  if (!allowed(mode)) return;
  Rig rig(mode);
  rig.start();
  TestWorker worker = rig.spawn(0);
  REQUIRE(worker.line() == "HELLO");
  CHECK(rig.assign(worker, code_hash('c')).error == ENOENT);
  CHECK(rig.assign(worker, code_hash('A')).error == EINVAL);
  CHECK(rig.assign(worker, "../" + code_hash('a').substr(3)).error == EINVAL);
  CHECK(rig.assign(worker, code_hash('a'), rig.config.memory_max + 1).error == EINVAL);
  ++worker.generation;
  CHECK(rig.assign(worker, code_hash('a')).error == ESTALE);
  --worker.generation;
  CHECK(rig.assign(worker, code_hash('a')).error == 0);
}

TEST_CASE("a native function is executed from its code folder") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded);
  CAPTURE(mode_name(mode));
  if (!allowed(mode)) return;
  Rig rig(mode);
  std::filesystem::create_directory(rig.code_path('a') + "/bin");
  std::filesystem::copy_file(HEARTH_TEST_WORKER, rig.code_path('a') + "/bin/handler");
  const uint32_t runtime = rig.add_runtime("native", "", {});
  rig.start();
  REQUIRE(rig.ready_error == "");
  const auto spawn = [&](uint32_t slot, const char* entry, char code) {
    SpawnRequest request = rig.spawn_request(slot, runtime);
    if (code != 0) code_hash(code).copy(request.code, sizeof request.code);
    set_text(request.entry, entry);
    rig.send_raw(&request, sizeof request);
    UniqueFd fds[kSpawnFds];
    const Answer answer = rig.wait_answer(fds);
    TestWorker worker;
    worker.channel = std::move(fds[kFdChannel]);
    worker.error = answer.error;
    if (answer.error == 0) CHECK(worker.line() == "HELLO");
    return worker.error;
  };
  CHECK(spawn(0, "bin/handler", 'a') == 0);
  CHECK(spawn(1, "bin/handler", 0) == EINVAL);
  CHECK(spawn(1, "../a/bin/handler", 'a') == EINVAL);
  CHECK(spawn(1, "/bin/sh", 'a') == EINVAL);
  CHECK(spawn(1, "bin//handler", 'a') == EINVAL);
  CHECK(spawn(1, "", 'a') == EINVAL);
  CHECK(spawn(1, "bin/missing", 'a') == ENOENT);
  CHECK(spawn(1, "hello.txt", 'a') == EACCES);
  CHECK(spawn(1, "bin/handler", 'd') != 0);
  CHECK(spawn(1, "bin/handler", 'a') == 0);
}

TEST_CASE("the size of a file is bound by its function, not by the ceiling") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded);
  CAPTURE(mode_name(mode));
  if (!allowed(mode)) return;
  Rig rig(mode);
  rig.config.tmp_bytes = 48u << 20;
  rig.start();
  const bool group = rig.ready.layers[static_cast<size_t>(Layer::kCgroupMemory)].on != 0;
  const auto file_limit_of = [](const TestWorker& worker) {
    return limit_of(worker.pid, "Max file size");
  };
  TestWorker worker = rig.spawn(0);  // parked: of any function
  REQUIRE(worker.line() == "HELLO");
  const uint64_t parked = file_limit_of(worker);
  CHECK(parked >= rig.config.memory_max);
  REQUIRE(rig.assign(worker, code_hash('a'), 64u << 20).error == 0);
  CHECK(file_limit_of(worker) < parked);
  CHECK(file_limit_of(worker) == limit_of(worker.pid, "Max data size"));
  if (!group) CHECK(file_limit_of(worker) == (64u + 16) << 20);  // with the runtime's headroom
  TestWorker small = rig.spawn(1, 0, 16u << 20);
  REQUIRE(small.line() == "HELLO");
  // All of /tmp may be one file, also of a function with less memory.
  CHECK(file_limit_of(small) ==
        std::max(limit_of(small.pid, "Max data size"), rig.config.tmp_bytes));
  if (!group) CHECK(file_limit_of(small) == rig.config.tmp_bytes);
}

TEST_CASE("a kill takes the whole sandbox, daemons included, before the exit is told") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded, Mode::kOff);
  CAPTURE(mode_name(mode));
  if (!allowed(mode)) return;
  Rig rig(mode);
  rig.start();
  TestWorker worker = rig.spawn(0);
  REQUIRE(worker.line() == "HELLO");
  TestWorker bystander = rig.spawn(1);
  REQUIRE(bystander.line() == "HELLO");
  CHECK(worker.attempt("daemon") == "0");
  CHECK(worker.attempt("fork_bomb 30") == "0");
  const std::string program = rig.folder.path() + "/prefix/bin/worker";
  CHECK(processes_of(program).size() >= 30);
  rig.kill(worker);
  const ExitedMessage exited = rig.wait_exit();
  CHECK(exited.generation == worker.generation);
  CHECK(exited.killed_by_request == 1);
  CHECK(WIFSIGNALED(exited.wait_status));
  CHECK(WTERMSIG(exited.wait_status) == SIGKILL);
  CHECK(processes_of(program) == std::vector<int>{bystander.pid});
  CHECK(bystander.attempt("descriptors") == "0");
  TestWorker next = rig.spawn(0);
  CHECK(next.line() == "HELLO");
}

TEST_CASE("what a worker left behind dies with it") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded);
  CAPTURE(mode_name(mode));
  if (!allowed(mode)) return;
  Rig rig(mode);
  rig.start();
  TestWorker worker = rig.spawn(0);
  REQUIRE(worker.line() == "HELLO");
  CHECK(worker.attempt("daemon") == "0");
  worker.send("signal 11");
  const ExitedMessage exited = rig.wait_exit();
  CHECK(WIFSIGNALED(exited.wait_status));
  CHECK(WTERMSIG(exited.wait_status) == SIGSEGV);
  CHECK(processes_of(rig.folder.path() + "/prefix/bin/worker").empty());
}

TEST_CASE("when the spawner is killed its workers die") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded);
  CAPTURE(mode_name(mode));
  if (!allowed(mode)) return;
  Rig rig(mode);
  rig.start();
  TestWorker first = rig.spawn(0), second = rig.spawn(1);
  REQUIRE(first.line() == "HELLO");
  REQUIRE(second.line() == "HELLO");
  CHECK(first.attempt("daemon") == "0");
  const std::vector<int> all = processes_of(rig.folder.path() + "/prefix/bin/worker");
  CHECK(all.size() == 3);
  ::kill(rig.spawner_pid(), SIGKILL);
  CHECK(rig.spawner_ends(10'000));
  for (const int pid : all) CHECK(process_ends(pid));
}

TEST_CASE("when the lifeline ends everything ends") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded, Mode::kOff);
  CAPTURE(mode_name(mode));
  if (!allowed(mode)) return;
  Rig rig(mode);
  rig.start();
  TestWorker worker = rig.spawn(0);
  REQUIRE(worker.line() == "HELLO");
  CHECK(worker.attempt("daemon") == "0");
  const std::vector<int> all = processes_of(rig.folder.path() + "/prefix/bin/worker");
  rig.close_lifeline();
  CHECK(rig.spawner_ends(10'000));
  CHECK(processes_of(rig.folder.path() + "/prefix/bin/worker").empty());
}

TEST_CASE("messages that make no sense are dropped and the spawner serves on") {
  Rig rig(Mode::kOff);
  rig.start();
  REQUIRE(rig.ready_error == "");
  rig.send_raw("x", 1);
  const std::vector<char> zeros(4096);
  rig.send_raw(zeros.data(), zeros.size());
  rig.send_raw(&rig.config, sizeof rig.config);
  SpawnRequest request = rig.spawn_request(0, 0);
  rig.send_raw(&request, sizeof request - 1);
  request.header.type = MessageType::kExited;
  rig.send_raw(&request, sizeof request);
  TestWorker worker = rig.spawn(7);
  CHECK(worker.line() == "HELLO");
  CHECK(rig.spawn(8).error == EINVAL);
  CHECK(rig.spawn(7).error == EBUSY);
  CHECK(rig.spawn(1, 1).error == EINVAL);
  CHECK(worker.attempt("descriptors") == "0");
}

TEST_CASE("an interpreter that is not there is an answer and not an exit") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded);
  if (!allowed(mode)) return;
  Rig rig(mode);
  const uint32_t runtime = rig.add_runtime("python3", "/usr/bin/no-such-python", {});
  rig.start();
  REQUIRE(rig.ready_error == "");
  TestWorker worker = rig.spawn(0, runtime);
  CHECK(worker.error == ENOENT);
  CHECK(worker.detail.find("exec the worker") != std::string::npos);
  CHECK(rig.spawn(0, 0).line() == "HELLO");
}

TEST_CASE("no exit is lost while the engine does not read") {
  Rig rig(Mode::kDegraded, 64);
  rig.start();
  REQUIRE(rig.ready_error == "");
  std::vector<TestWorker> workers;
  for (uint32_t slot = 0; slot < 16; ++slot) {
    workers.push_back(rig.spawn(slot));
    REQUIRE(workers.back().line() == "HELLO");
  }
  // More answers than the socket's buffer holds, and no more requests than then fit into the other
  // direction's.
  constexpr uint32_t kRequests = 250;
  for (uint32_t i = 0; i < kRequests; ++i) {
    SpawnRequest request = rig.spawn_request(i % 64, 9);
    request.generation = i;
    rig.send_raw(&request, sizeof request);
  }
  for (TestWorker& worker : workers) worker.send("exit 3");
  uint32_t answers = 0;
  for (; answers < kRequests; ++answers) {
    UniqueFd fds[kSpawnFds];
    const Answer answer = rig.wait_answer(fds);
    if (answer.error != EINVAL || answer.generation != answers) break;
  }
  CHECK(answers == kRequests);
  uint64_t seen = 0;
  for (size_t i = 0; i < workers.size(); ++i) {
    const ExitedMessage exited = rig.wait_exit();
    CHECK(WEXITSTATUS(exited.wait_status) == 3);
    seen |= 1ull << exited.slot;
  }
  CHECK(seen == 0xffff);
}

TEST_CASE("many lives leave nothing behind in the spawner") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded);
  CAPTURE(mode_name(mode));
  if (!allowed(mode)) return;
  Rig rig(mode, 4);
  rig.start();
  const auto descriptors = [&] {
    std::error_code error;
    size_t count = 0;
    for (std::filesystem::directory_iterator
             at("/proc/" + std::to_string(rig.spawner_pid()) + "/fd", error),
         end;
         !error && at != end; at.increment(error))
      ++count;
    return count;  // 0 where the spawner can't be looked into
  };
  const size_t before = descriptors();
  for (uint32_t round = 0; round < 40; ++round) {
    TestWorker worker = rig.spawn(round % 4);
    REQUIRE(worker.error == 0);
    if (round % 2 == 0) CHECK(worker.line() == "HELLO");
    if (round % 3 == 0) CHECK(rig.assign(worker, code_hash('a')).error == 0);
    if (round % 5 == 0) worker.channel.reset();
    rig.kill(worker);
    CHECK(rig.wait_exit().generation == worker.generation);
  }
  CHECK(descriptors() == before);
}

TEST_CASE("root gives workers a uid of their own and code from a folder that only root may enter") {
  if (!running_as_root()) return;
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser);
  CAPTURE(mode_name(mode));
  if (!allowed(mode)) return;
  Rig rig(mode);
  rig.as_nobody = false;
  chmod(rig.folder.path().c_str(), 0700);
  rig.start();
  REQUIRE(rig.ready_error == "");
  TestWorker worker = rig.spawn(0);
  REQUIRE(worker.line() == "HELLO");
  REQUIRE(rig.assign(worker, code_hash('a')).error == 0);
  CHECK(worker.attempt("read /var/task/hello.txt") == "0");
  CHECK(worker.attempt("status") == "0");
  std::ifstream file("/proc/" + std::to_string(worker.pid) + "/status");
  std::string line;
  while (std::getline(file, line) && !line.starts_with("Uid:")) continue;
  const std::string uid = std::to_string(rig.config.uid_base);
  CHECK(line == "Uid:\t" + uid + "\t" + uid + "\t" + uid + "\t" + uid);
}

TEST_CASE("a kill that overtakes the start is answered once") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded);
  CAPTURE(mode_name(mode));
  if (!allowed(mode)) return;
  Rig rig(mode, 2);
  rig.start();
  for (uint32_t generation = 100; generation < 120; ++generation) {
    SpawnRequest request = rig.spawn_request(0, 0);
    request.generation = generation;
    const KillRequest kill{{kSpawnerMagic, MessageType::kKill}, 0, generation};
    rig.send_raw(&request, sizeof request);
    rig.send_raw(&kill, sizeof kill);
    UniqueFd fds[kSpawnFds];
    const Answer answer = rig.wait_answer(fds);
    CHECK(answer.generation == generation);
    if (answer.error == 0)
      CHECK(rig.wait_exit().generation == generation);
    else
      CHECK(answer.error == ECANCELED);
  }
  CHECK(rig.spawn(0).line() == "HELLO");
}

TEST_CASE("a configuration that can't be met is refused with the reason") {
  Rig bad_code(Mode::kStrict);
  if (!allowed(Mode::kStrict)) return;
  set_text(bad_code.config.code_dir, bad_code.folder.path() + "/missing");
  bad_code.start();
  CHECK(bad_code.ready_error.find("/missing") != std::string::npos);
  Rig bad_runtime(Mode::kStrict);
  bad_runtime.add_runtime("cobol", "/usr/bin/cobol", {});
  bad_runtime.start();
  CHECK(bad_runtime.ready_error.find("cobol") != std::string::npos);
  Rig too_many(Mode::kStrict);
  too_many.config.slots_max = kSlotsMax + 1;
  too_many.start();
  CHECK(too_many.ready_error.find("slots_max") != std::string::npos);
}

}  // namespace hearth::sandbox
