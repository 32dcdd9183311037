// The environment that a worker's process reads before its exec: what comes out of a frame, and
// what is refused. It comes from the engine, but a bug there must not become one here.
#include "sandbox/environment.h"

#include <sys/socket.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

const char* const kBase[] = {"PATH=/bin", "HOME=/tmp", nullptr};

std::string frame(const std::string& payload, char type = 0x0a, char flags = 0) {
  const auto length = static_cast<uint32_t>(payload.size());
  std::string out(reinterpret_cast<const char*>(&length), 4);
  out += type;
  out += flags;
  return out + std::string(10, '\0') + payload;
}

struct Read {
  int error;
  std::multiset<std::string> entries;
  std::string rest;  // what the frame's reader left
};

// The bytes come one by one up to `slow`.
Read read_of(const std::string& bytes, size_t slow = 0) {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  const UniqueFd here(ends[0]), there(ends[1]);
  std::thread writes([&] {
    size_t at = 0;
    for (; at < slow; ++at)
      if (write(here.get(), bytes.data() + at, 1) != 1) return;
    while (at < bytes.size()) {
      const ssize_t n = send(here.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (n <= 0) break;
      at += static_cast<size_t>(n);
    }
    shutdown(here.get(), SHUT_WR);
  });
  const char* const* envp = nullptr;
  Read out{read_environment(there.get(), kBase, envp).error, {}, {}};
  if (out.error == 0)
    for (; *envp != nullptr; ++envp) out.entries.insert(*envp);
  char buffer[64 << 10];
  for (ssize_t n = 0; (n = read(there.get(), buffer, sizeof buffer)) > 0;)
    out.rest.append(buffer, static_cast<size_t>(n));
  writes.join();
  return out;
}

}  // namespace

TEST_CASE("an environment is taken with what the base has beside it") {
  const std::string entries("A=1\0LD_LIBRARY_PATH=/var/task/lib\0PATH=/own\0EMPTY=\0", 51);
  for (const size_t slow : {size_t{0}, size_t{40}}) {
    const Read read = read_of(frame(entries) + "what follows", slow);
    CHECK(read.error == 0);
    CHECK(read.entries == std::multiset<std::string>{"A=1", "LD_LIBRARY_PATH=/var/task/lib",
                                                     "PATH=/own", "EMPTY=", "HOME=/tmp"});
    CHECK(read.rest == "what follows");
  }
  CHECK(read_of(frame("")).entries == std::multiset<std::string>{"PATH=/bin", "HOME=/tmp"});
  // A name that begins as another does is another.
  CHECK(read_of(frame(std::string("PATH2=x\0", 8))).entries.count("PATH=/bin") == 1);
}

TEST_CASE("the protocol's golden frame is read") {
  std::ifstream file(HEARTH_GOLDEN_FRAMES "/environment.bin", std::ios::binary);
  REQUIRE(file);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  CHECK(read_of(bytes).entries == std::multiset<std::string>{"GREETING=grüß",
                                                             "LD_LIBRARY_PATH=/var/task/lib",
                                                             "EMPTY=", "PATH=/bin", "HOME=/tmp"});
}

TEST_CASE("what is no environment is refused") {
  CHECK(read_of("").error == EPIPE);
  CHECK(read_of(frame("A=1\0").substr(0, 9)).error == EPIPE);
  CHECK(read_of(frame(std::string("A=1\0", 4)).substr(0, 18)).error == EPIPE);
  CHECK(read_of(frame("A=1")).error == EPROTO);
  CHECK(read_of(frame(std::string("A\0", 2))).error == EPROTO);
  CHECK(read_of(frame(std::string("=1\0", 3))).error == EPROTO);
  CHECK(read_of(frame(std::string("\0", 1))).error == EPROTO);
  CHECK(read_of(frame(std::string("A=1\0", 4), 0x01)).error == EPROTO);
  CHECK(read_of(frame(std::string("A=1\0", 4), 0x0a, 1)).error == EPROTO);
  CHECK(read_of(frame(std::string(kEnvironmentBytesMax + 1, '\0'))).error == E2BIG);
}

TEST_CASE("an environment may be as large as its limits") {
  std::string entries;
  for (size_t i = 0; i + 2 < kEnvironmentEntriesMax; ++i) entries += std::string("A=\0", 3);
  REQUIRE(entries.size() < kEnvironmentBytesMax);
  CHECK(read_of(frame(entries)).entries.size() == kEnvironmentEntriesMax);
  CHECK(read_of(frame(entries + std::string("A=\0", 3))).error == E2BIG);
  const std::string whole = "A=" + std::string(kEnvironmentBytesMax - 3, 'x') + '\0';
  CHECK(read_of(frame(whole)).error == 0);
}

}  // namespace hearth::sandbox
