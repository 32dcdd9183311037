// The life of workers: parked generic ones, binding, loading, readiness, idling, retiring, and the
// memory budget over all of them. Engine thread only. Does no I/O. Knows calls only by counting
// those that a worker holds.
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/slab.h"
#include "base/timer_wheel.h"
#include "core/pool_key.h"
#include "core/ports.h"
#include "core/records.h"

namespace hearth {

// What the pool tells its dispatcher. Never called from inside a WorkerLink call.
class PoolOwner {
 public:
  virtual ~PoolOwner() = default;
  // A ready worker of the current revision can take calls.
  virtual void on_worker_has_room(Worker& worker) = 0;
  // No worker of the function is ready or on its way, and function.failure says why.
  virtual void on_start_failed(Function& function) = 0;
  // The worker takes no new calls any more: what waits in it is to be called back.
  virtual void on_worker_retired(Worker& worker) = 0;
  // Its oldest call takes so long that what waits behind it is better called back.
  virtual void on_worker_stalled(Worker& worker) = 0;
};

// Why a worker was replaced between calls.
enum class RecycleReason : uint8_t { calls, age, memory, leftovers };
inline constexpr size_t kRecycleReasonCount = 4;
std::string_view recycle_reason_name(RecycleReason reason);

struct PoolStats {
  uint64_t starts = 0;
  uint64_t exits = 0;
  uint64_t kills = 0;
  uint64_t start_failures = 0;
  uint64_t evictions = 0;
  uint64_t budget_refusals = 0;
  uint64_t violations = 0;
  uint64_t pool_hits = 0;  // a parked worker was there when a function needed one
  uint64_t pool_misses = 0;
  uint64_t pool_fresh = 0;  // starts for functions that fit no pool
  uint64_t memory_charged = 0;
  uint64_t freezes = 0;
  uint64_t thaws = 0;
  uint32_t frozen = 0;            // now
  uint64_t leftovers_killed = 0;  // processes that calls had left behind
  uint64_t boot_timeouts = 0;     // limits.boot_timeout passed
  uint64_t init_timeouts = 0;     // limits.init_timeout passed
  uint64_t prewarms = 0;          // workers started since a call was expected
  uint64_t surplus = 0;           // workers let go since fewer were enough
  std::array<uint64_t, kRecycleReasonCount> recycled{};
  uint64_t zygote_starts = 0;
  uint64_t zygote_forks = 0;
  uint64_t zygote_fork_failures = 0;
  uint64_t zygote_failures = 0;   // zygotes that died, or broke the protocol
  uint64_t zygote_refusals = 0;   // revisions whose code can't be forked
  uint64_t zygote_evictions = 0;  // made way for workers
  uint64_t spares_used = 0;       // a forked worker was there when its function needed one
  uint64_t spare_evictions = 0;   // made way for workers
  uint64_t spare_failures = 0;    // died, or were killed, before they were needed
};

inline constexpr uint64_t kParkedCharge =
    mebibytes(32);  // of a generic worker in the memory budget

class WorkerPool {
 public:
  WorkerPool(PoolOwner& owner, WorkerLink& link, TimerWheel& timers, const Clock& clock,
             const Limits& limits);
  ~WorkerPool();

  // How many generic workers of a runtime's standard key are kept parked at least; 0 until set.
  // Starts what is missing.
  void set_parked_target(Runtime runtime, uint32_t count);

  // How long idle workers stay; fixed until set. Before the first function.
  void set_keep_alive(KeepAlivePolicy policy) { keep_alive_ = policy; }
  KeepAlivePolicy keep_alive() const { return keep_alive_; }
  // A call has come for a function that has an idle histogram.
  void note_arrival(Function& function);

  // A call waits and no worker has room: starts one if none is on its way, else looks again every
  // kScaleInterval.
  void ensure(Function& function);
  // Starts up to `count` workers within every limit; returns how many.
  uint32_t start_workers(Function& function, uint32_t count);

  // Events, after the dispatcher has dealt with the calls.
  void on_parked(Worker& worker);
  void on_ready(Worker& worker, uint32_t init_us);
  void on_init_failed(Worker& worker, std::string_view error_json);
  void on_pong(Worker& worker, uint16_t sequence);
  void on_zygote_ready(Worker& worker, uint32_t init_us);
  void on_zygote_refused(Worker& worker);
  // Removes the worker. Its calls must be gone. May start others (workers_min, waiting calls).
  // `code` and `detail`: what a call would have ended with; a start that failed is answered with
  // them.
  void on_exit(Worker& worker, const WorkerExit& exit, Code code, std::string detail);

  // The worker has answered or handed back a call: idle, retired or still busy?
  void settle(Worker& worker);
  // No new calls; leaves when it holds none. `at_once_if_stuck`: a call's deadline has passed in
  // it.
  void retire(Worker& worker, bool stuck);
  void kill(Worker& worker, Code code, std::string detail);
  // A ready worker is replaced: it takes no new call and leaves when it holds none.
  void recycle(Worker& worker, RecycleReason reason);
  // The answer to WorkerLink::clear_leftovers. A worker that stays takes calls again.
  void on_leftovers(Worker& worker, uint32_t count, bool lost);
  // Before a call is sent to a worker that rests.
  void wake(Worker& worker);
  // Before anything else is asked of a frozen worker.
  void thaw(Worker& worker);
  // Every worker of the function retires, but those that run `keep`.
  void retire_others(Function& function, const FunctionSpecPtr& keep);
  // Kills everything; no worker is started any more.
  void close();

