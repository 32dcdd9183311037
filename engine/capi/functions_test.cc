// Loading, defining, removing; and a function that moves while it is called.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "capi/test_rig.h"

using namespace hearth_test;

TEST_CASE("a function is loaded from a folder, with another manifest, or under another name") {
  TestFolder folder;
  folder.write("app.py", "import os\ndef handler(e, c):\n    return os.environ.get('WHO', '')\n");
  folder.write("function.yaml", "name: own\nenvironment: {WHO: own}\n");
  folder.write("other.yaml", "name: other\nenvironment: {WHO: other}\n");
  const std::string other = folder.path() + "/other.yaml";
  Engine engine;
  hearth_source_t source;
  HEARTH_INIT(&source);
  source.folder = folder.path().c_str();
  char revision[65];
  CHECK(take(hearth_function_load(engine.handle, &source, 0, revision)) == "");
  CHECK(std::string(revision).size() == 64);
  CHECK(engine.invoke("own", "1") == "\"own\"");
  source.manifest_path = other.c_str();
  CHECK(take(hearth_function_load(engine.handle, &source, 0, nullptr)) == "");
  CHECK(engine.invoke("other", "1") == "\"other\"");
  source.manifest_yaml = "environment: {WHO: text}";
  source.name = "third";
  CHECK(take(hearth_function_load(engine.handle, &source, 0, nullptr)) == "");
  CHECK(engine.invoke("third", "1") == "\"text\"");
}

TEST_CASE("the same code has the same revision; new code serves the next call") {
  Engine engine;
  REQUIRE(engine.load("f", kEcho) == "");
  const std::string first = engine.revision;
  REQUIRE(engine.load("f", kEcho) == "");
  CHECK(engine.revision == first);
  CHECK(engine.invoke("f", "1") == "1");
  REQUIRE(engine.load("f", "def handler(e, c):\n    return 'new'\n") == "");
  CHECK(engine.revision != first);
  CHECK(engine.invoke("f", "1") == "\"new\"");
}

TEST_CASE("what can't be loaded is refused") {
  Engine engine;
  CHECK(engine.load(nullptr, kEcho) == "manifest_invalid");
  CHECK(engine.load("f", kEcho, "runtime: perl") == "manifest_invalid");
  CHECK(engine.load("bad name", kEcho) == "manifest_invalid");
  hearth_source_t source;
  HEARTH_INIT(&source);
  source.name = "f";
  CHECK(take(hearth_function_load(engine.handle, &source, 0, nullptr)) == "invalid_parameter");
  source.folder = "/nonexistent";
  CHECK(take(hearth_function_load(engine.handle, &source, 0, nullptr)) == "io_failed");
  hearth_file_t file{};
  source.folder = nullptr;
  source.files = &file;
  source.file_count = 1;
  CHECK(take(hearth_function_load(engine.handle, &source, 0, nullptr)) == "invalid_parameter");
  HEARTH_INIT(&file);
  file.path = "../app.py";
  source.manifest_yaml = "runtime: python3\nhandler: app.handler";
  CHECK(take(hearth_function_load(engine.handle, &source, 0, nullptr)) == "archive_invalid");
}

TEST_CASE("a host function covers a loaded one until it is removed") {
  Engine engine;
  REQUIRE(engine.load("f", "def handler(e, c):\n    return 'worker'\n") == "");
  REQUIRE(engine.define("f", echo) == "");
  CHECK(engine.invoke("f", "1") == "1");
  CHECK(take(hearth_function_remove(engine.handle, "f", 0)) == "");
  CHECK(engine.invoke("f", "1") == "\"worker\"");
  CHECK(take(hearth_function_remove(engine.handle, "f", 0)) == "");
  CHECK(engine.invoke("f", "1") == "!function_unknown");
  CHECK(take(hearth_function_remove(engine.handle, "f", 0)) == "function_unknown");
}

