// For this folder's tests, which know the public interface only: an engine, small functions, and
// callbacks that can be waited for.
#pragma once
#include <hearth/hearth.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/catch.h"
#include "tests/test_folder.h"

namespace hearth_test {

using namespace std::chrono_literals;

inline constexpr const char* kSmall = "pool: {python3: 1, nodejs: 0}\n";
inline constexpr const char* kEcho = "def handler(event, context):\n    return event\n";

// `full` rounds when HEARTH_TEST_SCALE is 1, as in a full run; a twentieth without it.
inline int scaled(int full, int least = 1) {
  const char* scale = ::getenv("HEARTH_TEST_SCALE");
  const double factor = scale == nullptr ? 0.05 : ::atof(scale);
  return std::max(least, static_cast<int>(full * factor));
}

inline hearth_bytes_t bytes(std::string_view text) { return {text.data(), text.size()}; }
inline std::string text(hearth_bytes_t b) { return {static_cast<const char*>(b.data), b.size}; }

// Catch takes messages from one thread only.
inline const std::thread::id kTestThread = std::this_thread::get_id();

// The error's name, "" for success; frees it. Any thread.
inline std::string take(hearth_error_t* error) {
  const std::string name = error != nullptr ? hearth_error_name(error) : "";
  if (error != nullptr && std::this_thread::get_id() == kTestThread)
    UNSCOPED_INFO(hearth_error_message(error));
  hearth_error_free(error);
  return name;
}

// An engine with a small pool, closed at the end.
struct Engine {
  explicit Engine(uint32_t flags = 0, const char* yaml = kSmall) {
    hearth_options_t options;
    HEARTH_INIT(&options);
    options.flags = flags;
    options.config_yaml = yaml;
    REQUIRE(take(hearth_engine_open(&options, &handle)) == "");
  }
  ~Engine() { close(); }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  std::string close(uint64_t drain_ms = 0) {
    const std::string error = take(hearth_engine_close(handle, drain_ms));
    handle = nullptr;
    return error;
  }

  // A Python function of one file.
  std::string load(const char* name, std::string_view code, const char* manifest = nullptr) {
    hearth_file_t file;
    HEARTH_INIT(&file);
    file.path = "app.py";
    file.content = bytes(code);
    hearth_source_t source;
    HEARTH_INIT(&source);
    source.files = &file;
    source.file_count = 1;
    source.manifest_yaml = manifest;
    source.name = name;
    return take(hearth_function_load(handle, &source, 0, revision));
  }
  std::string define(const char* name, hearth_handler_fn handler, void* ctx = nullptr,
                     uint32_t concurrency = 1, uint64_t timeout_ms = 0,
                     void (*on_removed)(void*) = nullptr) {
    hearth_host_function_t function;
    HEARTH_INIT(&function);
    function.name = name;
    function.handler = handler;
    function.ctx = ctx;
    function.concurrency = concurrency;
    function.timeout_ms = timeout_ms;
    function.on_removed = on_removed;
    return take(hearth_function_define(handle, &function, 0));
  }
  // The reply, or "!" and the error's name, or "?" and the function's error JSON.
  std::string invoke(const char* name, std::string_view payload, uint64_t timeout_ms = 0) {
    hearth_request_t request;
    HEARTH_INIT(&request);
    request.function = name;
    request.payload = bytes(payload);
    request.timeout_ms = timeout_ms;
    hearth_reply_t* reply = nullptr;
    if (hearth_error_t* error = hearth_invoke(handle, &request, &reply)) return "!" + take(error);
    std::string out = hearth_reply_is_error(reply) != 0 ? "?" : "";
    out += text(hearth_reply_payload(reply));
    hearth_reply_release(reply);
    return out;
  }
  hearth_engine_t* handle = nullptr;
  char revision[65] = {};
};

// What `done` and `part` were told; may be waited for from another thread.
struct Ended {
  static void done(void* ctx, const hearth_outcome_t* outcome) {
    auto& self = *static_cast<Ended*>(ctx);
    const std::lock_guard<std::mutex> lock(self.mutex);
    ++self.count;
    self.kind = outcome->kind;
    self.payload = text(outcome->payload);
    self.error = outcome->error_name;
    self.request_id = outcome->request_id;
    self.ready.notify_all();
  }
  static void part(void* ctx, hearth_bytes_t bytes) {
    auto& self = *static_cast<Ended*>(ctx);
    const std::lock_guard<std::mutex> lock(self.mutex);
    self.parts.push_back(text(bytes));
    self.ready.notify_all();
  }
  bool wait(std::chrono::milliseconds most = 20s) {
    std::unique_lock<std::mutex> lock(mutex);
    return ready.wait_for(lock, most, [this] { return count > 0; });
  }
  bool wait_parts(size_t number) {
    std::unique_lock<std::mutex> lock(mutex);
    return ready.wait_for(lock, 20s, [&] { return parts.size() >= number; });
  }
  std::mutex mutex;
  std::condition_variable ready;
  int count = 0;
  int kind = -1;
  std::string payload, error, request_id;
  std::vector<std::string> parts;
};

inline std::string submit(Engine& engine, const char* name, std::string_view payload, Ended& ended,
                          hearth_call_t** call = nullptr, uint64_t timeout_ms = 0,
                          bool stream = false) {
  hearth_request_t request;
  HEARTH_INIT(&request);
  request.function = name;
  request.payload = bytes(payload);
  request.timeout_ms = timeout_ms;
  return take(hearth_invoke_stream(engine.handle, &request, stream ? Ended::part : nullptr,
                                   Ended::done, &ended, call));
}

inline void echo(void*, hearth_incoming_t* call, hearth_bytes_t event) {
  hearth_incoming_reply(call, event);
}

// Keeps calls, to be answered by a test.
struct Kept {
  static void handler(void* ctx, hearth_incoming_t* call, hearth_bytes_t event) {
    auto& self = *static_cast<Kept*>(ctx);
    const std::lock_guard<std::mutex> lock(self.mutex);
    self.calls.push_back(call);
    self.events.push_back(event);
    self.ready.notify_all();
  }
  bool wait(size_t number) {
    std::unique_lock<std::mutex> lock(mutex);
    return ready.wait_for(lock, 20s, [&] { return calls.size() >= number; });
  }
  size_t size() {
    const std::lock_guard<std::mutex> lock(mutex);
    return calls.size();
  }
  std::mutex mutex;
  std::condition_variable ready;
  std::vector<hearth_incoming_t*> calls;
  std::vector<hearth_bytes_t> events;
};

}  // namespace hearth_test
