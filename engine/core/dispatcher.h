// Pairs calls with workers and sees each call to exactly one end. The state table is in
// design/0001-invoke-path.md. Engine thread only. Does no I/O; time comes from the Clock and
// TimerWheel that it is given.
#pragma once
#include <algorithm>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/buffer_pool.h"
#include "base/limits.h"
#include "base/slab.h"
#include "base/timer_wheel.h"
#include "core/ports.h"
#include "core/records.h"
#include "core/worker_pool.h"

namespace hearth {

struct DispatcherStats {  // only grow, but for in_flight
  uint64_t submitted = 0;
  uint64_t finished = 0;
  uint64_t refused = 0;
  uint64_t dropped_replies = 0;
  uint64_t requeued = 0;
  uint64_t replies_too_large = 0;  // limits.reply passed
  uint32_t in_flight = 0;
};

// Faults that tests put in on purpose, to show that the simulator's checks see them.
struct TestFaults {
  bool forget_calls_of_lost_worker = false;
};

class Dispatcher final : public InvokePort, public WorkerEvents, private PoolOwner {
 public:
  // All references must outlive this. Allocates limits.calls_max calls and limits.workers_max
  // workers here and none later.
  Dispatcher(WorkerLink& link, TimerWheel& timers, const Clock& clock, BufferPool& buffers,
             const Limits& limits);
  ~Dispatcher() override;  // asserts that nothing is in flight: close() first

  // A new or changed function: calls that come from now on, and those that wait, get this revision.
  // Workers of the old one leave when their calls are over.
  FunctionId upsert(const FunctionSpecPtr& spec);
  // Calls that wait end with function_unknown; those that run, run on. False: there is no such
  // function.
  bool remove(std::string_view name);

  // InvokePort
  FunctionId find(std::string_view name) const override;
  const FunctionSpecPtr* spec(FunctionId function) const override;
  Result<InvocationId> submit(CallRequest&& request) override;
  void abandon(InvocationId call) override;
  void go_on(InvocationId call) override;

  // WorkerEvents
  void on_worker_parked(WorkerId worker) override;
  void on_worker_ready(WorkerId worker, uint32_t init_us) override;
  void on_leftovers(WorkerId worker, uint32_t count, bool lost) override;
  void on_worker_init_failed(WorkerId worker, std::string_view error_json) override;
  bool on_reply(WorkerId worker, InvocationId call, const WorkerReply& reply) override;
  bool on_reply_too_large(WorkerId worker, InvocationId call, bool stream) override;
  bool takes_parts(WorkerId worker, InvocationId call, bool stream) const override;
  Flow on_reply_part(WorkerId worker, InvocationId call, const ReplyPart& part) override;
  bool on_handback(WorkerId worker, InvocationId call) override;
  void on_pong(WorkerId worker, uint16_t sequence) override;
  void on_zygote_ready(WorkerId worker, uint32_t init_us) override;
  void on_zygote_refused(WorkerId worker, std::string_view why) override;
  void on_violation(WorkerId worker, std::string_view what) override;
  void on_worker_exit(WorkerId worker, const WorkerExit& exit) override;
  void deliver() override;

  // No new calls from now on (shutting_down). Those in flight go on.
  void begin_drain() { draining_ = true; }
  // Ends what is still in flight with shutting_down and kills every worker. Idempotent.
  void close();
  bool idle() const { return stats_.in_flight == 0; }

  const DispatcherStats& stats() const { return stats_; }
  WorkerPool& pool() { return pool_; }
  const ColdStats& cold() const { return cold_; }
  // `visit` is called for every function, in no order.
  void each_function(const std::function<void(const Function&)>& visit) const;
  // Asserts every invariant of the design note. For the simulator and tests: it walks everything.
  void check_invariants();
  TestFaults& test_faults() { return faults_; }

 private:
  friend struct Call;
  struct Ended {
    InvocationId id;
    DoneFn done;
    Outcome outcome;
    Buffer payload;  // holds what outcome.payload shows, when it is not the link's
    Buffer tail;
    std::string detail;
    FunctionSpecPtr spec;
  };
  struct NameHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  // PoolOwner
  void on_worker_has_room(Worker& worker) override;
  void on_start_failed(Function& function) override;
  void on_worker_retired(Worker& worker) override;
  void on_worker_stalled(Worker& worker) override;

  Status admit(const Function& function) const;
  // A call waits as long as a worker may take to load, if that is more than others wait.
  milliseconds queue_time(const Function& function) const {
    return std::max(limits_.queue_time, function.spec->init_timeout);
  }
  bool own(Call& call, CallRequest& request);
  void send(Worker& worker, Call& call, MonotonicTime now);
  void enqueue(Function& function, Call& call);
  void requeue(Call& call);
  Worker* free_worker(Function& function, const Worker* but);
  void feed(Worker& worker);
  void steal_for(Worker& idle_worker);
  void recall(Worker& worker, Call& call);
  void recall_waiting(Worker& worker);
  void leave(Worker& worker);
  void detach(Call& call);
  void move_up(Worker& worker);
  Deadline arm_deadline(Call& call, MonotonicTime now);
  void wait_on(Worker& worker, Call& call, MonotonicTime now);
  void call_timer(Call& call);
  void finish(Call& call, Outcome::Kind kind, Code code, std::string_view payload,
              std::string detail);
  void finish_error(Call& call, Code code, std::string detail);
  void finish_with_cause(Call& call, const StartFailure& failure);
  void account(Call& call, const Outcome& outcome);
  void release_hold(Call& call);
  uint32_t ran_for(const Call& call) const;
  Worker* pick_worker(Function& function, MonotonicTime now);
  const Call* find_sent(WorkerId worker, InvocationId id) const;
  Call* find_sent(WorkerId worker, InvocationId id);
  void release(Call& call);
  void drop_if_unused(FunctionId id);

  WorkerLink& link_;
  TimerWheel& timers_;
  const Clock& clock_;
  BufferPool& buffers_;
  const Limits limits_;
  Slab<Call, InvocationId> calls_;
  Slab<Function, FunctionId> functions_;
  std::unordered_map<std::string, FunctionId, NameHash, std::equal_to<>> names_;
  WorkerPool pool_;
  std::vector<Ended> ended_;
  std::vector<Ended> delivering_;
  DispatcherStats stats_;
  ColdStats cold_;
  uint64_t next_order_ = 1;
  bool draining_ = false;
  bool closed_ = false;
  TestFaults faults_;
};

}  // namespace hearth
