// The broker against a real kernel: a worker under the real filter, the agent program as it is
// shipped, and a world outside in a network namespace of its own.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "sandbox/egress/test_rig.h"
#include "sandbox/egress/worker_calls.h"
#include "tests/catch.h"

namespace hearth::sandbox::egress {
namespace {

using namespace worker;

int64_t elapsed_ms(const std::function<void()>& what) {
  const auto begin = std::chrono::steady_clock::now();
  what();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() -
                                                               begin)
      .count();
}

TEST_CASE("a CIDR entry opens its addresses on its port, and nothing else") {
  HEARTH_NEED_NETWORK();
  Rig rig([](Notes& notes) {
    notes.values[0] = reach("93.184.215.14", 80);
    notes.values[1] = reach("93.184.215.14", 443);
    notes.values[2] = reach("93.184.215.15", 80);
    notes.values[3] = reach("2606:2800:21f::14", 443);
    notes.values[4] = reach("2606:2800:21f::14", 80);
    notes.values[5] = reach("::ffff:93.184.215.14", 80);
    notes.values[6] = reach("::ffff:93.184.215.15", 80);
    return 0;
  });
  rig.configure(make_config({"93.184.215.14/32:80", "[2606:2800::/32]:443"}));
  REQUIRE(rig.wait() == 0);
  const int expected[] = {0, EACCES, EACCES, 0, EACCES, 0, EACCES};
  for (size_t i = 0; i < std::size(expected); ++i) {
    INFO(i);
    CHECK(rig.notes->values[i] == expected[i]);
  }
  CHECK(rig.agent_ends());
  CHECK(rig.counted(Outcome::kDeniedRule, 4) == 4);
  CHECK(rig.counted(Outcome::kConnected, 3) == 3);
}

TEST_CASE("without rules there is no connection, and each refusal is told with its address") {
  HEARTH_NEED_NETWORK();
  Rig rig([](Notes& notes) {
    notes.values[0] = reach("93.184.215.14", 80);
    notes.values[1] = look_up("api.example.com").rcode;
    return 0;
  });
  rig.go();
  REQUIRE(rig.wait() == 0);
  CHECK(rig.notes->values[0] == EACCES);
  CHECK(rig.notes->values[1] == static_cast<int>(dns::Rcode::kNoName));
  const Report report = rig.report([](const Report& r) { return r.has_event == 1; });
  CHECK(report.outcome == Outcome::kDeniedRule);
  CHECK(report.port == 80);
  CHECK(report.address == rule("93.184.215.14").address);
}

TEST_CASE("special addresses need an entry that names them, own ones one of full length") {
  HEARTH_NEED_NETWORK();
  const auto attempts = [](Notes& notes) {
    int at = 0;
    for (const char* address : {"10.9.0.5", "10.9.0.1", "169.254.169.254", "192.0.2.53", "0.1.2.3",
                                "224.0.0.1", "255.255.255.255"})
      notes.values[at++] = reach(address, 80);
    notes.values[at++] = reach("64:ff9b::a09:5", 80);
    notes.values[at++] = reach("93.184.215.1", 80);
    notes.values[at++] = reach("fe80::1", 80);
    return 0;
  };
  SECTION("0.0.0.0/0 and ::/0 name none of them") {
    Rig rig(attempts);
    rig.configure(make_config({"0.0.0.0/0", "[::/0]"}));
    REQUIRE(rig.wait() == 0);
    for (int i = 0; i < 10; ++i) {
      INFO(i);
      CHECK(rig.notes->values[i] == EACCES);
    }
    CHECK(rig.counted(Outcome::kDeniedSpecial, 10) == 10);
  }
  SECTION("10.9.0.0/16 names its addresses, but not the host's own one among them") {
    Rig rig(attempts);
    rig.configure(make_config({"10.9.0.0/16"}));
    REQUIRE(rig.wait() == 0);
    CHECK(rig.notes->values[0] == 0);
    CHECK(rig.notes->values[1] == EACCES);
    CHECK(rig.notes->values[8] == EACCES);
  }
  SECTION("in full, also an own address: it refuses by itself") {
    Rig rig(attempts);
    rig.configure(make_config({"10.9.0.1/32", "93.184.215.1"}));
    REQUIRE(rig.wait() == 0);
    CHECK(rig.notes->values[1] == ECONNREFUSED);
    CHECK(rig.notes->values[8] == ECONNREFUSED);
  }
}

TEST_CASE("the engine's listeners can't be named") {
  HEARTH_NEED_NETWORK();
  UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Place any = place("0.0.0.0", 0);
  REQUIRE(bind(listener.get(), reinterpret_cast<const sockaddr*>(&any.address), any.size) == 0);
  REQUIRE(listen(listener.get(), 8) == 0);
  sockaddr_in own{};
  socklen_t size = sizeof own;
  REQUIRE(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&own), &size) == 0);
  const uint16_t port = ntohs(own.sin_port);
  Config config = make_config({"10.9.0.1/32", "127.0.0.0/8", "0.0.0.0/8"});
  for (const bool is_protected : {false, true}) {
    Rig rig([port](Notes& notes) {
      UniqueFd first(socket(AF_INET, SOCK_STREAM, 0)), second(socket(AF_INET, SOCK_STREAM, 0)),
          third(socket(AF_INET, SOCK_STREAM, 0));
      notes.values[0] = connect_fd(first.get(), "10.9.0.1", port);
      notes.values[1] = connect_fd(second.get(), "127.0.0.1", port);
      notes.values[2] = connect_fd(third.get(), "0.0.0.0", port);
      return 0;
    });
    if (is_protected) config.protected_ports[config.protected_count++] = port;
    rig.configure(config);
    REQUIRE(rig.wait() == 0);
    CHECK(rig.notes->values[0] == (is_protected ? EACCES : 0));
    // The loopback of the sandbox, where nobody listens.
    CHECK(rig.notes->values[1] == (is_protected ? ECONNREFUSED : 0));
    CHECK(rig.notes->values[2] == ECONNREFUSED);
  }
}

