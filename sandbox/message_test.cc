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
  config.tmp_max = 4 << 20;
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
  CHECK(refused([](auto& c) { c.tmp_bytes = c.tmp_max + 1; }));
  CHECK(refused([](auto& c) { c.tmp_max = (1ull << 46) + 1; }));
  CHECK(refused([](auto& c) { c.allow_host_network = 2; }));
  CHECK(refused(
      [](auto& c) { c.runtimes[0].environment_skips = c.runtimes[0].args_count + uint8_t{1}; }));
  CHECK(refused([](auto& c) { c.nofile = 3; }));
  CHECK(refused([](auto& c) { c.nproc = 1; }));
  CHECK(refused([](auto& c) { set_text(c.code_dir, "code"); }));
  CHECK(refused([](auto& c) { memset(c.shim_dir, '/', sizeof c.shim_dir); }));
  CHECK(refused([](auto& c) { c.runtimes_count = 0; }));
  CHECK(refused([](auto& c) { c.runtimes_count = kRuntimesMax + 1; }));
  CHECK(refused([](auto& c) { set_text(c.runtimes[0].name, "../x"); }));
  CHECK(refused([](auto& c) { set_text(c.runtimes[0].path, "bin/python3"); }));
  CHECK(refused([](auto& c) { c.runtimes[0].args_count = kArgsMax + 1; }));
  CHECK_FALSE(refused([](auto& c) { c.runtimes[0].zygote = 1; }));
  CHECK(refused([](auto& c) { c.runtimes[0].zygote = 2; }));
  CHECK(refused([](auto& c) { c.runtimes[1].zygote = 1; }));  // no interpreter
  CHECK(refused([](auto& c) {
    c.runtimes[1] = c.runtimes[0];
    c.runtimes[0].zygote = c.runtimes[1].zygote = 1;
  }));
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
  CHECK(refused(0, [](auto& s) { s.tmp_bytes = kTmpMin - 1; }));
  CHECK(refused(0, [](auto& s) { s.tmp_bytes = (4 << 20) + 1; }));
  CHECK(refused(0, [](auto& s) { s.cpu_millis = kCpuMillisMin - 1; }));
  CHECK(refused(0, [](auto& s) { s.cpu_millis = kCpuMillisMax + 1; }));
  CHECK(refused(0, [](auto& s) { s.network = 2; }));
  CHECK(refused(0, [](auto& s) { s.network = 3; }));
  CHECK(refused(0, [](auto& s) { set_text(s.entry, "x"); }));
  CHECK(!refused(1, [](auto&) {}));
  CHECK(refused(1, [](auto& s) { s.code[63] = 'A'; }));
  CHECK(refused(1, [](auto& s) { s.code[5] = '/'; }));
  CHECK(refused(1, [](auto& s) { memset(s.code, 0, sizeof s.code); }));
  CHECK(refused(1, [](auto& s) { memset(s.entry, 'x', sizeof s.entry); }));
  CHECK(refused(1, [](auto& s) { set_text(s.entry, ""); }));
}

TEST_CASE("a spawn names the size of its tmp its CPU quota and its network") {
  Request request;
  SpawnRequest spawn = good_spawn(0);
  REQUIRE(check(spawn, request) == Check::kGood);
  CHECK(request.tmp_bytes == 1 << 20);
  CHECK(request.cpu_millis == 0);
  CHECK(request.network == Network::kNone);
  spawn.tmp_bytes = 2 << 20;
  spawn.cpu_millis = 500;
  spawn.network = static_cast<uint8_t>(Network::kEgress);
  REQUIRE(check(spawn, request) == Check::kGood);
  CHECK(request.tmp_bytes == 2 << 20);
  CHECK(request.cpu_millis == 500);
  CHECK(request.network == Network::kEgress);
  SpawnerConfig config = good_config();
  config.allow_host_network = 1;
  spawn.network = static_cast<uint8_t>(Network::kHost);
  Failure why;
  REQUIRE(check_request(bytes_of(spawn), config, request, why) == Check::kGood);
  CHECK(request.network == Network::kHost);
}

TEST_CASE("an own environment is for a worker with code and for no zygote") {
  SpawnRequest spawn = good_spawn(0);
  Request request;
  REQUIRE(check(spawn, request) == Check::kGood);
  CHECK_FALSE(request.own_environment);
  spawn.own_environment = 1;
  std::string(kSha256Hex, '7').copy(spawn.code, kSha256Hex);
  REQUIRE(check(spawn, request) == Check::kGood);
  CHECK(request.own_environment);
  SpawnRequest wrong = spawn;
  wrong.own_environment = 2;
  CHECK(check(wrong, request) == Check::kRefuse);
  wrong = spawn;
  wrong.family = 1;
  CHECK(check(wrong, request) == Check::kRefuse);
  wrong = spawn;
  memset(wrong.code, 0, sizeof wrong.code);
  CHECK(check(wrong, request) == Check::kRefuse);
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
  assign.cpu_millis = 250;
  REQUIRE(check(assign, request) == Check::kGood);
  CHECK(request.cpu_millis == 250);
  assign.cpu_millis = 1;
  CHECK(check(assign, request) == Check::kRefuse);
}

TEST_CASE("a kill a freeze and a thaw name a slot and a generation") {
  for (const MessageType type :
       {MessageType::kKill, MessageType::kFreeze, MessageType::kThaw, MessageType::kKillLeftovers,
        MessageType::kCountLeftovers, MessageType::kTerminate}) {
    SlotRequest message{{kSpawnerMagic, type}, 1, 2};
    Request request;
    REQUIRE(check(message, request) == Check::kGood);
    CHECK(request.type == type);
    CHECK(request.slot == 1);
    CHECK(request.generation == 2);
    message.slot = 99;
    CHECK(check(message, request) == Check::kRefuse);
    const auto bytes = bytes_of(message);
    const SpawnerConfig config = good_config();
    Failure why;
    CHECK(check_request(bytes.first(bytes.size() - 1), config, request, why) == Check::kDrop);
  }
}

}  // namespace hearth::sandbox