TEST_CASE("bad definitions are refused and their end is not told") {
  static std::atomic<int> removed{0};
  Engine engine;
  const auto on_removed = [](void*) { ++removed; };
  CHECK(engine.define(nullptr, echo) == "invalid_parameter");
  CHECK(engine.define("f", nullptr) == "invalid_parameter");
  CHECK(engine.define("no/slash", echo, nullptr, 1, 0, on_removed) == "invalid_parameter");
  CHECK(engine.define("f", echo, nullptr, 100'000, 0, on_removed) == "invalid_parameter");
  CHECK(removed == 0);
  REQUIRE(engine.define("f", echo, nullptr, 1, 0, on_removed) == "");
  REQUIRE(engine.define("f", echo, nullptr, 1, 0, on_removed) == "");
  CHECK(engine.invoke("f", "2") == "2");
  engine.close();
  CHECK(removed == 2);
}

TEST_CASE("a load that ran past its time changes nothing, also later") {
  Engine engine;
  std::string large(16u << 20, 'x');  // takes more than a millisecond to pack
  std::minstd_rand random(1);
  for (char& byte : large) byte = static_cast<char>(random());
  hearth_file_t files[2];
  HEARTH_INIT(&files[0]);
  HEARTH_INIT(&files[1]);
  files[0].path = "app.py";
  files[0].content = bytes(kEcho);
  files[1].path = "large";
  files[1].content = bytes(large);
  hearth_source_t source;
  HEARTH_INIT(&source);
  source.files = files;
  source.file_count = 2;
  source.name = "late";
  hearth_error_t* error = hearth_function_load(engine.handle, &source, 1, nullptr);
  REQUIRE(error != nullptr);
  CHECK_THAT(hearth_error_message(error), !Catch::Contains("begun"));
  CHECK(take(error) == "timed_out");
  // The next load comes behind it on every thread of the store.
  REQUIRE(engine.load("next", kEcho) == "");
  CHECK(engine.invoke("late", "1") == "!function_unknown");
  CHECK(take(hearth_function_load(engine.handle, &source, 0, nullptr)) == "");
  CHECK(engine.invoke("late", "1") == "1");
}

TEST_CASE("a definition that came too late is not made, and its context comes back") {
  static std::atomic<int> removed{0};
  const auto on_removed = [](void*) { ++removed; };
  Engine engine(HEARTH_HOST_DRIVEN);
  const auto define_elsewhere = [&](const char* name) {
    std::string error;
    std::thread([&] {
      hearth_host_function_t function;
      HEARTH_INIT(&function);
      function.name = name;
      function.handler = echo;
      function.on_removed = on_removed;
      error = take(hearth_function_define(engine.handle, &function, 1));  // nobody drives
    }).join();
    return error;
  };
  REQUIRE(define_elsewhere("late") == "timed_out");
  CHECK(removed == 0);
  CHECK(take(hearth_engine_step(engine.handle, 0)) == "");
  CHECK(removed == 1);
  CHECK(engine.invoke("late", "1") == "!function_unknown");
  REQUIRE(define_elsewhere("never") == "timed_out");
  engine.close();
  CHECK(removed == 2);
}

TEST_CASE("a function moves from the host to a worker under load without a failed call") {
  Engine engine;
  REQUIRE(engine.define("f", echo, nullptr, 4) == "");
  std::atomic<bool> stop{false};
  std::atomic<int> calls{0}, failed{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      while (!stop) {
        const std::string payload = "[" + std::to_string(++calls) + "]";
        hearth_request_t request;
        HEARTH_INIT(&request);
        request.function = "f";
        request.payload = bytes(payload);
        hearth_reply_t* reply = nullptr;
        hearth_error_t* error = hearth_invoke(engine.handle, &request, &reply);
        if (error != nullptr || text(hearth_reply_payload(reply)) != payload) ++failed;
        hearth_error_free(error);
        hearth_reply_release(reply);
      }
    });
  }
  while (calls < 200) std::this_thread::yield();
  const std::string loaded = engine.load("f", kEcho);
  const int at_move = calls;
  while (calls < at_move + 200) std::this_thread::yield();
  const std::string defined = engine.define("f", echo, nullptr, 4);
  const int back = calls;
  while (calls < back + 200) std::this_thread::yield();
  stop = true;
  for (std::thread& caller : callers) caller.join();
  CHECK(loaded == "");
  CHECK(defined == "");
  CHECK(failed == 0);
}

TEST_CASE("metrics, functions and logs are texts") {
  Engine engine;
  REQUIRE(engine.load("f", "def handler(e, c):\n    print('line', e)\n    return e\n") == "");
  for (int i = 1; i <= 3; ++i) REQUIRE(engine.invoke("f", std::to_string(i)) != "");
  hearth_text_t* out = nullptr;
  REQUIRE(take(hearth_engine_metrics(engine.handle, 0, &out)) == "");
  CHECK_THAT(hearth_text_data(out), Catch::Contains("hearth_"));
  CHECK(hearth_text_size(out) == std::string(hearth_text_data(out)).size());
  hearth_text_free(out);
  REQUIRE(take(hearth_engine_functions(engine.handle, 0, &out)) == "");
  CHECK_THAT(hearth_text_data(out), Catch::Contains("\"name\":\"f\""));
  hearth_text_free(out);
  REQUIRE(take(hearth_function_logs(engine.handle, "f", 2, 0, &out)) == "");
  const std::string log = hearth_text_data(out);
  hearth_text_free(out);
  CHECK(std::count(log.begin(), log.end(), '\n') == 2);
  CHECK_THAT(log, Catch::Contains("line 3") && !Catch::Contains("line 1"));
  CHECK(take(hearth_function_logs(engine.handle, "g", 0, 0, &out)) == "function_unknown");
  CHECK(take(hearth_function_logs(engine.handle, nullptr, 0, 0, &out)) == "invalid_parameter");
  CHECK(take(hearth_engine_metrics(engine.handle, 0, nullptr)) == "invalid_parameter");
  CHECK(take(hearth_engine_functions(engine.handle, 0, nullptr)) == "invalid_parameter");
  CHECK(take(hearth_function_logs(engine.handle, "f", 0, 0, nullptr)) == "invalid_parameter");
}

TEST_CASE("a function's lines come as they are written") {
  struct Lines {
    static void add(void* ctx, const hearth_log_line_t* line) {
      auto& self = *static_cast<Lines*>(ctx);
      const std::lock_guard<std::mutex> lock(self.mutex);
      self.all += std::string(line->function) + ":" + text(line->text) + ":" +
                  (line->request_id != nullptr ? std::to_string(strlen(line->request_id)) : "-") +
                  "\n";
    }
    std::mutex mutex;
    std::string all;
  } lines;
  hearth_options_t options;
  HEARTH_INIT(&options);
  options.config_yaml = kSmall;
  options.function_log = Lines::add;
  options.function_log_ctx = &lines;
  Engine engine;
  engine.close();
  REQUIRE(take(hearth_engine_open(&options, &engine.handle)) == "");
  REQUIRE(engine.load("f", "def handler(e, c):\n    print('hello')\n    return e\n") == "");
  CHECK(engine.invoke("f", "1") == "1");
  engine.close();
  CHECK_THAT(lines.all, Catch::Contains("f:hello:36\n"));
}