TEST_CASE("what stays in the sandbox works as without a broker") {
  HEARTH_NEED_NETWORK();
  Rig rig([](Notes& notes) {
    // Its own loopback, blocking and not.
    UniqueFd listener(socket(AF_INET, SOCK_STREAM, 0));
    const Place any = place("127.0.0.1", 0);
    notes.values[0] =
        bind(listener.get(), reinterpret_cast<const sockaddr*>(&any.address), any.size);
    notes.values[1] = listen(listener.get(), 4);
    sockaddr_in own{};
    socklen_t size = sizeof own;
    getsockname(listener.get(), reinterpret_cast<sockaddr*>(&own), &size);
    UniqueFd client(socket(AF_INET, SOCK_STREAM, 0));
    notes.values[2] = connect_fd(client.get(), "127.0.0.1", ntohs(own.sin_port));
    UniqueFd server(accept(listener.get(), nullptr, nullptr));
    notes.values[3] = write(client.get(), "x", 1) == 1 && server.valid();
    // Local sockets: absolute, relative and abstract names.
    chdir("/tmp");
    int at = 4;
    const std::string absolute = "/tmp/hearth-egress-" + std::to_string(getpid());
    const std::string relative = "hearth-egress-r" + std::to_string(getpid());
    for (const std::string& name : {absolute, relative, std::string("\0abstract", 9)}) {
      sockaddr_un address{AF_UNIX, {}};
      name.copy(address.sun_path, sizeof address.sun_path);
      const socklen_t length = static_cast<socklen_t>(2 + name.size() + (name[0] != '\0'));
      UniqueFd here(socket(AF_UNIX, SOCK_STREAM, 0)), there(socket(AF_UNIX, SOCK_STREAM, 0));
      bind(here.get(), reinterpret_cast<sockaddr*>(&address), length);
      listen(here.get(), 1);
      notes.values[at] = connect(there.get(), reinterpret_cast<sockaddr*>(&address), length);
      sockaddr_un seen{};
      socklen_t seen_size = sizeof seen;
      getsockname(here.get(), reinterpret_cast<sockaddr*>(&seen), &seen_size);
      notes.values[at + 1] = seen_size == length && memcmp(&seen, &address, length) == 0;
      at += 2;
      unlink(name.c_str());
    }
    // Errors are the kernel's own.
    notes.values[at++] = connect_fd(client.get(), "127.0.0.1", 1);
    notes.values[at++] = connect(999, nullptr, 0) == 0 ? 0 : errno;
    notes.values[at++] = connect(client.get(), reinterpret_cast<sockaddr*>(8), 16) == 0 ? 0 : errno;
    notes.values[at++] =
        connect(client.get(), reinterpret_cast<sockaddr*>(&own), 4096) == 0 ? 0 : errno;
    return 0;
  });
  rig.configure(make_config({}));
  REQUIRE(rig.wait() == 0);
  const int expected[] = {0, 0, 0, 1, 0, 1, 0, 1, 0, 1, EISCONN, EBADF, EFAULT, EINVAL};
  for (size_t i = 0; i < std::size(expected); ++i) {
    INFO(i);
    CHECK(rig.notes->values[i] == expected[i]);
  }
}

