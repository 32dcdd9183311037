// Opening and closing: options, temporary state, refusals, leaks.
#include <dirent.h>

#include <thread>

#include "capi/test_rig.h"

using namespace hearth_test;

namespace {

std::string open_error(hearth_options_t options) {
  hearth_engine_t* engine = nullptr;
  const std::string error = take(hearth_engine_open(&options, &engine));
  CHECK((engine == nullptr) == !error.empty());
  take(hearth_engine_close(engine, 0));
  return error;
}

hearth_options_t some_options() {
  hearth_options_t options;
  HEARTH_INIT(&options);
  options.config_yaml = kSmall;
  return options;
}

size_t entries(const char* folder) {
  size_t count = 0;
  DIR* dir = ::opendir(folder);
  while (::readdir(dir) != nullptr) ++count;
  ::closedir(dir);
  return count;
}

long resident_kb() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmRSS:")) return std::atol(line.c_str() + 6);
  }
  return 0;
}

}  // namespace

TEST_CASE("an engine opens on nothing but defaults") {
  hearth_engine_t* engine = nullptr;
  REQUIRE(take(hearth_engine_open(nullptr, &engine)) == "");
  CHECK(hearth_engine_address(engine) == nullptr);
  CHECK(hearth_engine_fd(engine) == -1);
  CHECK(std::string(hearth_engine_sandbox(engine)) != "");
  CHECK(take(hearth_engine_close(engine, 0)) == "");
  CHECK(take(hearth_engine_close(nullptr, 0)) == "");
  CHECK(hearth_abi_version() == HEARTH_ABI_VERSION);
}

TEST_CASE("a configuration comes from a file or a text") {
  TestFolder folder;
  folder.write("hearth.yaml", "pool: {python3: 0, nodejs: 0}\nlimits: {calls: 7}\n");
  const std::string path = folder.path() + "/hearth.yaml";
  hearth_options_t options;
  HEARTH_INIT(&options);
  options.config_path = path.c_str();
  CHECK(open_error(options) == "");
  options.config_yaml = "";
  CHECK(open_error(options) == "config_invalid");
  options.config_path = nullptr;
  options.config_yaml = "pool: {pyton3: 1}";
  CHECK(open_error(options) == "config_invalid");
  options.config_yaml = nullptr;
  options.config_path = "/nonexistent/hearth.yaml";
  CHECK(open_error(options) == "io_failed");
}

TEST_CASE("options that can't be met are refused") {
  hearth_options_t options = some_options();
  options.sandbox = "very";
  CHECK(open_error(options) == "config_invalid");
  options.sandbox = "off";
  CHECK(open_error(options) == "sandbox_unavailable");
  options = some_options();
  options.state_dir = "relative";
  CHECK(open_error(options) == "config_invalid");
  options.state_dir = "/proc/nowhere";
  CHECK(open_error(options) == "state_unusable");
  options = some_options();
  options.listen = "0.0.0.0:0";
  CHECK(open_error(options) == "listen_not_allowed");
  options = some_options();
  options.flags = 1u << 31;
  CHECK(open_error(options) == "config_invalid");
  options = some_options();
  options.log_level = 9;
  CHECK(open_error(options) == "config_invalid");
}

TEST_CASE("structures of other versions are understood or refused") {
  hearth_options_t options = some_options();
  options.struct_size = 0;
  CHECK(open_error(options) == "config_invalid");
  struct {
    hearth_options_t known;
    uint64_t later;
  } newer;
  HEARTH_INIT(&newer);
  newer.known.config_yaml = kSmall;
  hearth_engine_t* engine = nullptr;
  REQUIRE(take(hearth_engine_open(&newer.known, &engine)) == "");
  take(hearth_engine_close(engine, 0));
  newer.later = 1;
  CHECK(take(hearth_engine_open(&newer.known, &engine)) == "config_invalid");
}

TEST_CASE("a listener is opened only when it is asked for") {
  hearth_options_t options = some_options();
  options.config_yaml = "pool: {python3: 0, nodejs: 0}\nlisten: 127.0.0.1:1\n";
  options.listen = "127.0.0.1:0";
  hearth_engine_t* engine = nullptr;
  REQUIRE(take(hearth_engine_open(&options, &engine)) == "");
  CHECK(std::string(hearth_engine_address(engine)).starts_with("127.0.0.1:"));
  take(hearth_engine_close(engine, 0));
}

