// The broker of a worker that has the host's network: all is reached but the engine's listeners,
// and whoever listens on the machine without a name in the file system.
#include <stdlib.h>
#include <sys/un.h>

#include <atomic>
#include <thread>

#include "sandbox/egress/test_rig.h"
#include "sandbox/egress/worker_calls.h"
#include "tests/catch.h"

namespace hearth::sandbox::egress {
namespace {

using namespace worker;

constexpr bool kHostNetwork = true;

// Listens, and never accepts: the kernel does.
class Listener {
 public:
  explicit Listener(const char* address, int type = SOCK_STREAM) {
    const Place any = place(address, 0);
    fd_.reset(socket(any.family, type | SOCK_CLOEXEC, 0));
    if (bind(fd_.get(), reinterpret_cast<const sockaddr*>(&any.address), any.size) != 0) return;
    if (type == SOCK_STREAM && listen(fd_.get(), 64) != 0) return;
    sockaddr_storage own{};
    socklen_t size = sizeof own;
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&own), &size);
    port_ = ntohs(reinterpret_cast<sockaddr_in*>(&own)->sin_port);
  }
  uint16_t port() const { return port_; }
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
  uint16_t port_ = 0;
};

int connect_to(const char* address, uint16_t port, int family = 0, int flags = 0) {
  const int domain = family != 0 ? family : place(address, port).family;
  UniqueFd fd(socket(domain, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  return connect_fd(fd.get(), address, port);
}

constexpr const char* kOwn[] = {
    "127.0.0.1",        "127.3.2.1",       "0.0.0.0",        "10.9.0.1", "93.184.215.1",
    "::ffff:127.0.0.1", "::ffff:10.9.0.1", "::ffff:0.0.0.0", "::1",      "::",
    "2606:2800:21f::1"};

}  // namespace

TEST_CASE("with the hosts network a worker reaches the world and the host itself") {
  HEARTH_NEED_NETWORK();
  const Listener other("::");
  REQUIRE(other.port() != 0);
  const uint16_t port = other.port();
  Rig rig(
      [port](Notes& notes) {
        notes.values[0] = reach("93.184.215.14", 80);
        notes.values[1] = reach("2606:2800:21f::14", 443);
        notes.values[2] = connect_to("127.0.0.1", port);
        notes.values[3] = connect_to("::1", port);
        notes.values[4] = connect_to("127.0.0.1", port, 0, SOCK_NONBLOCK);
        notes.values[5] = connect_to("10.9.0.1", 1);
        return 0;
      },
      kHostNetwork);
  rig.configure(make_config({}));
  REQUIRE(rig.wait() == 0);
  const int expected[] = {0, 0, 0, 0, EINPROGRESS, ECONNREFUSED};
  for (size_t i = 0; i < std::size(expected); ++i) {
    INFO(i);
    CHECK(rig.notes->values[i] == expected[i]);
  }
  CHECK(rig.agent_ends());
}

TEST_CASE("with the hosts network no form of an own address reaches the engine") {
  HEARTH_NEED_NETWORK();
  const Listener engine("::");
  const uint16_t port = engine.port();
  Config config = make_config({});
  for (const bool is_protected : {false, true}) {
    Rig rig(
        [port](Notes& notes) {
          int at = 0;
          for (const char* address : kOwn) notes.values[at++] = connect_to(address, port);
          notes.values[at++] = connect_to("127.0.0.1", port, AF_INET6);
          notes.values[at++] = connect_to("127.0.0.1", port, 0, SOCK_NONBLOCK);
          notes.values[at++] = reach("93.184.215.14", 80);
          return 0;
        },
        kHostNetwork);
    if (is_protected) config.protected_ports[config.protected_count++] = port;
    rig.configure(config);
    REQUIRE(rig.wait() == 0);
    const size_t count = std::size(kOwn);
    for (size_t i = 0; i < count; ++i) {
      INFO(kOwn[i]);
      CHECK(rig.notes->values[i] == (is_protected ? EACCES : 0));
    }
    CHECK(rig.notes->values[count] == EAFNOSUPPORT);
    CHECK(rig.notes->values[count + 1] == (is_protected ? EACCES : EINPROGRESS));
    CHECK(rig.notes->values[count + 2] == 0);
    if (is_protected)
      CHECK(rig.counted(Outcome::kDeniedEngine, count + 1) == static_cast<uint64_t>(count + 1));
  }
}

TEST_CASE("with the hosts network a flipping address never reaches the engine") {
  HEARTH_NEED_NETWORK();
  const Listener engine("127.0.0.1"), other("127.0.0.1");
  const uint16_t forbidden = engine.port(), allowed = other.port();
  Rig rig(
      [forbidden, allowed](Notes& notes) {
        Place to = place("127.0.0.1", allowed);
        auto* shared = reinterpret_cast<sockaddr_in*>(&to.address);
        std::atomic<bool> stop{false};
        std::thread flip([&] {
          while (!stop) {
            __atomic_store_n(&shared->sin_port, htons(forbidden), __ATOMIC_RELAXED);
            __atomic_store_n(&shared->sin_port, htons(allowed), __ATOMIC_RELAXED);
          }
        });
        for (int i = 0; i < 2'000; ++i) {
          UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
          const int error =
              connect(fd.get(), reinterpret_cast<const sockaddr*>(&to.address), to.size) == 0
                  ? 0
                  : errno;
          if (error == EACCES) ++notes.values[0];
          if (error != 0) continue;
          sockaddr_in peer{};
          socklen_t size = sizeof peer;
          getpeername(fd.get(), reinterpret_cast<sockaddr*>(&peer), &size);
          ++notes.values[ntohs(peer.sin_port) == allowed ? 1 : 2];
        }
        stop = true;
        flip.join();
        return 0;
      },
      kHostNetwork);
  Config config = make_config({});
  config.protected_ports[config.protected_count++] = forbidden;
  // A full queue would make connects wait.
  std::thread accepts([&other] {
    while (true)
      if (!UniqueFd(accept(other.fd(), nullptr, nullptr)).valid()) return;
  });
  rig.configure(config);
  const int status = rig.wait();
  shutdown(other.fd(), SHUT_RDWR);
  accepts.join();
  REQUIRE(status == 0);
  CHECK(rig.notes->values[2] == 0);
  CHECK(rig.notes->values[0] + rig.notes->values[1] > 0);
}

TEST_CASE("with the hosts network UDP goes both ways and raw packets do not") {
  HEARTH_NEED_NETWORK();
  const Listener echo("127.0.0.1", SOCK_DGRAM);
  const uint16_t port = echo.port();
  std::thread answers([&echo] {
    char byte;
    sockaddr_storage from{};
    for (int i = 0; i < 2; ++i) {
      socklen_t size = sizeof from;
      if (recvfrom(echo.fd(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&from), &size) != 1) return;
      sendto(echo.fd(), "y", 1, 0, reinterpret_cast<sockaddr*>(&from), size);
    }
  });
  Rig rig(
      [port](Notes& notes) {
        const Place to = place("127.0.0.1", port);
        const auto heard = [](int fd) {
          pollfd ready{fd, POLLIN, 0};
          char byte = 0;
          return poll(&ready, 1, 5'000) == 1 && recv(fd, &byte, 1, 0) == 1 && byte == 'y';
        };
        UniqueFd one(socket(AF_INET, SOCK_DGRAM, 0)), two(socket(AF_INET, SOCK_DGRAM, 0));
        sendto(one.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to.address), to.size);
        notes.values[0] = heard(one.get());
        notes.values[1] = connect_fd(two.get(), "127.0.0.1", port);
        send(two.get(), "x", 1, 0);
        notes.values[2] = heard(two.get());
        notes.values[3] = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 ? errno : 0;
        notes.values[4] = socket(AF_PACKET, SOCK_RAW, 0) < 0 ? errno : 0;
        return 0;
      },
      kHostNetwork);
  rig.configure(make_config({}));
  REQUIRE(rig.wait() == 0);
  answers.join();
  CHECK(rig.notes->values[0] == 1);
  CHECK(rig.notes->values[1] == 0);
  CHECK(rig.notes->values[2] == 1);
  CHECK(rig.notes->values[3] == EPERM);
  CHECK(rig.notes->values[4] == EAFNOSUPPORT);
}

TEST_CASE("with the hosts network abstract local sockets of the machine are out of reach") {
  HEARTH_NEED_NETWORK();
  sockaddr_un name{AF_UNIX, {}};
  const std::string text = std::string("\0hearth-host-", 13) + std::to_string(getpid());
  text.copy(name.sun_path, sizeof name.sun_path);
  const socklen_t size = static_cast<socklen_t>(2 + text.size());
  UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(bind(listener.get(), reinterpret_cast<sockaddr*>(&name), size) == 0);
  REQUIRE(listen(listener.get(), 8) == 0);
  // The control: without the broker it is reached.
  UniqueFd control(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(connect(control.get(), reinterpret_cast<sockaddr*>(&name), size) == 0);
  Rig rig(
      [&](Notes& notes) {
        UniqueFd fd(socket(AF_UNIX, SOCK_STREAM, 0));
        notes.values[0] =
            connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), size) == 0 ? 0 : errno;
        notes.values[1] = socket(AF_UNIX, SOCK_DGRAM, 0) < 0 ? errno : 0;
        int ends[2];
        notes.values[2] = socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0 ? errno : 0;
        notes.values[3] = socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 ? errno : 0;
        // Names in the file system are the sandbox's.
        char folder[] = "/tmp/hearth-host-XXXXXX";
        if (mkdtemp(folder) == nullptr || chdir(folder) != 0) return 1;
        sockaddr_un path{AF_UNIX, {}};
        strcpy(path.sun_path, "own");
        UniqueFd here(socket(AF_UNIX, SOCK_STREAM, 0)), there(socket(AF_UNIX, SOCK_STREAM, 0));
        bind(here.get(), reinterpret_cast<sockaddr*>(&path), sizeof path);
        listen(here.get(), 1);
        notes.values[4] =
            connect(there.get(), reinterpret_cast<sockaddr*>(&path), sizeof path) == 0 ? 0 : errno;
        unlink("own");
        rmdir(folder);
        return 0;
      },
      kHostNetwork);
  rig.configure(make_config({}));
  REQUIRE(rig.wait() == 0);
  CHECK(rig.notes->values[0] == EACCES);
  CHECK(rig.notes->values[1] == EPROTONOSUPPORT);
  CHECK(rig.notes->values[2] == EPROTONOSUPPORT);
  CHECK(rig.notes->values[3] == 0);
  CHECK(rig.notes->values[4] == 0);
}

TEST_CASE("with the hosts network nothing is connected before the engine has named its listeners") {
  HEARTH_NEED_NETWORK();
  Rig rig(
      [](Notes& notes) {
        notes.values[0] = reach("93.184.215.14", 80);
        return 0;
      },
      kHostNetwork);
  rig.go();
  REQUIRE(rig.wait() == 0);
  CHECK(rig.notes->values[0] == EACCES);
}

TEST_CASE("with the hosts network a connect that nobody answers ends in time") {
  HEARTH_NEED_NETWORK();
  Rig rig(
      [](Notes& notes) {
        notes.values[0] = reach("93.184.215.66", 80);
        notes.values[1] = reach("93.184.215.14", 80);
        return 0;
      },
      kHostNetwork);
  Config config = make_config({});
  config.connect_timeout_ms = 300;
  rig.configure(config);
  REQUIRE(rig.wait() == 0);
  CHECK(rig.notes->values[0] == ETIMEDOUT);
  CHECK(rig.notes->values[1] == 0);
}

}  // namespace hearth::sandbox::egress