TEST_CASE("UDP reaches the sandbox only") {
  HEARTH_NEED_NETWORK();
  Rig rig([](Notes& notes) {
    UniqueFd fd(socket(AF_INET, SOCK_DGRAM, 0));
    notes.values[0] = connect_fd(fd.get(), "93.184.215.14", 443);
    const Place to = place("93.184.215.14", 443);
    notes.values[1] =
        sendto(fd.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to.address), to.size) < 0
            ? errno
            : 0;
    UniqueFd tcp(socket(AF_INET, SOCK_STREAM, 0));
    notes.values[2] = sendto(tcp.get(), "x", 1, MSG_FASTOPEN,
                             reinterpret_cast<const sockaddr*>(&to.address), to.size) < 0
                          ? errno
                          : 0;
    notes.values[3] = socket(AF_INET, SOCK_STREAM, 262 /* MPTCP */) < 0 ? errno : 0;
    notes.values[4] = socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP) < 0 ? errno : 0;
    const int on = 1;
    notes.values[5] =
        setsockopt(tcp.get(), IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */, &on, sizeof on) < 0
            ? errno
            : 0;
    return 0;
  });
  rig.configure(make_config({"93.184.215.0/24"}));
  REQUIRE(rig.wait() == 0);
  const int expected[] = {ENETUNREACH,     ENETUNREACH,     EOPNOTSUPP,
                          EPROTONOSUPPORT, EPROTONOSUPPORT, ENOPROTOOPT};
  for (size_t i = 0; i < std::size(expected); ++i) {
    INFO(i);
    CHECK(rig.notes->values[i] == expected[i]);
  }
}

