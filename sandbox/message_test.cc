// Whatever comes over the control socket is checked field by field.
#include "sandbox/message.h"

#include <string>
#include <vector>

#include "sandbox/start.h"
#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

SpawnerConfig good_config() {
  SpawnerConfig config{};
  config.header = {kSpawnerMagic, MessageType::kConfig};
  config.mode = Mode::kStrict;
  config.uid_base = 100000;
  config.slots_max = 4;
  config.memory_max = 256 << 20;
  config.tmp_bytes = 1 << 20;
  config.nofile = 64;
  config.nproc = 16;
  set_text(config.code_dir, "/code");
  set_text(config.shim_dir, "/shims");
  config.runtimes_count = 2;
  set_text(config.runtimes[0].name, "python3");
  set_text(config.runtimes[0].path, "/usr/bin/python3");
  set_text(config.runtimes[1].name, "native");
  return config;
}

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

bool good(const SpawnerConfig& config) {
  static SpawnerConfig out;
  return !check_config(bytes_of(config), out);
}

SpawnRequest good_spawn(uint32_t runtime) {
  SpawnRequest spawn{};
  spawn.header = {kSpawnerMagic, MessageType::kSpawn};
  spawn.slot = 3;
  spawn.generation = 9;
  spawn.runtime = runtime;
  if (runtime == 1) {
    std::string(kSha256Hex, 'a').copy(spawn.code, kSha256Hex);
    set_text(spawn.entry, "bin/x");
  }
  return spawn;
}

template <class T>
Check check(const T& message, Request& request) {
  static const SpawnerConfig config = good_config();
  Failure why;
  return check_request(bytes_of(message), config, request, why);
}

}  // namespace

TEST_CASE("a configuration is taken or refused as a whole") {
  CHECK(good(good_config()));
  const auto refused = [](auto change) {
    static SpawnerConfig config;
    config = good_config();
    change(config);
    return !good(config);
  };
  CHECK(refused([](auto& c) { c.header.magic = 0; }));
  CHECK(refused([](auto& c) { c.header.type = MessageType::kSpawn; }));
  CHECK(refused([](auto& c) { c.mode = static_cast<Mode>(4); }));
  CHECK(refused([](auto& c) { c.slots_max = 0; }));
  CHECK(refused([](auto& c) { c.slots_max = kSlotsMax + 1; }));
  CHECK(refused([](auto& c) { c.uid_base = 0; }));
  CHECK(refused([](auto& c) { c.uid_base = 0xfffffff8; }));
  CHECK(refused([](auto& c) { c.memory_max = kMemoryMin - 1; }));
  CHECK(refused([](auto& c) { c.tmp_bytes = 0; }));
  CHECK(refused([](auto& c) { c.nofile = 3; }));
  CHECK(refused([](auto& c) { c.nproc = 1; }));
  CHECK(refused([](auto& c) { set_text(c.code_dir, "code"); }));
  CHECK(refused([](auto& c) { memset(c.shim_dir, '/', sizeof c.shim_dir); }));
  CHECK(refused([](auto& c) { c.runtimes_count = 0; }));
  CHECK(refused([](auto& c) { c.runtimes_count = kRuntimesMax + 1; }));
  CHECK(refused([](auto& c) { set_text(c.runtimes[0].name, "../x"); }));
  CHECK(refused([](auto& c) { set_text(c.runtimes[0].path, "bin/python3"); }));
  CHECK(refused([](auto& c) { c.runtimes[0].args_count = kArgsMax + 1; }));
  CHECK(refused([](auto& c) {
    c.runtimes[0].args_count = 1;
    memset(c.runtimes[0].args[0], 'x', sizeof c.runtimes[0].args[0]);
  }));
}

TEST_CASE("a message of the wrong size magic or type is dropped") {
  Request request;
  SpawnRequest spawn = good_spawn(0);
  CHECK(check(spawn, request) == Check::kGood);
  const std::span<const std::byte> bytes = bytes_of(spawn);
  const SpawnerConfig config = good_config();
  Failure why;
  for (const size_t size : {size_t{0}, size_t{1}, sizeof(Header), sizeof spawn - 1})
    CHECK(check_request(bytes.first(size), config, request, why) == Check::kDrop);
  spawn.header.magic ^= 1;
  CHECK(check(spawn, request) == Check::kDrop);
  spawn = good_spawn(0);
  for (const MessageType type : {MessageType::kConfig, MessageType::kReady, MessageType::kAssign,
                                 static_cast<MessageType>(77)}) {
    spawn.header.type = type;
    CHECK(check(spawn, request) == Check::kDrop);
  }
}

TEST_CASE("a spawn stays within the tables and ceilings") {
  Request request;
  SpawnRequest spawn = good_spawn(0);
  CHECK(check(spawn, request) == Check::kGood);
  CHECK(request.memory_bytes == 256 << 20);
  CHECK(!request.has_code);
  CHECK(request.slot == 3);
  CHECK(request.generation == 9);
  const auto refused = [&](uint32_t runtime, auto change) {
    spawn = good_spawn(runtime);
    change(spawn);
    return check(spawn, request) == Check::kRefuse;
  };
  CHECK(refused(0, [](auto& s) { s.slot = 4; }));
  CHECK(refused(0, [](auto& s) { s.runtime = 2; }));
  CHECK(refused(0, [](auto& s) { s.memory_bytes = (256 << 20) + 1; }));
  CHECK(refused(0, [](auto& s) { s.memory_bytes = 1; }));
  CHECK(refused(0, [](auto& s) { s.code[0] = 'a'; }));
  CHECK(refused(0, [](auto& s) { set_text(s.entry, "x"); }));
  CHECK(!refused(1, [](auto&) {}));
  CHECK(refused(1, [](auto& s) { s.code[63] = 'A'; }));
  CHECK(refused(1, [](auto& s) { s.code[5] = '/'; }));
  CHECK(refused(1, [](auto& s) { memset(s.code, 0, sizeof s.code); }));
  CHECK(refused(1, [](auto& s) { memset(s.entry, 'x', sizeof s.entry); }));
  CHECK(refused(1, [](auto& s) { set_text(s.entry, ""); }));
}

TEST_CASE("an entry is a plain relative path") {
  for (const char* entry : {"x", "a/b", "a.b/..c", "...", "bin/handler.so"})
    CHECK(entry_is_plain(entry));
  for (const char* entry :
       {"", "/", "/x", "x/", "a//b", ".", "..", "../x", "a/../b", "a/.", "./a", "a\nb", "\x7f"})
    CHECK(!entry_is_plain(entry));
}

TEST_CASE("an assignment needs a hash") {
  AssignRequest assign{};
  assign.header = {kSpawnerMagic, MessageType::kAssign};
  Request request;
  CHECK(check(assign, request) == Check::kRefuse);
  std::string(kSha256Hex, '7').copy(assign.code, kSha256Hex);
  CHECK(check(assign, request) == Check::kGood);
  CHECK(std::string(request.code) == std::string(kSha256Hex, '7'));
  KillRequest kill{{kSpawnerMagic, MessageType::kKill}, 1, 2};
  CHECK(check(kill, request) == Check::kGood);
  kill.slot = 99;
  CHECK(check(kill, request) == Check::kRefuse);
}

}  // namespace hearth::sandbox
