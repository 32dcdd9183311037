// Functions of the host process behind the same door as workers: each such function has one
// imaginary worker that executes `concurrency.per_worker` calls at once. So queues, limits,
// deadlines, drains and metrics are the core's own. Engine thread only. A warm call allocates
// nothing here.
#pragma once
#include <string_view>
#include <vector>

#include "base/buffer_pool.h"
#include "core/host_handler.h"
#include "core/ports.h"
#include "loop/loop.h"

namespace hearth {

class HostWorkers final : public WorkerLink {
 public:
  // The references must outlive this. Work is done at the end of each turn of the loop.
  HostWorkers(Loop& loop, BufferPool& buffers);
  void attach(WorkerEvents& events) { events_ = &events; }

  // The end of a call. `payload` is copied, unless the call has no caller any more. An answer for a
  // call that has ended is dropped. `exec_us` is counted from on_call().
  void answer(HostCallId call, std::string_view payload, bool is_error);
  // A part ahead of the answer: handed on when the caller takes parts, else kept for the end.
  void part(HostCallId call, std::string_view bytes);

  // Is there something to do at the end of this turn?
  bool pending() const { return !todo_.empty(); }

  void start(WorkerId worker, const WorkerShape& shape, const FunctionSpecPtr& spec) override;
  void bind(WorkerId worker, const FunctionSpecPtr& spec) override;
  void send(WorkerId worker, CallFrame&& call) override;
  void cancel(WorkerId worker, InvocationId call) override;
  void recall(WorkerId worker, InvocationId call) override;
  void go_on(WorkerId, InvocationId) override {}  // nothing was held: see part()
  void ping(WorkerId worker, uint16_t sequence) override;
  void stop(WorkerId worker) override;
  void kill(WorkerId worker) override;
  std::string_view log_tail(WorkerId, InvocationId) override { return {}; }
  bool any_byte_sent(WorkerId worker, InvocationId call) const override;
  uint64_t memory_peak(WorkerId) const override { return 0; }
  // It is the host's own process: nothing of it is ever frozen or weighed.
  void freeze(WorkerId) override {}
  void thaw(WorkerId) override {}
  void clear_leftovers(WorkerId, Leftovers) override {}
  uint64_t memory_now(WorkerId) const override { return 0; }
  StartTimes start_times(WorkerId) const override { return {}; }

 private:
  struct Running {
    InvocationId id;
    MonotonicTime started;
    Buffer reply;  // parts that nobody took
    bool answered = false;
    bool no_memory = false;
  };
  struct Imaginary {
    WorkerId id;
    FunctionSpecPtr spec;
    std::vector<Running> running;
  };
  // What a turn's end has to do, in order.
  struct Todo {
    enum class Kind : uint8_t { parked, ready, call, pong, answer, exit };
    Kind kind;
    WorkerId worker;
    uint16_t sequence = 0;
    bool is_error = false;
    bool by_kill = false;
    bool no_memory = false;
    uint32_t exec_us = 0;
    CallFrame frame;
    Buffer payload;
  };

  void run();
  void run_one(Todo& todo);
  void begin_call(WorkerId worker, const CallFrame& frame);
  void end_call(Todo& todo);
  void end_worker(const Todo& todo);
  Todo& later(Todo::Kind kind, WorkerId worker);
  bool is_running(WorkerId worker, InvocationId call);
  Imaginary* find(WorkerId id);
  Running* find(Imaginary& worker, InvocationId call);

  Loop& loop_;
  BufferPool& buffers_;
  WorkerEvents* events_ = nullptr;
  std::vector<Imaginary> workers_;
  std::vector<Todo> todo_;
  std::vector<Todo> doing_;
};

}  // namespace hearth
