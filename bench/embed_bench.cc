// What a call costs inside a host process, through libhearth. bench/measure.py starts it, pinned to
// the core of the engine and its workers, and compares it with the same call by HTTP.
//
//   embed_bench serve FOLDER own|driven|native CORE
//       Loads the function (native: defines one in C++), then obeys lines of standard input:
//       "calls IN_FLIGHT SECONDS" and "count IN_FLIGHT CALLS"; answers each with a line of JSON.
//       own: the engine has a thread, and the caller runs on CORE; the other two drive it.
//   embed_bench first FOLDER
//       Opens an engine, loads the function, calls it once; times are since the boot, in ns.
//   embed_bench host FOLDER RESIDENT_MIB THREADS FUNCTIONS
//       The same in a host of this size, with cold calls of so many functions.
#include <hearth/hearth.h>
#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr std::string_view kEvent = R"({"name":"world"})";
constexpr std::string_view kReply = R"({"message":"Hello world"})";
constexpr size_t kSamplesMax = 4'000'000;

int64_t now_ns() {  // CLOCK_MONOTONIC, as Python's time.monotonic_ns()
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

[[noreturn]] void fail(const char* what, std::string_view why) {
  std::fprintf(stderr, "embed_bench: %s: %.*s\n", what, static_cast<int>(why.size()), why.data());
  std::exit(1);
}

void check(const char* what, hearth_error_t* error) {
  if (error != nullptr) fail(what, hearth_error_message(error));
}

hearth_bytes_t bytes_of(std::string_view text) { return {text.data(), text.size()}; }

std::string_view text_of(hearth_bytes_t bytes) {
  return {static_cast<const char*>(bytes.data), bytes.size};
}

// --- what is opened ----------------------------------------------------------------------------

hearth_engine_t* open_engine(uint32_t flags) {
  hearth_options_t options;
  HEARTH_INIT(&options);
  options.flags = flags;
  hearth_engine_t* engine = nullptr;
  check("open", hearth_engine_open(&options, &engine));
  return engine;
}

void load(hearth_engine_t* engine, const char* folder, const char* name) {
  hearth_source_t source;
  HEARTH_INIT(&source);
  source.folder = folder;
  source.name = name;
  check("load", hearth_function_load(engine, &source, 0, nullptr));
}

void define_native(hearth_engine_t* engine, const char* name) {
  hearth_host_function_t function;
  HEARTH_INIT(&function);
  function.name = name;
  function.concurrency = 64;
  function.handler = [](void*, hearth_incoming_t* call, hearth_bytes_t) {
    hearth_incoming_reply(call, bytes_of(kReply));
  };
  check("define", hearth_function_define(engine, &function, 0));
}

hearth_request_t request_to(const char* name) {
  hearth_request_t request;
  HEARTH_INIT(&request);
  request.function = name;
  request.payload = bytes_of(kEvent);
  request.timeout_ms = 30'000;
  return request;
}

// A call that blocks, and its reply checked.
void call_once(hearth_engine_t* engine, const hearth_request_t& request) {
  hearth_reply_t* reply = nullptr;
  check("invoke", hearth_invoke(engine, &request, &reply));
  const std::string_view payload = text_of(hearth_reply_payload(reply));
  if (payload.find("Hello world") == payload.npos) fail("reply", payload);
  hearth_reply_release(reply);
}

// --- rates and times ---------------------------------------------------------------------------

// Keeps a number of calls in flight until the time or the count is over.
class Load {
 public:
  Load(hearth_engine_t* engine, bool driven) : engine_(engine), driven_(driven) {
    samples_.reserve(kSamplesMax);
  }

  // One of `seconds` and `calls` is 0.
  void run(unsigned in_flight, double seconds, uint64_t calls) {
    samples_.clear();
    slots_.assign(in_flight, Slot{this, 0});
    const int64_t begin = now_ns();
    end_at_ = seconds > 0 ? begin + static_cast<int64_t>(seconds * 1e9) : INT64_MAX;
    left_ = calls > 0 ? static_cast<int64_t>(calls) : INT64_MAX;
    running_ = in_flight;
    for (Slot& slot : slots_) next(slot);
    wait();
    elapsed_ns_ = now_ns() - begin;
  }

  // One at a time, with hearth_invoke(): what most programs do.
  void run_blocking(double seconds, uint64_t calls) {
    samples_.clear();
    const hearth_request_t request = request_to("hello");
    const int64_t begin = now_ns();
    const int64_t end = seconds > 0 ? begin + static_cast<int64_t>(seconds * 1e9) : INT64_MAX;
    const uint64_t most = calls > 0 ? calls : kSamplesMax;
    int64_t before = begin;
    while (before < end && samples_.size() < most) {
      hearth_reply_t* reply = nullptr;
      check("invoke", hearth_invoke(engine_, &request, &reply));
      const std::string_view payload = text_of(hearth_reply_payload(reply));
      if (payload.find("Hello world") == payload.npos) fail("reply", payload);
      hearth_reply_release(reply);
      const int64_t after = now_ns();
      samples_.push_back(static_cast<uint32_t>(after - before));
      before = after;
    }
    elapsed_ns_ = before - begin;
  }

  void print(double allocations) {
    const size_t count = samples_.size();
    std::sort(samples_.begin(), samples_.end());
    const auto at = [&](double share) {
      return count == 0 ? 0.0 : samples_[static_cast<size_t>(share * (count - 1))] / 1e3;
    };
    std::printf(
        "{\"calls\": %zu, \"seconds\": %.6f, \"rps\": %.1f, \"p50_us\": %.3f, \"p99_us\": %.3f, "
        "\"allocations\": %.0f}\n",
        count, elapsed_ns_ / 1e9, count * 1e9 / elapsed_ns_, at(0.5), at(0.99), allocations);
    std::fflush(stdout);
  }

 private:
  struct Slot {
    Load* load;
    int64_t began;
  };

  void next(Slot& slot) {
    static const hearth_request_t request = request_to("hello");
    slot.began = now_ns();
    if (slot.began >= end_at_ || left_.fetch_sub(1, std::memory_order_relaxed) <= 0) {
      end_one();
      return;
    }
    check("invoke", hearth_invoke_async(engine_, &request, on_done, &slot, nullptr));
  }
  static void on_done(void* ctx, const hearth_outcome_t* outcome) {
    auto& slot = *static_cast<Slot*>(ctx);
    const std::string_view payload = text_of(outcome->payload);
    if (outcome->kind != HEARTH_REPLY) fail(outcome->error_name, text_of(outcome->error_message));
    if (payload.find("Hello world") == payload.npos) fail("reply", payload);
    Load& load = *slot.load;
    if (load.samples_.size() < kSamplesMax)
      load.samples_.push_back(static_cast<uint32_t>(now_ns() - slot.began));
    load.next(slot);
  }
  void end_one() {
    const std::lock_guard lock(mutex_);
    if (--running_ == 0) ended_.notify_one();
  }
  void wait() {
    if (driven_) {
      while (running_ > 0) check("step", hearth_engine_step(engine_, 1000));
      return;
    }
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return running_ == 0; });
  }

  hearth_engine_t* engine_;
  bool driven_;
  std::vector<uint32_t> samples_;  // ns
  std::vector<Slot> slots_;
  int64_t end_at_ = 0, elapsed_ns_ = 1;
  std::atomic<int64_t> left_ = 0;  // the first calls come from the caller, all others from `done`
  unsigned running_ = 0;
  std::mutex mutex_;
  std::condition_variable ended_;
};

