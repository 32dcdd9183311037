// What a hostile function tries, and what it gets: the same attempts in strict and in user mode,
// each with a control run without a sandbox, where one is harmless, that proves that the attempt
// reaches the kernel.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "sandbox/probe.h"
#include "sandbox/test_rig.h"
#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

// A TCP listener on the host's loopback and an abstract Unix socket beside it.
struct HostServices {
  HostServices() {
    tcp.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (bind(tcp.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
        listen(tcp.get(), 8) != 0)
      abort();
    getsockname(tcp.get(), reinterpret_cast<sockaddr*>(&address), &length);
    port = std::to_string(ntohs(address.sin_port));
    local.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    name = "hearth-hostile-" + std::to_string(getpid());
    sockaddr_un path{};
    path.sun_family = AF_UNIX;
    name.copy(path.sun_path + 1, name.size());
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (bind(local.get(), reinterpret_cast<sockaddr*>(&path), length) != 0 ||
        listen(local.get(), 8) != 0)
      abort();
  }
  UniqueFd tcp, local;
  std::string port, name;
};

struct Attempt {
  std::string text;
  std::string sandboxed;
  std::string control;  // without a sandbox, as root; empty = not tried
};

std::string number(long call) { return "syscall " + std::to_string(call); }

std::vector<Attempt> on_files(const Rig& rig) {
  return {
      {"read /etc/shadow", "E2", "0"},
      {"read /etc/passwd", "0", "0"},
      {"stat " + rig.folder.path() + "/code", "E2", "0"},
      {"stat /run/docker.sock", "E2", ""},
      {"stat /boot", "E2", ""},
      {"write /x", "E30", ""},
      {"write /usr/x", "E30", ""},
      {"write /etc/x", "E30", ""},
      {"write /var/x", "E30", ""},
      {"write /var/task/hello.txt", "E30", ""},
      {"write /var/task/new.txt", "E30", ""},
      {"write /var/runtime/new.txt", "E30", ""},
      {"write /tmp/x", "0", ""},
      {"write /dev/shm/x", "0", ""},
      {"write /dev/null", "0", "0"},
      {"read /dev/urandom", "0", "0"},
      {"fill /tmp/big", "E28", ""},
      {"fill /dev/shm/big", "E28", ""},
      {"mknod /tmp/disk", "E1", ""},
      {"stat /dev/kmsg", "E2", ""},
      {"stat /dev/tty", "E2", ""},
      {"stat /dev/ptmx", "E2", ""},
      {"stat /sys/kernel", "E2", "0"},
      {"read /proc/sys/kernel/core_pattern", "E2", "0"},
      {"stat /proc/sysrq-trigger", "E2", ""},
      {"stat /proc/kallsyms", "E2", "0"},
      {"read /proc/1/environ", "E2", ""},
      {"stat /proc/1/mem", "E2", "0"},
  };
}

std::vector<Attempt> on_namespaces_and_processes() {
  const std::string self = std::to_string(getpid());
  return {
      {"mount", "E1", ""},
      {"chroot /tmp", "E1", "0"},
      {"unshare 10000000", "E1", "0"},
      {"unshare 20000", "E1", "0"},
      {"clone 10000000", "E1", "0"},
      {"clone 10010000000", "E1", "0"},
      {"clone3 10000000", "E38", "0"},
      {number(SYS_setns), "E1", "E22"},
      {number(SYS_fsopen), "E1", "E14"},
      {number(SYS_open_by_handle_at), "E1", "E14"},
      {"ptrace 0", "E1", "0"},
      {"vm_readv 0", "E1", "0"},
      {"kill " + self + " 0", "E3", "0"},
      {"prlimit " + self, "E3", "0"},
      {"processes 8", "0", "E17"},
      {number(SYS_pidfd_getfd), "E1", "E9"},
      {"setuid 0", "E1", "0"},
      {"status", "0", "E1"},
      {"descriptors", "0", "0"},
      {"nice", "E13", "0"},
      {"raise", "E1", ""},
      {"prctl 35", "E22", ""},
      {"personality 40000", "E1", "0"},
  };
}

std::vector<Attempt> on_kernel_and_network(const HostServices& host) {
  return {
    {"keyctl", "E1", "0"}, {"io_uring", "E38", "0"}, {number(SYS_bpf), "E1", ""},
        {number(SYS_perf_event_open), "E1", "E14"}, {number(SYS_userfaultfd), "E38", "0"},
        {number(9999), "E38", "E38"}, {number(SYS_reboot), "S31", "E22"},
        {number(SYS_init_module), "S31", ""}, {number(SYS_delete_module), "S31", ""},
        {"clock_settime", "S31", ""},
#if defined(__x86_64__)
        {number(SYS_modify_ldt), "S31", ""}, {number(0x40000000 | SYS_getpid), "S31", ""},
        {"i386", "S31", ""},
#endif
        {"tiocsti 0", "E25", ""}, {"connect 127.0.0.1 " + host.port, "E111", "0"},
        {"fastopen 127.0.0.1 " + host.port, "E95", ""}, {"connect 192.0.2.1 80", "E101", ""},
        {"connect 169.254.169.254 80", "E101", ""}, {"abstract " + host.name, "E111", "0"},
        {"socket 2 1 0", "0", "0"}, {"socket 10 2 0", "0", ""}, {"socket 16 3 0", "0", "0"},
        {"socket 16 3 12", "E93", ""}, {"socket 40 1 0", "E97", ""}, {"socket 38 5 0", "E97", ""},
        {"socket 17 3 0", "E97", "0"}, {"socket 2 3 1", "E1", "0"}, {"socket 2 1 262", "E93", ""},
        {"memory 4096", "E12", "0"}, {"fork_bomb 500", "E11", ""}, {"exec /usr/bin/true", "0", "0"},
  };
}

std::vector<Attempt> attempts(const Rig& rig, const HostServices& host) {
  std::vector<Attempt> all = on_files(rig);
  for (const Attempt& attempt : on_namespaces_and_processes()) all.push_back(attempt);
  for (const Attempt& attempt : on_kernel_and_network(host)) all.push_back(attempt);
  return all;
}

}  // namespace

