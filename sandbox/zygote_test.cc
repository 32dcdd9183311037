// Workers that are copies of the generic zygote, from the outside: what the kernel says of them is
// what it says of a worker that was executed, line by line.
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "sandbox/process_status.h"
#include "sandbox/runtime_checks.h"
#include "sandbox/test_rig.h"
#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

using std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(20);

std::string of_process(int pid, const std::string& what) {
  return "/proc/" + std::to_string(pid) + "/" + what;
}

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string link_of(int pid, const std::string& what) {
  char target[512];
  const ssize_t n = readlink(of_process(pid, what).c_str(), target, sizeof target);
  return n < 0 ? "" : std::string(target, static_cast<size_t>(n));
}

// The lines of /proc/PID/status that do not count, time or number something.
std::map<std::string, std::string> status_of(int pid) {
  static const std::set<std::string> kOwn = {"Tgid",
                                             "Pid",
                                             "PPid",
                                             "NStgid",
                                             "NSpid",
                                             "NSpgid",
                                             "NSsid",
                                             "FDSize",
                                             "SigQ",
                                             "State",
                                             "Seccomp_filters",
                                             "voluntary_ctxt_switches",
                                             "nonvoluntary_ctxt_switches"};
  std::map<std::string, std::string> lines;
  std::ifstream file(of_process(pid, "status"));
  for (std::string line; std::getline(file, line);) {
    const std::string name = line.substr(0, line.find(':'));
    if (kOwn.contains(name) || name.starts_with("Vm") || name.starts_with("Rss")) continue;
    lines[name] = line.substr(name.size());
  }
  return lines;
}

// Root in its file system, place, options and type of each mount, in order.
std::vector<std::string> mounts_of(int pid) {
  std::vector<std::string> lines;
  std::ifstream file(of_process(pid, "mountinfo"));
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string id, parent, device, root, place, options, rest;
    words >> id >> parent >> device >> root >> place >> options;
    std::getline(words, rest);
    for (std::string* path : {&root, &place})  // the rig's folder has another name in each
      if (const size_t at = path->find("hearth-sandbox-"); at != path->npos)
        path->replace(at, strlen("hearth-sandbox-XXXXXX"), "RIG");
    lines.push_back(root + " " + place + " " + options + rest.substr(rest.find(" - ")));
  }
  return lines;
}

std::map<int, std::string> descriptors_of(int pid) {
  std::map<int, std::string> fds;
  for (const auto& entry : std::filesystem::directory_iterator(of_process(pid, "fd"))) {
    const std::string name = entry.path().filename();
    const std::string target = link_of(pid, "fd/" + name);
    std::string flags;
    std::istringstream info(slurp(of_process(pid, "fdinfo/" + name)));
    for (std::string line; std::getline(info, line);)
      if (line.starts_with("flags:")) flags = line;
    fds[std::stoi(name)] = target.substr(0, target.find('[')) + " " + flags;
  }
  return fds;
}

std::vector<int> children_of(int pid) {
  std::vector<int> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    ProcessStatus status;
    const int child = atoi(entry.path().filename().c_str());
    if (child > 0 && !read_process_status(child, status) && status.parent == pid)
      found.push_back(child);
  }
  return found;
}

struct PythonRig : Rig {
  explicit PythonRig(Mode mode, uint32_t forks, uint32_t slots = 8) : Rig(mode, slots) {
    std::filesystem::copy(std::string(HEARTH_TESTCASES) + "/../../runtimes",
                          folder.path() + "/shims", std::filesystem::copy_options::recursive);
    config.zygote_forks = forks;
    python =
        add_runtime("python3", interpreter("python3"), {"-I", "/var/runtime/python/bootstrap.py"});
    config.runtimes[python].zygote = 1;
    start();
    REQUIRE(ready_error == "");
  }