// The engine's own count, in a build that has it; 0 in others.
double allocations(hearth_engine_t* engine) {
  hearth_text_t* text = nullptr;
  check("metrics", hearth_engine_metrics(engine, 0, &text));
  const char* found = std::strstr(hearth_text_data(text), "\nhearth_allocations_total ");
  const double count = found == nullptr ? 0 : std::strtod(found + 26, nullptr);
  hearth_text_free(text);
  return count;
}

void move_to_core(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  if (sched_setaffinity(0, sizeof cores, &cores) != 0) fail("core", "can't be used");
}

int serve(const char* folder, const std::string& mode, int core) {
  const bool driven = mode != "own";
  hearth_engine_t* engine = open_engine(driven ? uint32_t{HEARTH_HOST_DRIVEN} : 0u);
  if (mode == "native") {
    define_native(engine, "hello");
  } else {
    load(engine, folder, "hello");
  }
  if (!driven) move_to_core(core);
  const hearth_request_t request = request_to("hello");
  for (int i = 0; i < 100; ++i) call_once(engine, request);
  Load bench(engine, driven);
  std::printf("{\"sandbox\": \"%s\"}\n", hearth_engine_sandbox(engine));
  std::fflush(stdout);
  std::string word;
  double in_flight = 0, amount = 0;
  while (std::cin >> word >> in_flight >> amount) {
    const double seconds = word == "calls" ? amount : 0;
    const auto calls = word == "count" ? static_cast<uint64_t>(amount) : 0;
    const double before = allocations(engine);
    if (in_flight < 1) {
      bench.run_blocking(seconds, calls);
    } else {
      bench.run(static_cast<unsigned>(in_flight), seconds, calls);
    }
    bench.print(allocations(engine) - before);
  }
  check("close", hearth_engine_close(engine, 1000));
  return 0;
}