TEST_CASE("hostile attempts meet their layer") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser);
  CAPTURE(static_cast<int>(mode));
  if (!allowed(mode)) return;
  const HostServices host;
  Rig rig(mode);
  rig.start();
  REQUIRE(rig.ready_error == "");
  TestWorker worker = rig.spawn(3);
  REQUIRE(worker.line() == "HELLO");
  REQUIRE(rig.assign(worker, code_hash('a')).error == 0);
  for (const Attempt& attempt : attempts(rig, host)) {
    // A bomb's processes stay until the sandbox ends, so it comes in one of its own.
    if (attempt.text.starts_with("fork_bomb")) {
      TestWorker bomb = rig.spawn(4);
      REQUIRE(bomb.line() == "HELLO");
      CHECK(bomb.attempt(attempt.text) == attempt.sandboxed);
      continue;
    }
    const std::string result = worker.attempt(attempt.text);
    CHECK(attempt.text + ": " + result == attempt.text + ": " + attempt.sandboxed);
  }
  const uint32_t uid = mode == Mode::kStrict ? rig.config.uid_base + 3 : 1000;
  CHECK(worker.attempt("uid " + std::to_string(uid)) == "0");
}

TEST_CASE("without a sandbox the attempts reach the kernel") {
  if (!running_as_root()) {
    WARN("skipped: the control run needs root");
    return;
  }
  const HostServices host;
  Rig rig(Mode::kOff);
  rig.start();
  TestWorker worker = rig.spawn(0, 0, 0);
  REQUIRE(worker.line() == "HELLO");
  for (const Attempt& attempt : attempts(rig, host)) {
    if (attempt.control.empty() || attempt.text == "memory 4096") continue;
    const std::string result = worker.attempt(attempt.text);
    CHECK(attempt.text + ": " + result == attempt.text + ": " + attempt.control);
  }
}

TEST_CASE("degraded mode keeps privileges and dangerous calls away") {
  if (!allowed(Mode::kDegraded)) return;
  Rig rig(Mode::kDegraded);
  rig.start();
  REQUIRE(rig.ready_error == "");
  TestWorker worker = rig.spawn(0);
  REQUIRE(worker.line() == "HELLO");
  const std::string self = std::to_string(getpid());
  CHECK(worker.attempt("read /etc/shadow") == "E13");
  CHECK(worker.attempt("ptrace 0") == "E1");
  CHECK(worker.attempt("unshare 10000000") == "E1");
  CHECK(worker.attempt("clone3 10000000") == "E38");
  CHECK(worker.attempt("prlimit " + self) == "E1");
  CHECK(worker.attempt("mount") == "E1");
  CHECK(worker.attempt("syscall " + std::to_string(SYS_reboot)) == "S31");
  CHECK(worker.attempt("descriptors") == "0");
  if (running_as_root()) CHECK(worker.attempt("kill " + self + " 0") == "E1");
  // Their /proc is the host's, but the spawner and the init of a sandbox can't be looked into.
  CHECK(worker.attempt("read /proc/" + std::to_string(rig.spawner_pid()) + "/environ") == "E13");
}