  // Parked: it has said HELLO.
  TestWorker parked(uint32_t slot, Network network = Network::kNone) {
    TestWorker worker = spawn(slot, python, 128 << 20, network);
    CAPTURE(worker.detail);
    REQUIRE(worker.error == 0);
    pollfd readable{worker.channel.get(), POLLIN, 0};
    REQUIRE(poll(&readable, 1, 20'000) == 1);
    char hello[256];
    const ssize_t n = read(worker.channel.get(), hello, sizeof hello);
    REQUIRE(n > 16);
    CHECK(hello[4] == static_cast<char>(0x81));
    return worker;
  }

  void end(const TestWorker& worker) {
    kill(worker);
    CHECK(wait_exit().generation == worker.generation);
  }

  // The interpreter among the spawner's own children; 0 = there is none.
  int zygote() const {
    for (const int child : children_of(spawner_pid()))
      if (link_of(child, "exe").find("python") != std::string::npos) return child;
    return 0;
  }

  uint32_t python = 0;
};

bool usable(Mode mode) {
  if (mode_works_here(mode) && !interpreter("python3").empty() &&
      interpreter("python3").starts_with("/usr/"))
    return true;
  WARN("skipped: no python3 in /usr, or the mode is not available");
  return false;
}

Mode mode_with_namespaces() { return GENERATE(Mode::kStrict, Mode::kUser); }

std::string private_kib(int pid) {
  uint64_t sum = 0;
  std::istringstream rollup(slurp(of_process(pid, "smaps_rollup")));
  for (std::string line; std::getline(rollup, line);)
    if (line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:"))
      sum += std::stoul(line.substr(14));
  return std::to_string(sum);
}

}  // namespace

TEST_CASE("a copy of the zygote is confined as a worker that was executed") {
  const Mode mode = mode_with_namespaces();
  if (!usable(mode)) return;
  CAPTURE(static_cast<int>(mode));
  PythonRig copies(mode, 256), executed(mode, 0);
  CHECK(copies.ready.zygote.on == 1);
  CHECK(executed.ready.zygote.on == 0);
  CHECK(std::string(executed.ready.zygote.reason).find("zygote_forks") != std::string::npos);
  const TestWorker copy = copies.parked(3), plain = executed.parked(3);
  CHECK(copy.warm);
  CHECK_FALSE(plain.warm);
  CHECK(status_of(copy.pid) == status_of(plain.pid));
  CHECK(mounts_of(copy.pid) == mounts_of(plain.pid));
  CHECK(descriptors_of(copy.pid) == descriptors_of(plain.pid));
  for (const char* what : {"limits", "environ", "cmdline", "comm", "oom_score_adj", "uid_map",
                           "gid_map", "setgroups", "personality", "timerslack_ns"}) {
    CAPTURE(what);
    CHECK(slurp(of_process(copy.pid, what)) == slurp(of_process(plain.pid, what)));
  }
  for (const char* what : {"cwd", "root", "exe"})
    CHECK(link_of(copy.pid, what) == link_of(plain.pid, what));
  struct stat here, there;
  // Whose /proc files they are: both are as dumpable as an executed program.
  REQUIRE(stat(of_process(copy.pid, "environ").c_str(), &here) == 0);
  REQUIRE(stat(of_process(plain.pid, "environ").c_str(), &there) == 0);
  CHECK(here.st_uid == there.st_uid);
  ProcessStatus of_copy, of_plain;
  REQUIRE_FALSE(read_process_status(copy.pid, of_copy));
  REQUIRE_FALSE(read_process_status(plain.pid, of_plain));
  CHECK(status_of(of_copy.parent) == status_of(of_plain.parent));
  CHECK(descriptors_of(of_copy.parent) == descriptors_of(of_plain.parent));
}

TEST_CASE("copies of one zygote share no namespace") {
  const Mode mode = mode_with_namespaces();
  if (!usable(mode)) return;
  CAPTURE(static_cast<int>(mode));
  PythonRig rig(mode, 256);
  const TestWorker first = rig.parked(0), second = rig.parked(1);
  REQUIRE((first.warm && second.warm));
  const int zygote = rig.zygote();
  REQUIRE(zygote > 0);
  for (const char* space : {"pid", "mnt", "net", "ipc", "uts", "cgroup", "user"}) {
    CAPTURE(space);
    const std::string name = std::string("ns/") + space;
    const std::string own = link_of(first.pid, name);
    CHECK(!own.empty());
    if (strcmp(space, "user") == 0 && mode == Mode::kStrict) {
      CHECK(own == link_of(zygote, name));  // none is needed: each has a uid of its own
      continue;
    }
    CHECK(own != link_of(second.pid, name));
    CHECK(own != link_of(zygote, name));
    CHECK(own != link_of(rig.spawner_pid(), name));
  }
  // The zygote's own: nothing of the network, and none of the spawner's descriptors.
  CHECK(link_of(zygote, "ns/net") != link_of(rig.spawner_pid(), "ns/net"));
  CHECK(link_of(zygote, "ns/mnt") != link_of(rig.spawner_pid(), "ns/mnt"));
  CHECK(link_of(zygote, "ns/pid") == link_of(rig.spawner_pid(), "ns/pid"));
  std::set<int> numbers;
  for (const auto& [number, target] : descriptors_of(zygote)) numbers.insert(number);
  CHECK(numbers == std::set<int>{0, 1, 2, 3, 4, 5, 6});
  auto status = status_of(zygote);
  CHECK(status["NoNewPrivs"] == ":\t1");
  CHECK(status["Seccomp"] == ":\t2");
  // SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, NET_ADMIN, SYS_CHROOT, SYS_ADMIN; user: SETFCAP.
  const std::string rights = mode == Mode::kUser ? ":\t00000000802415c0" : ":\t00000000002415c0";
  CHECK(status["CapBnd"] == rights);
  CHECK(status["CapEff"] == rights);
  CHECK(status["CapAmb"] == ":\t0000000000000000");
}

TEST_CASE("a parked copy holds four megabytes at most") {
  const Mode mode = mode_with_namespaces();
  if (!usable(mode)) return;
  PythonRig rig(mode, 256);
  // Two: what one shares with the zygote alone must not count as shared by luck.
  const TestWorker first = rig.parked(0), second = rig.parked(1);
  REQUIRE((first.warm && second.warm));
  CAPTURE(static_cast<int>(mode));
  CHECK(std::stoul(private_kib(first.pid)) <= 4096);
  CHECK(std::stoul(private_kib(second.pid)) <= 4096);
}

TEST_CASE("a copy takes its code late, and code from the start") {
  const Mode mode = mode_with_namespaces();
  if (!usable(mode)) return;
  CAPTURE(static_cast<int>(mode));
  PythonRig rig(mode, 256);
  const TestWorker worker = rig.parked(0);
  const Answer assigned = rig.assign(worker, code_hash('a'), 64 << 20);
  CHECK(assigned.error == 0);
  const std::string root = of_process(worker.pid, "root");
  CHECK(slurp(root + "/var/task/hello.txt") == "hello");
  rig.end(worker);
  SpawnRequest request = rig.spawn_request(1, rig.python);
  code_hash('b').copy(request.code, sizeof request.code);
  rig.send_raw(&request, sizeof request);
  UniqueFd fds[kSpawnFds];
  const Answer answer = rig.wait_answer(fds);
  REQUIRE(answer.error == 0);
  CHECK(answer.warm == 1);
  CHECK(std::string(answer.detail) == "/var/task");
  CHECK(slurp(of_process(answer.pid, "root/var/task/other.txt")) == "other");
}

TEST_CASE("a copy with egress has its agent") {
  const Mode mode = mode_with_namespaces();
  if (!usable(mode)) return;
  CAPTURE(static_cast<int>(mode));
  PythonRig rig(mode, 256);
  if (rig.ready.egress.on == 0) return;
  const TestWorker worker = rig.parked(0, Network::kEgress);
  CHECK(worker.warm);
  CHECK(worker.egress.valid());
  rig.end(worker);
}

TEST_CASE("without its zygote a worker is executed, and another zygote comes") {
  const Mode mode = mode_with_namespaces();
  if (!usable(mode)) return;
  CAPTURE(static_cast<int>(mode));
  PythonRig rig(mode, 256);
  rig.end(rig.parked(0));
  const int zygote = rig.zygote();
  REQUIRE(zygote > 0);
  REQUIRE(::kill(zygote, SIGKILL) == 0);
  // Whether the spawner has seen it or not.
  rig.end(rig.parked(0));
  const auto end = steady_clock::now() + kPatience;
  bool warm = false;
  while (!warm && steady_clock::now() < end) {
    const TestWorker worker = rig.parked(0);
    warm = worker.warm;
    rig.end(worker);
  }
  CHECK(warm);
  CHECK(rig.zygote() != zygote);
}

TEST_CASE("starts that a zygote has taken and not made are made by an exec") {
  if (!usable(Mode::kStrict)) return;
  PythonRig rig(Mode::kStrict, 256);
  rig.end(rig.parked(0));
  const int zygote = rig.zygote();
  REQUIRE(zygote > 0);
  REQUIRE(::kill(zygote, SIGSTOP) == 0);
  SpawnRequest request = rig.spawn_request(2, rig.python);
  for (request.slot = 2; request.slot < 6; ++request.slot) rig.send_raw(&request, sizeof request);
  // One of them is given up before it has a process.
  SlotRequest kill{{kSpawnerMagic, MessageType::kKill}, 2, request.generation};
  rig.send_raw(&kill, sizeof kill);
  UniqueFd none[kSpawnFds];
  const Answer cancelled = rig.wait_answer(none);
  CHECK(cancelled.slot == 2);
  CHECK(cancelled.error == ECANCELED);
  REQUIRE(::kill(zygote, SIGKILL) == 0);
  std::set<uint32_t> started;
  for (int i = 0; i < 3; ++i) {
    UniqueFd fds[kSpawnFds];
    const Answer answer = rig.wait_answer(fds);
    CAPTURE(answer.detail);
    CHECK(answer.error == 0);
    CHECK(answer.warm == 0);
    started.insert(answer.slot);
  }
  CHECK(started == std::set<uint32_t>{3, 4, 5});
  // The slot of the one that was given up is free.
  rig.parked(2);
}

TEST_CASE("a zygote is replaced after so many workers") {
  const Mode mode = mode_with_namespaces();
  if (!usable(mode)) return;
  CAPTURE(static_cast<int>(mode));
  PythonRig rig(mode, 2);
  rig.end(rig.parked(0));
  const int first = rig.zygote();
  REQUIRE(first > 0);
  const auto end = steady_clock::now() + kPatience;
  while (steady_clock::now() < end && std::filesystem::exists(of_process(first, "stat"))) {
    const TestWorker worker = rig.parked(0);
    CHECK(worker.warm);  // the old one serves until the new one can
    rig.end(worker);
  }
  CHECK_FALSE(std::filesystem::exists(of_process(first, "stat")));
  CHECK(rig.zygote() > 0);
  const TestWorker later = rig.parked(0);
  CHECK(later.warm);
}

TEST_CASE("the spawner's end is its zygote's") {
  if (!usable(Mode::kStrict)) return;
  PythonRig rig(Mode::kStrict, 256);
  const TestWorker worker = rig.parked(0);
  const int zygote = rig.zygote();
  REQUIRE(zygote > 0);
  rig.close_lifeline();
  CHECK(rig.spawner_ends(10'000));
  CHECK(process_ends(zygote));
  CHECK(process_ends(worker.pid));
}

TEST_CASE("an interpreter that others may change gets no zygote") {
  if (!usable(Mode::kStrict)) return;
  Rig rig(Mode::kStrict);
  rig.config.zygote_forks = 256;
  rig.config.runtimes[0].zygote = 1;  // the rig's own worker, below /var/tmp
  rig.start();
  REQUIRE(rig.ready_error == "");
  CHECK(rig.ready.zygote.on == 0);
  CHECK(std::string(rig.ready.zygote.reason) == "the interpreter is not in /usr");
  CHECK(rig.spawn(0).error == 0);
}

TEST_CASE("modes without namespaces have no zygote") {
  if (!usable(Mode::kDegraded)) return;
  PythonRig rig(Mode::kDegraded, 256);
  CHECK(rig.ready.zygote.on == 0);
  const TestWorker worker = rig.spawn(0, rig.python);
  CHECK(worker.error == 0);
  CHECK_FALSE(worker.warm);
}

}  // namespace hearth::sandbox
