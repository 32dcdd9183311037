// What a warm call costs in the core alone: submit, send, reply, deliver, with 64 calls in flight
// over four workers that answer at once. bench/core_instructions runs it under callgrind, which
// counts only inside measured_calls(). Prints one line of JSON.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

#include "base/buffer_pool.h"
#include "base/timer_wheel.h"
#include "core/dispatcher.h"

namespace {
uint64_t allocations = 0;
}

void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace {

using namespace hearth;

constexpr uint32_t kInFlight = 64;
constexpr uint32_t kWorkers = 4;
constexpr uint32_t kRounds = 200;
constexpr uint32_t kCalls = kInFlight * kRounds;

// Workers that have answered before they were asked: a list of what is to be replied.
class InstantLink final : public WorkerLink {
 public:
  struct Sent {
    WorkerId worker;
    InvocationId call;
  };
  void start(WorkerId worker, const WorkerShape&, const FunctionSpecPtr&) override {
    started[starts++ % kWorkers] = worker;
  }
  void bind(WorkerId, const FunctionSpecPtr&) override {}
  void send(WorkerId worker, CallFrame&& call) override {
    sent[count++ % sent.size()] = {worker, call.id};
  }
  void cancel(WorkerId, InvocationId) override {}
  void recall(WorkerId, InvocationId) override {}
  void go_on(WorkerId, InvocationId) override {}
  void ping(WorkerId, uint16_t) override {}
  void stop(WorkerId) override {}
  void kill(WorkerId) override {}
  std::string_view log_tail(WorkerId, InvocationId) override { return {}; }
  bool any_byte_sent(WorkerId, InvocationId) const override { return true; }
  uint64_t memory_peak(WorkerId) const override { return 0; }
  void freeze(WorkerId) override {}
  void thaw(WorkerId) override {}
  void clear_leftovers(WorkerId, Leftovers) override {}
  uint64_t memory_now(WorkerId) const override { return 0; }
  StartTimes start_times(WorkerId) const override { return {}; }

  std::array<WorkerId, kWorkers> started{};
  std::array<Sent, 2 * kInFlight> sent{};
  size_t count = 0;
  size_t starts = 0;
};

struct Bench {
  InstantLink link;
  ManualClock clock;
  TimerWheel timers{clock.now()};
  BufferPool buffers{mebibytes(64)};
  Limits limits;
  Dispatcher core{link, timers, clock, buffers, limits};
  FunctionId function;
  uint64_t replies = 0;

  void on_done(InvocationId, const Outcome& outcome) {
    replies += outcome.kind == Outcome::Kind::reply ? 1 : 0;
  }

  void start() {
    auto spec = std::make_shared<FunctionSpec>();
    spec->name = "bench";
    spec->handler = "app.handler";
    spec->concurrency.workers_min = spec->concurrency.workers_max = kWorkers;
    function = core.upsert(spec);
    for (const WorkerId worker : link.started) {
      core.on_worker_parked(worker);
      core.on_worker_ready(worker, 1'000);
    }
  }

  void answer() {
    static constexpr std::string_view kReply = R"({"statusCode":200})";
    for (size_t i = 0; i < link.count;
         ++i) {  // replies make room: what waits in the queue is sent meanwhile
      WorkerReply reply;
      reply.payload = kReply;
      reply.exec_us = 20;
      if (!core.on_reply(link.sent[i].worker, link.sent[i].call, reply)) std::abort();
    }
    link.count = 0;
    core.deliver();
  }

  void round() {
    for (uint32_t i = 0; i < kInFlight; ++i) {
      CallRequest request;
      request.function = function;
      request.payload.bytes = R"({"name":"world"})";
      request.done = DoneFn::to<&Bench::on_done>(this);
      if (!core.submit(std::move(request))) std::abort();
    }
    clock.advance(microseconds(300));
    answer();
    timers.advance(clock.now());
  }
};

}  // namespace

extern "C" __attribute__((noinline)) void measured_calls(Bench* bench) {
  for (uint32_t i = 0; i < kRounds; ++i) bench->round();
}

int main() {
  auto bench = std::make_unique<Bench>();
  bench->start();
  for (uint32_t i = 0; i < kRounds; ++i) bench->round();
  const uint64_t allocated = allocations;
  measured_calls(bench.get());
  const uint64_t during = allocations - allocated;
  if (bench->replies != 2 * kCalls) return 1;
  std::printf("{\"calls\": %u, \"allocations\": %llu}\n", kCalls,
              static_cast<unsigned long long>(during));
  bench->core.close();
  bench->core.deliver();
  for (const WorkerId worker : bench->link.started) bench->core.on_worker_exit(worker, {});
  return 0;
}