  Worker* find(WorkerId id) { return workers_.find(id); }
  void busy(Worker& worker);         // it has got a call: no candidate for idling
  void watch_stall(Worker& worker);  // it has got a call that waits behind another
  // Calls that may be sent to a busy worker of `function` beyond per_worker.
  uint32_t ahead(const Function& function) const;
  uint32_t capacity(const Worker& worker,
                    MonotonicTime now) const;  // calls that it may hold now, prefetch included
  // Its oldest call has run for so long that nothing more is to wait behind it.
  bool stalled(const Worker& worker, MonotonicTime now) const;
  const PoolStats& stats() const { return stats_; }
  uint32_t workers() const { return workers_.size(); }
  uint32_t parked(Runtime runtime) const;
  uint32_t parked(const PoolKey& key) const {
    return static_cast<uint32_t>(pools_[key.index()].parked.size());
  }
  // How many of a key are to be parked now: its base, and what demand adds within the bounds.
  uint32_t parked_target(const PoolKey& key) const { return target(key.index()); }
  uint32_t zygotes();  // that can be forked
  uint32_t spares();   // forked ahead, waiting
  template <class F>
  void each(F&& f) {
    workers_.each([&](WorkerId, Worker& worker) { f(worker); });
  }
  void start_minimum(Function& function);
  // See Dispatcher::check_invariants.
  void check_invariants();

 private:
  friend struct Worker;
  friend struct Function;
  static size_t index(Runtime runtime) { return static_cast<size_t>(runtime); }

  Worker* make(Runtime runtime, uint64_t charge);
  enum class Slot : uint8_t { has_one, needs_one };
  bool afford(uint64_t charge, Slot slot, const Function* for_function);
  bool evictable(const Worker& worker, const Function* for_function) const;
  bool evict_one(const Function* for_function);
  bool reuse(Worker& booting, const FunctionSpecPtr& spec);
  void boot_failed(Runtime runtime);
  void look_again(Function& function);
  void bind(Worker& worker, Function& function);
  void uncount(Worker& worker);
  void leave_function(Worker& worker);
  void set_state(Worker& worker, Worker::State state);
  void stop(Worker& worker);
  void replenish();
  bool fill(size_t key);
  void replenish_soon();
  uint32_t target(size_t key) const;
  uint32_t parked_on_demand(size_t but) const;
  void look_at_demand();
  Worker* take_parked(Function& function, const std::optional<PoolKey>& key);
  bool start_fresh(Function& function);
  void unpark(Worker& worker);
  enum class Next : uint8_t {
    at_once,
    later
  };  // the next try: those who wait go on waiting, or are told
  void start_failed(Function& function, Code code, std::string payload, std::string detail,
                    Next next);
  void worker_timer(Worker& worker);
  void idle_timer(Worker& worker);
  nanoseconds first_look(const Worker& worker) const;
  bool idle_as_a_whole(const Function& function) const;
  nanoseconds stay(const Worker& worker, MonotonicTime now);
  void leave_until_prewarm(Function& function);
  void prewarm(Function& function);
  bool surplus(const Worker& worker);
  nanoseconds rest_after(const Worker& worker) const;
  void rest(Worker& worker);
  void watch_age_and_memory(const Worker& worker);
  void patrol();
  nanoseconds stall_time(const Function& function) const;
  static bool spare_waits(const Function& function);  // another worker is there at once
  void scale(Function& function);
  bool start_one(Function& function);
  // worker_pool_zygote.cc
  void consider_zygote(Function& function, nanoseconds init);
  void start_zygote(Function& function);
  void bind_zygote(Worker& worker);
  Worker* ready_zygote(Function& function);
  bool fork_one(Function& function);
  void fork_failed(Function& function);
  void end_zygote(Function& function, ZygotePlan::End end);
  void release_zygote(Function& function);
  void zygote_timer(Worker& worker);
  void on_zygote_exit(Worker& worker);
  void forked(Function& function, Worker& worker, bool spare);
  // worker_pool_spare.cc
  uint32_t spares_wanted(const Function& function) const;
  void look_at_spares(Function& function, nanoseconds after);
  void keep_spares(Function& function);
  bool fork_spare(Function& function);
  Worker* take_spare(Function& function);
  void on_spare_waits(Worker& worker);
  Function* leave_spares(Worker& worker);
  void end_spare(Worker& worker);
  void end_spares(Function& function);
  void evict_spare(Worker& worker);
  void lose_spare(Worker& worker);
  void on_spare_exit(Worker& worker, const WorkerExit& exit);
  void arm(Worker& worker, nanoseconds after);
  milliseconds init_timeout(const Worker& worker) const {
    const milliseconds own = worker.spec->init_timeout;
    return own.count() != 0 ? own : limits_.init_timeout;
  }

  PoolOwner& owner_;
  WorkerLink& link_;
  TimerWheel& timers_;
  const Clock& clock_;
  const Limits limits_;
  Slab<Worker, WorkerId> workers_;
  struct Pool {
    IntrusiveList<Worker, InParked> parked;
    uint32_t booting = 0;  // generic, on their way
    uint32_t base = 0;     // kept whatever the demand
    PoolDemand demand;
  };
  std::array<Pool, kPoolKeyCount> pools_;
  std::array<uint32_t, kRuntimeCount> boot_failures_{};
  std::array<MonotonicTime, kRuntimeCount> boot_retry_{};
  Timer replenish_timer_;
  KeepAlivePolicy keep_alive_ = KeepAlivePolicy::fixed;
  Timer demand_timer_;
  Timer patrol_timer_;
  uint32_t patrol_from_ = 0;   // the slot at which the next round of memory figures begins
  std::vector<WorkerId> due_;  // of a patrol
  uint64_t budget_;
  bool closed_ = false;
  PoolStats stats_;
};

}  // namespace hearth
