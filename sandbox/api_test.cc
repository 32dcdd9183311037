// Workers that speak HTTP: who can reach the socket on which the engine listens, and their SIGTERM.
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <string>

#include "sandbox/test_rig.h"
#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

constexpr int kPatienceMs = 10'000;

// Connects, sends what it finds in its environment, and waits for the end of the connection or
// SIGTERM.
constexpr const char* kBootstrap = R"py(#!/usr/bin/python3
import os, signal, socket, stat
def stop(*_):
    os._exit(7)
signal.signal(signal.SIGTERM, stop)
channel = "closed"
try:
    if stat.S_ISSOCK(os.fstat(3).st_mode):
        channel = "open"
except OSError:
    pass
s = socket.create_connection(("127.0.0.1", 9001))
s.sendall(("%s %s %s\n" % (os.environ["GREETING"], channel, os.getcwd())).encode())
s.recv(1)
os._exit(3)
)py";

struct ApiRig : Rig {
  explicit ApiRig(Mode mode, uint32_t slots = 4) : Rig(mode, slots) {
    make_code('c', "bootstrap", kBootstrap);
    chmod((code_path('c') + "/bootstrap").c_str(), 0755);
    runtime = add_runtime("custom", "", {});
    config.runtimes[runtime].api = 1;
  }
  SpawnRequest request(uint32_t slot, Network network = Network::kNone) const {
    SpawnRequest out = spawn_request(slot, runtime);
    out.own_environment = 1;
    out.network = static_cast<uint8_t>(network);
    code_hash('c').copy(out.code, sizeof out.code);
    std::string("bootstrap").copy(out.entry, sizeof out.entry - 1);
    return out;
  }
  TestWorker started(uint32_t slot) {
    TestWorker worker = spawn(request(slot));
    CAPTURE(worker.detail);
    REQUIRE(worker.error == 0);
    REQUIRE(worker.api.valid());
    const std::string variables("GREETING=hello\0", 15);
    const auto length = static_cast<uint32_t>(variables.size());
    worker.send(std::string(reinterpret_cast<const char*>(&length), 4) + '\x0a' +
                std::string(11, '\0') + variables);
    return worker;
  }
  uint32_t runtime = 0;
};

bool readable(int fd) {
  pollfd wait{fd, POLLIN, 0};
  return poll(&wait, 1, kPatienceMs) == 1;
}

// The worker's connection, after its first line was read into `line`.
UniqueFd accepted(const TestWorker& worker, std::string& line) {
  if (!readable(worker.api.get())) {
    char words[2'000] = {};
    [[maybe_unused]] const ssize_t n = ::read(worker.err.get(), words, sizeof words - 1);
    FAIL("nobody connects: " << words);
  }
  UniqueFd fd(::accept4(worker.api.get(), nullptr, nullptr, SOCK_CLOEXEC));
  REQUIRE(fd.valid());
  char text[100];
  const ssize_t n = ::recv(fd.get(), text, sizeof text, 0);
  line.assign(text, n > 0 ? static_cast<size_t>(n) : 0);
  return fd;
}

// errno of a connect from here to the port that the worker connects to.
int connect_from_here() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(kApiPort);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0 ? 0 : errno;
}

}  // namespace

TEST_CASE("each worker that speaks HTTP has a listener of its own, which nobody else reaches") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser);
  CAPTURE(mode_name(mode));
  if (!allowed(mode)) return;
  ApiRig rig(mode);
  rig.start();
  REQUIRE(rig.ready_error == "");
  const TestWorker one = rig.started(0);
  std::string line;
  UniqueFd connection = accepted(one, line);
  CHECK(line == "hello closed /var/task\n");
  const TestWorker two = rig.started(1);
  const UniqueFd other = accepted(two, line);
  CHECK(line == "hello closed /var/task\n");
  CHECK(connect_from_here() == ECONNREFUSED);
  connection.reset();
  const ExitedMessage exit = rig.wait_exit();
  CHECK(exit.slot == 0);
  CHECK((WIFEXITED(exit.wait_status) && WEXITSTATUS(exit.wait_status) == 3));
}

TEST_CASE("SIGTERM goes to a worker that speaks HTTP, and to no other") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser);
  CAPTURE(mode_name(mode));
  if (!allowed(mode)) return;
  ApiRig rig(mode);
  rig.start();
  REQUIRE(rig.ready_error == "");
  TestWorker plain = rig.spawn(0);
  CHECK(plain.line() == "HELLO");
  const TestWorker worker = rig.started(1);
  std::string line;
  const UniqueFd connection = accepted(worker, line);
  const auto terminate = [&rig](uint32_t slot, uint32_t generation) {
    const SlotRequest stop{{kSpawnerMagic, MessageType::kTerminate}, slot, generation};
    rig.send_raw(&stop, sizeof stop);
  };
  terminate(plain.slot, plain.generation);
  terminate(worker.slot, worker.generation + 1);
  const TestWorker third = rig.spawn(2);  // what was sent before has been read
  REQUIRE(third.error == 0);
  pollfd still{connection.get(), POLLIN, 0};
  CHECK(poll(&still, 1, 50) == 0);
  terminate(worker.slot, worker.generation);
  const ExitedMessage exit = rig.wait_exit();
  CHECK(exit.slot == worker.slot);
  CHECK((WIFEXITED(exit.wait_status) && WEXITSTATUS(exit.wait_status) == 7));
  CHECK(plain.attempt("descriptors") == "0");
}

TEST_CASE("without a network namespace of its own such a worker is refused") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kDegraded, Mode::kOff);
  CAPTURE(mode_name(mode));
  if (!allowed(mode)) return;
  ApiRig rig(mode);
  rig.config.allow_host_network = 1;
  rig.start();
  REQUIRE(rig.ready_error == "");
  const TestWorker worker =
      rig.spawn(rig.request(0, mode == Mode::kStrict ? Network::kHost : Network::kNone));
  CHECK(worker.error == EOPNOTSUPP);
  SpawnRequest wrong = rig.request(1);
  wrong.own_environment = 0;
  CHECK(rig.spawn(wrong).error == EINVAL);
}

}  // namespace hearth::sandbox