// --- starts ------------------------------------------------------------------------------------

int first(const char* folder) {
  const int64_t began = now_ns();
  hearth_engine_t* engine = open_engine(0);
  const int64_t opened = now_ns();
  load(engine, folder, "hello");
  const int64_t loaded = now_ns();
  call_once(engine, request_to("hello"));
  std::printf("{\"main\": %jd, \"opened\": %jd, \"loaded\": %jd, \"replied\": %jd}\n",
              static_cast<intmax_t>(began), static_cast<intmax_t>(opened),
              static_cast<intmax_t>(loaded), static_cast<intmax_t>(now_ns()));
  check("close", hearth_engine_close(engine, 0));
  return 0;
}

// Threads that wait until the host ends.
class IdleThreads {
 public:
  explicit IdleThreads(size_t count) {
    for (size_t i = 0; i < count; ++i)
      threads_.emplace_back([this] {
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [this] { return done_; });
      });
  }
  ~IdleThreads() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    ended_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  bool done_ = false;
  std::vector<std::thread> threads_;
};

int host(const char* folder, size_t resident_mib, size_t threads, int functions) {
  const size_t size = resident_mib << 20;
  if (size > 0) {
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("mmap", "no memory");
    std::memset(memory, 1, size);
  }
  const IdleThreads idle(threads);
  const int64_t began = now_ns();
  hearth_engine_t* engine = open_engine(0);
  std::printf("{\"open_ms\": %.3f, \"cold_ms\": [", (now_ns() - began) / 1e6);
  for (int i = 0; i < functions; ++i) {
    const std::string name = "hello" + std::to_string(i);
    load(engine, folder, name.c_str());
    const int64_t before = now_ns();
    call_once(engine, request_to(name.c_str()));
    std::printf("%s%.3f", i == 0 ? "" : ", ", (now_ns() - before) / 1e6);
  }
  std::printf("]}\n");
  check("close", hearth_engine_close(engine, 0));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "serve" && argc == 5) return serve(argv[2], argv[3], std::atoi(argv[4]));
  if (mode == "first" && argc == 3) return first(argv[2]);
  if (mode == "host" && argc == 6)
    return host(argv[2], std::strtoul(argv[3], nullptr, 10), std::strtoul(argv[4], nullptr, 10),
                std::atoi(argv[5]));
  std::fprintf(stderr, "embed_bench: see the comment at the top of bench/embed_bench.cc\n");
  return 2;
}
