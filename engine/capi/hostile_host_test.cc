// Hosts that do what no host should: each gets an error or its right, and nothing hangs or leaks.
#include <dlfcn.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <hearth/hearth.hpp>
#include <stdexcept>

#include "capi/test_rig.h"

using namespace hearth_test;

namespace {

long resident_kb() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("VmRSS:")) return std::atol(line.c_str() + 6);
  }
  return 0;
}

// Structures whose struct_size is not theirs.
constexpr uint32_t kWrongSizes[] = {0, 1, 7, 4'097, UINT32_MAX};

}  // namespace

TEST_CASE("every structure with a wrong size is refused") {
  Engine engine;
  REQUIRE(engine.define("f", echo) == "");
  for (const uint32_t size : kWrongSizes) {
    INFO(size);
    hearth_options_t options;
    HEARTH_INIT(&options);
    options.struct_size = size;
    hearth_engine_t* opened = nullptr;
    CHECK(take(hearth_engine_open(&options, &opened)) == "config_invalid");
    hearth_request_t request;
    HEARTH_INIT(&request);
    request.function = "f";
    request.struct_size = size;
    Ended ended;
    CHECK(take(hearth_invoke_async(engine.handle, &request, Ended::done, &ended, nullptr)) ==
          "invalid_parameter");
    hearth_host_function_t function;
    HEARTH_INIT(&function);
    function.name = "g";
    function.handler = echo;
    function.struct_size = size;
    CHECK(take(hearth_function_define(engine.handle, &function, 0)) == "invalid_parameter");
    hearth_file_t file;
    HEARTH_INIT(&file);
    file.path = "app.py";
    file.struct_size = size;
    hearth_source_t source;
    HEARTH_INIT(&source);
    source.files = &file;
    source.file_count = 1;
    source.name = "h";
    CHECK(take(hearth_function_load(engine.handle, &source, 0, nullptr)) == "invalid_parameter");
    HEARTH_INIT(&file);
    source.struct_size = size;
    CHECK(take(hearth_function_load(engine.handle, &source, 0, nullptr)) == "invalid_parameter");
    CHECK(ended.count == 0);
  }
  CHECK(engine.invoke("f", "1") == "1");
}

TEST_CASE("what is NULL for success or for nothing can be read and freed") {
  CHECK(hearth_error_name(nullptr) == std::string());
  CHECK(hearth_error_message(nullptr) == std::string());
  CHECK(hearth_error_code(nullptr) + hearth_error_http_status(nullptr) == 0);
  CHECK(hearth_error_retryable(nullptr) == 0);
  hearth_error_free(nullptr);
  hearth_reply_release(nullptr);
  hearth_text_free(nullptr);
  hearth_call_cancel(nullptr);
  hearth_call_release(nullptr);
  CHECK(take(hearth_engine_close(nullptr, 0)) == "");
}

TEST_CASE("a great many cancelled calls each end once and leave nothing behind") {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  const int rounds = scaled(20'000, 5'000);
#else
  const int rounds = scaled(100'000, 20'000);
#endif
  struct Count {
    static void done(void* ctx, const hearth_outcome_t*) {
      static_cast<Count*>(ctx)->ended.fetch_add(1);
    }
    std::atomic<int> ended{0};
  } count;
  Engine engine;
  REQUIRE(engine.define("f", echo, nullptr, 4) == "");
  const auto run = [&](int calls) {
    for (int i = 0; i < calls; ++i) {
      hearth_request_t request;
      HEARTH_INIT(&request);
      request.function = "f";
      request.payload = bytes("[1]");
      hearth_call_t* call = nullptr;
      hearth_error_t* error =
          hearth_invoke_async(engine.handle, &request, Count::done, &count, &call);
      if (error != nullptr) {  // so many are in flight: some have to end first
        CHECK(hearth_error_retryable(error) == 1);
        hearth_error_free(error);
        std::this_thread::yield();
        --i;
        continue;
      }
      hearth_call_cancel(call);
      hearth_call_cancel(call);
      hearth_call_release(call);
    }
  };
  run(rounds / 2);
  while (count.ended != rounds / 2) std::this_thread::yield();
  const long before = resident_kb();
  run(rounds / 2);
  while (count.ended != 2 * (rounds / 2)) std::this_thread::yield();
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
  CHECK(resident_kb() < before + 8 * 1024);
#else
  static_cast<void>(before);
#endif
  CHECK(engine.invoke("f", "2") == "2");
}