TEST_CASE("landlock confines files signals and abstract sockets in degraded mode") {
  if (!allowed(Mode::kDegraded)) return;
  const HostServices host;
  Rig rig(Mode::kDegraded);
  Rig control(Mode::kOff);
  const std::string open_file = rig.folder.path() + "/state.txt";
  std::ofstream(open_file) << "the engine's own";
  std::ofstream(rig.folder.path() + "/shims/shim.txt") << "shim";
  rig.start();
  control.start();
  REQUIRE(rig.ready_error == "");
  const LayerState& layer = rig.ready.layers[static_cast<size_t>(Layer::kLandlock)];
  if (layer.on == 0) {
    WARN("skipped: " << layer.reason);
    return;
  }
  TestWorker worker = rig.spawn(0), free = control.spawn(0);
  REQUIRE(worker.line() == "HELLO");
  REQUIRE(free.line() == "HELLO");
  const auto both = [&](const std::string& text, const char* confined) {
    CHECK(text + ": " + worker.attempt(text) == text + ": " + confined);
    CHECK(text + ": " + free.attempt(text) == text + ": 0");
  };
  both("read " + open_file, "E13");
  both("read /etc/issue", "E13");
  both("read " + rig.code_path('a') + "/hello.txt", "0");
  both("read " + rig.folder.path() + "/shims/shim.txt", "0");
  both("read /etc/passwd", "0");
  both("read /dev/urandom", "0");
  if (layer.reason[0] != '\0') return;
  both("abstract " + host.name, "E1");
  both("kill " + std::to_string(free.pid) + " 0", "E1");
}

TEST_CASE("nobody but root may look into spawner and init") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded, Mode::kOff);
  CAPTURE(static_cast<int>(mode));
  if (!allowed(mode) || !running_as_root()) return;
  Rig rig(mode);
  rig.start();
  TestWorker worker = rig.spawn(0);
  REQUIRE(worker.line() == "HELLO");
  // The kernel gives root the /proc files of what isn't dumpable, whoever's process it is.
  const auto owner = [](int pid) {
    struct stat status;
    return stat(("/proc/" + std::to_string(pid) + "/environ").c_str(), &status) == 0
               ? static_cast<long>(status.st_uid)
               : -1;
  };
  std::ifstream file("/proc/" + std::to_string(worker.pid) + "/stat");
  std::string skipped;
  int init = 0;
  file >> skipped >> skipped >> skipped >> init;
  CHECK(owner(init) == 0);
  CHECK(owner(rig.spawner_pid()) == 0);
  std::ifstream status("/proc/" + std::to_string(init) + "/status");
  std::string line;
  while (std::getline(status, line) && !line.starts_with("Uid:")) continue;
  const bool as_root = mode == Mode::kOff;
  CHECK(line.starts_with("Uid:\t0\t") == as_root);
  if (!as_root) CHECK(owner(worker.pid) != 0);
}

TEST_CASE("landlock keeps signals from the init of a sandbox") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser);
  CAPTURE(static_cast<int>(mode));
  if (!allowed(mode)) return;
  Rig rig(mode);
  rig.start();
  const LayerState& layer = rig.ready.layers[static_cast<size_t>(Layer::kLandlock)];
  if (layer.on == 0 || layer.reason[0] != '\0') {
    WARN("skipped: " << layer.reason);
    return;
  }
  TestWorker worker = rig.spawn(0);
  REQUIRE(worker.line() == "HELLO");
  // Init has the worker's own uid: without Landlock it may be signalled, and ignores it.
  CHECK(worker.attempt("kill 1 0") == "E1");
  CHECK(worker.attempt("kill 0 0") == "0");
  REQUIRE(rig.assign(worker, code_hash('a')).error == 0);
  CHECK(worker.attempt("read /var/task/hello.txt") == "0");
}

TEST_CASE("two sandboxes don't see each other") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser);
  if (!allowed(mode)) return;
  Rig rig(mode);
  rig.start();
  TestWorker first = rig.spawn(0), second = rig.spawn(1);
  REQUIRE(first.line() == "HELLO");
  REQUIRE(second.line() == "HELLO");
  CHECK(first.attempt("write /tmp/secret") == "0");
  CHECK(first.attempt("write /dev/shm/secret") == "0");
  CHECK(second.attempt("read /tmp/secret") == "E2");
  CHECK(second.attempt("read /dev/shm/secret") == "E2");
  REQUIRE(rig.assign(first, code_hash('a')).error == 0);
  CHECK(second.attempt("read /var/task/hello.txt") == "E2");
  REQUIRE(rig.assign(second, code_hash('b')).error == 0);
  CHECK(second.attempt("read /var/task/hello.txt") == "E2");
  CHECK(second.attempt("read /var/task/other.txt") == "0");
  // A slot that is used again begins from nothing.
  rig.kill(first);
  CHECK(rig.wait_exit().slot == 0);
  TestWorker again = rig.spawn(0);
  REQUIRE(again.line() == "HELLO");
  CHECK(again.attempt("read /tmp/secret") == "E2");
  CHECK(again.attempt("read /var/task/hello.txt") == "E2");
}

}  // namespace hearth::sandbox