TEST_CASE("options that were set before the connect are carried over") {
  HEARTH_NEED_NETWORK();
  Rig rig([](Notes& notes) {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1, bytes = 100'000, seconds = 33;
    const timeval wait{2, 500'000};
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd.get(), IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    notes.values[0] = connect_fd(fd.get(), "93.184.215.14", 80);
    const auto value = [&fd](int level, int option) {
      int out = 0;
      socklen_t size = sizeof out;
      getsockopt(fd.get(), level, option, &out, &size);
      return out;
    };
    timeval left{};
    socklen_t size = sizeof left;
    getsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &left, &size);
    notes.values[1] = value(IPPROTO_TCP, TCP_NODELAY);
    notes.values[2] = value(SOL_SOCKET, SO_KEEPALIVE);
    notes.values[3] = value(IPPROTO_TCP, TCP_KEEPIDLE);
    notes.values[4] = value(SOL_SOCKET, SO_RCVBUF);
    notes.values[5] = static_cast<int>(left.tv_sec * 10 + left.tv_usec / 100'000);
    notes.values[6] = fcntl(fd.get(), F_GETFD);
    notes.values[7] = fcntl(fd.get(), F_GETFL) & O_NONBLOCK;
    notes.values[8] = connect_fd(fd.get(), "93.184.215.14", 80);
    return 0;
  });
  rig.configure(make_config({"93.184.215.0/24"}));
  REQUIRE(rig.wait() == 0);
  const int expected[] = {0, 1, 1, 33, 200'000, 25, FD_CLOEXEC, 0, EISCONN};
  for (size_t i = 0; i < std::size(expected); ++i) {
    INFO(i);
    CHECK(rig.notes->values[i] == expected[i]);
  }
}

// As the runtime of Go does: registered, edge-triggered, before the connect.
TEST_CASE("a non-blocking connect with a registration from before is seen by its epoll instance") {
  HEARTH_NEED_NETWORK();
  Rig rig([](Notes& notes) {
    UniqueFd other(epoll_create1(EPOLL_CLOEXEC)), epoll(epoll_create1(EPOLL_CLOEXEC));
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    epoll_event event{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {}};
    event.data.u64 = 0x1122334455667788;
    epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd.get(), &event);
    epoll_event got{};
    epoll_wait(epoll.get(), &got, 1, 0);  // that it is not connected yet
    const int error = connect_fd(fd.get(), "93.184.215.14", 80);
    notes.values[0] = error == 0 || error == EINPROGRESS;
    uint32_t seen = 0;
    for (int i = 0; i < 50 && (seen & EPOLLRDHUP) == 0; ++i)
      if (epoll_wait(epoll.get(), &got, 1, 2'000) == 1) {
        seen |= got.events;
        notes.values[1] += got.data.u64 != 0x1122334455667788;
      }
    notes.values[2] = (seen & EPOLLOUT) != 0 && (seen & EPOLLIN) != 0 && (seen & EPOLLHUP) == 0;
    int failure = 0;
    socklen_t size = sizeof failure;
    getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &failure, &size);
    notes.values[3] = failure;
    char greeting[16] = {};
    notes.values[4] = read(fd.get(), greeting, sizeof greeting) > 0;
    notes.values[5] = epoll_ctl(epoll.get(), EPOLL_CTL_MOD, fd.get(), &event);
    notes.values[6] = epoll_ctl(epoll.get(), EPOLL_CTL_DEL, fd.get(), nullptr);
    return 0;
  });
  rig.configure(make_config({"93.184.215.0/24"}));
  REQUIRE(rig.wait() == 0);
  const int expected[] = {1, 0, 1, 0, 1, 0, 0};
  for (size_t i = 0; i < std::size(expected); ++i) {
    INFO(i);
    CHECK(rig.notes->values[i] == expected[i]);
  }
}

TEST_CASE("a socket of the host's network can't be turned into a listener or to another address") {
  HEARTH_NEED_NETWORK();
  Rig rig([](Notes& notes) {
    // It hangs: a socket in SYN_SENT, which shutdown() makes unconnected.
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    notes.values[0] = connect_fd(fd.get(), "93.184.215.66", 80);
    notes.values[1] = connect_fd(fd.get(), "93.184.215.66", 80);
    shutdown(fd.get(), SHUT_RDWR);
    const Place any = place("0.0.0.0", 5'555);
    notes.values[2] =
        bind(fd.get(), reinterpret_cast<const sockaddr*>(&any.address), any.size) == 0 ? 0 : errno;
    notes.values[3] = listen(fd.get(), 4) == 0 ? 0 : errno;
    notes.values[4] = connect_fd(fd.get(), "10.9.0.5", 80);
    sockaddr none{AF_UNSPEC, {}};
    notes.values[5] = connect(fd.get(), &none, sizeof none) == 0 ? 0 : errno;
    notes.values[6] = connect_fd(fd.get(), "127.0.0.1", 80);
    return 0;
  });
  rig.configure(make_config({"93.184.215.0/24"}));
  REQUIRE(rig.wait() == 0);
  const int expected[] = {EINPROGRESS, EALREADY, EINVAL, EINVAL, EACCES, EOPNOTSUPP, EOPNOTSUPP};
  for (size_t i = 0; i < std::size(expected); ++i) {
    INFO(i);
    CHECK(rig.notes->values[i] == expected[i]);
  }
}

TEST_CASE("an address that flips while it is looked at leaks nothing") {
  HEARTH_NEED_NETWORK();
  const char* full = getenv("HEARTH_TEST_FULL");
  const int rounds = full != nullptr && *full == '1' ? 20'000 : 1'000;
  UniqueFd trap(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const Place any = place("10.9.0.1", 7'777);
  const int on = 1;
  setsockopt(trap.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  REQUIRE(bind(trap.get(), reinterpret_cast<const sockaddr*>(&any.address), any.size) == 0);
  REQUIRE(listen(trap.get(), 512) == 0);
  Rig rig([rounds](Notes& notes) {
    static Place flipped = place("93.184.215.14", 7'777);
    static std::atomic<bool> done{false};
    auto* address = reinterpret_cast<volatile uint32_t*>(
        &reinterpret_cast<sockaddr_in*>(&flipped.address)->sin_addr.s_addr);
    const uint32_t allowed = inet_addr("93.184.215.14"), forbidden = inet_addr("10.9.0.1");
    std::thread flipper([&] {
      while (!done) {
        *address = forbidden;
        *address = allowed;
      }
    });
    for (int i = 0; i < rounds; ++i) {
      UniqueFd fd(socket(AF_INET, SOCK_STREAM, 0));
      const int result =
          connect(fd.get(), reinterpret_cast<sockaddr*>(&flipped.address), flipped.size);
      const int error = result == 0 ? 0 : errno;
      if (error == 0) ++notes.values[0];
      if (error == EACCES) ++notes.values[1];
      if (error == ECONNREFUSED) ++notes.values[2];
    }
    done = true;
    flipper.join();
    return 0;
  });
  Config config = make_config({"93.184.215.14:7777"});
  config.rate = config.burst = kRateMax;
  rig.configure(config);
  REQUIRE(rig.wait() == 0);
  CHECK(rig.notes->values[0] == 0);
  CHECK(rig.notes->values[1] + rig.notes->values[2] == rounds);
  // Both addresses were met, else nothing was shown.
  CHECK(rig.notes->values[1] > 0);
  CHECK(rig.notes->values[2] > 0);
  CHECK(accept(trap.get(), nullptr, nullptr) < 0);
}

TEST_CASE("a connect that nobody answers times out and delays no other") {
  HEARTH_NEED_NETWORK();
  Rig rig([](Notes& notes) {
    std::thread stuck([&notes] {
      notes.values[1] =
          static_cast<int>(elapsed_ms([&] { notes.values[0] = reach("93.184.215.66", 80); }));
    });
    notes.values[3] = static_cast<int>(elapsed_ms([&] {
      for (int i = 0; i < 20; ++i) notes.values[2] += reach("93.184.215.14", 80);
    }));
    stuck.join();
    return 0;
  });
  Config config = make_config({"93.184.215.0/24"});
  config.connect_timeout_ms = 1'500;
  rig.configure(config);
  REQUIRE(rig.wait() == 0);
  CHECK(rig.notes->values[0] == ETIMEDOUT);
  CHECK(rig.notes->values[1] >= 1'400);
  CHECK(rig.notes->values[2] == 0);
  CHECK(rig.notes->values[3] < 1'400);
  CHECK(rig.counted(Outcome::kTimedOut, 1) == 1);
}

TEST_CASE("connects under way, and connects in a second, are limited") {
  HEARTH_NEED_NETWORK();
  SECTION("under way") {
    Rig rig([](Notes& notes) {
      static std::atomic<int> refused{0}, timed_out{0};
      std::vector<std::thread> threads;
      for (int i = 0; i < 12; ++i)
        threads.emplace_back([] {
          const int error = reach("93.184.215.66", 80);
          if (error == EAGAIN) ++refused;
          if (error == ETIMEDOUT) ++timed_out;
        });
      for (std::thread& thread : threads) thread.join();
      notes.values[0] = refused;
      notes.values[1] = timed_out;
      return 0;
    });
    Config config = make_config({"93.184.215.0/24"});
    config.connect_timeout_ms = 2'000;
    config.pending_max = 4;
    rig.configure(config);
    REQUIRE(rig.wait() == 0);
    CHECK(rig.notes->values[0] == 8);
    CHECK(rig.notes->values[1] == 4);
    CHECK(rig.counted(Outcome::kDeniedLimit, 8) == 8);
  }
  SECTION("in a second") {
    Rig rig([](Notes& notes) {
      for (int i = 0; i < 100; ++i) {
        UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        const int error = connect_fd(fd.get(), "93.184.215.14", 80);
        notes.values[0] += error == 0 || error == EINPROGRESS;
        notes.values[1] += error == EAGAIN;
      }
      return 0;
    });
    Config config = make_config({"93.184.215.0/24"});
    config.rate = 1;
    config.burst = 10;
    rig.configure(config);
    REQUIRE(rig.wait() == 0);
    CHECK(rig.notes->values[0] >= 10);
    CHECK(rig.notes->values[0] <= 15);  // the burst, and one more a second that the loop takes
    CHECK(rig.notes->values[0] + rig.notes->values[1] == 100);
  }
}

TEST_CASE("without its agent a worker connects to nothing") {
  HEARTH_NEED_NETWORK();
  Rig rig([](Notes& notes) {
    notes.values[0] = reach("93.184.215.14", 80);
    notes.values[8] = 1;
    while (*static_cast<volatile int*>(&notes.values[9]) == 0) std::this_thread::yield();
    notes.values[1] = reach("93.184.215.14", 80);
    notes.values[2] = reach("127.0.0.1", 80);
    return 0;
  });
  rig.configure(make_config({"93.184.215.0/24"}));
  while (*static_cast<volatile int*>(&rig.notes->values[8]) == 0) std::this_thread::yield();
  rig.kill_agent();
  *static_cast<volatile int*>(&rig.notes->values[9]) = 1;
  REQUIRE(rig.wait() == 0);
  CHECK(rig.notes->values[0] == 0);
  CHECK(rig.notes->values[1] == ENOSYS);
  CHECK(rig.notes->values[2] == ENOSYS);
}

TEST_CASE("the agent ends with its sandbox, with the engine, and on rules that make no sense") {
  HEARTH_NEED_NETWORK();
  SECTION("sandbox") {
    Rig rig([](Notes&) { return 0; });
    rig.configure(make_config({}));
    REQUIRE(rig.wait() == 0);
    CHECK(rig.agent_ends());
  }
  SECTION("rules twice") {
    Rig rig([](Notes&) { return pause(); });
    rig.configure(make_config({}));
    rig.configure(make_config({}));
    CHECK(rig.agent_ends());
  }
  SECTION("bad rules") {
    Rig rig([](Notes&) { return pause(); });
    Config config = make_config({});
    config.rules_count = 65;
    rig.configure(config);
    CHECK(rig.agent_ends());
  }
}

}  // namespace
}  // namespace hearth::sandbox::egress