TEST_CASE("a handler that throws fails its call, and the next one is served") {
  hearth::Options options;
  options.config_yaml = kSmall;
  auto engine = hearth::Engine::open(std::move(options));
  REQUIRE(engine);
  std::atomic<bool> kept_one{false};
  REQUIRE(engine->define("throws", [](hearth::Incoming) { throw std::runtime_error("no"); }));
  REQUIRE(engine->define("late", [&](hearth::Incoming call) {
    call.reply(call.event());
    kept_one = true;
    throw 7;
  }));
  for (int round = 0; round < 3; ++round) {
    const auto reply = engine->invoke("throws", "1");
    REQUIRE(reply);
    CHECK(reply->is_error());
    CHECK(reply->payload().find("exception") != std::string_view::npos);
    CHECK(engine->invoke("late", "2")->payload() == "2");
  }
  CHECK(kept_one);
}

TEST_CASE("what is asked for inside of a callback can't close or block") {
  struct Asked {
    static void handler(void* ctx, hearth_incoming_t* call, hearth_bytes_t) {
      auto& self = *static_cast<Asked*>(ctx);
      self.errors = take(hearth_engine_close(self.engine, 0)) + " " +
                    take(hearth_function_remove(self.engine, "f", 0)) + " " +
                    take(hearth_engine_step(self.engine, 0));
      hearth_incoming_reply(call, bytes("1"));
    }
    hearth_engine_t* engine = nullptr;
    std::string errors;
  } asked;
  for (const uint32_t flags : {0u, uint32_t{HEARTH_HOST_DRIVEN}}) {
    Engine engine(flags);
    asked.engine = engine.handle;
    REQUIRE(engine.define("f", Asked::handler, &asked) == "");
    CHECK(engine.invoke("f", "1") == "1");
    CHECK(asked.errors == std::string("would_deadlock would_deadlock ") +
                              (flags == 0 ? "not_supported" : "would_deadlock"));
    CHECK(engine.invoke("f", "1") == "1");
  }
}

TEST_CASE(
    "a host that forks while an engine runs keeps it, and closing does not wait for the child") {
  Engine engine;
  REQUIRE(engine.load("f", kEcho) == "");
  REQUIRE(engine.invoke("f", "1") == "1");
  int go[2];
  REQUIRE(::pipe(go) == 0);
  const pid_t child = ::fork();  // holds copies of all descriptors until it is told to end
  if (child == 0) {
    ::close(go[1]);
    char byte = 0;
    ::_exit(static_cast<int>(::read(go[0], &byte, 1)));
  }
  ::close(go[0]);
  CHECK(engine.invoke("f", "2") == "2");
  const auto begin = std::chrono::steady_clock::now();
  CHECK(engine.close() == "");
  CHECK(std::chrono::steady_clock::now() - begin < 4s);
  ::close(go[1]);
  int status = -1;
  CHECK(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);  // the spawner has ended
}

#ifdef HEARTH_LIBRARY
TEST_CASE("the library is loaded and unloaded many times") {
  for (int round = 0; round < 200; ++round) {
    void* library = ::dlopen(HEARTH_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    REQUIRE(library != nullptr);
    REQUIRE(::dlsym(library, "hearth_version") != nullptr);
    REQUIRE(::dlclose(library) == 0);
  }
}
#endif