TEST_CASE("a state folder keeps its functions, and belongs to one engine at a time") {
  TestFolder folder;
  hearth_options_t options = some_options();
  const std::string state = folder.path() + "/state";
  options.state_dir = state.c_str();
  for (int round = 0; round < 2; ++round) {
    Engine engine;
    engine.close();
    REQUIRE(take(hearth_engine_open(&options, &engine.handle)) == "");
    hearth_engine_t* second = nullptr;
    CHECK(take(hearth_engine_open(&options, &second)) == "state_unusable");
    if (round == 0) CHECK(engine.load("kept", kEcho) == "");
    CHECK(engine.invoke("kept", "[1]") == "[1]");
  }
  CHECK(std::filesystem::exists(state));
}

TEST_CASE("a temporary state folder is private and goes with its engine, also when opening fails") {
  TestFolder folder;
  ::setenv("TMPDIR", folder.path().c_str(), 1);
  folder.write("hearth-state-killed/temporary", "");
  folder.write("hearth-state-killed/lock", "1");
  {
    Engine engine;
    CHECK(entries(folder.path().c_str()) == 3);
    for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
      CHECK(entry.status().permissions() == std::filesystem::perms::owner_all);
  }
  CHECK(entries(folder.path().c_str()) == 2);
  hearth_options_t options = some_options();
  options.sandbox = "off";
  CHECK(open_error(options) == "sandbox_unavailable");
  CHECK(entries(folder.path().c_str()) == 2);
  ::unsetenv("TMPDIR");
}

TEST_CASE("two engines live in one process") {
  Engine a;
  Engine b;
  REQUIRE(a.load("f", "def handler(e, c):\n    return 'a'\n") == "");
  REQUIRE(b.load("f", "def handler(e, c):\n    return 'b'\n") == "");
  CHECK(a.invoke("f", "1") == "\"a\"");
  CHECK(b.invoke("f", "1") == "\"b\"");
  a.close();
  CHECK(b.invoke("f", "1") == "\"b\"");
}

TEST_CASE("what blocks is refused inside a log function") {
  struct Log {
    static void write(void* ctx, int level, const char* area, hearth_bytes_t) {
      auto& self = *static_cast<Log*>(ctx);
      hearth_engine_t* engine = nullptr;
      const std::lock_guard<std::mutex> lock(self.mutex);
      self.well_formed = self.well_formed && level >= HEARTH_LOG_DEBUG && area[0] != '\0';
      hearth_error_t* error = hearth_engine_open(nullptr, &engine);
      self.error = hearth_error_name(error);
      hearth_error_free(error);
    }
    std::mutex mutex;
    std::string error;
    bool well_formed = true;
  } log;
  hearth_options_t options = some_options();
  options.log = Log::write;
  options.log_ctx = &log;
  CHECK(open_error(options) == "");
  CHECK(log.error == "would_deadlock");
  CHECK(log.well_formed);
}

TEST_CASE("opening and closing many times leaks nothing") {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  constexpr int kRounds = 200;
#else
  constexpr int kRounds = 1'000;
#endif
  const auto once = [] {
    hearth_options_t options;
    HEARTH_INIT(&options);
    options.config_yaml = "pool: {python3: 0, nodejs: 0}\n";
    hearth_engine_t* engine = nullptr;
    REQUIRE(take(hearth_engine_open(&options, &engine)) == "");
    REQUIRE(take(hearth_engine_close(engine, 0)) == "");
  };
  for (int i = 0; i < 5; ++i) once();
  const size_t fds = entries("/proc/self/fd");
  const size_t threads = entries("/proc/self/task");
  const long before = resident_kb();
  for (int i = 0; i < scaled(kRounds); ++i) once();
  CHECK(entries("/proc/self/fd") == fds);
  CHECK(entries("/proc/self/task") == threads);
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
  CHECK(resident_kb() < before + 8 * 1024);
#else
  static_cast<void>(before);
#endif
}
