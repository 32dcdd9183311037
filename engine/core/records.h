// What the core remembers: functions, calls, workers. Plain data; Dispatcher and WorkerPool change
// it, nobody else.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/histogram.h"
#include "base/intrusive_list.h"
#include "base/timer_wheel.h"
#include "core/estimate.h"
#include "core/function_spec.h"
#include "core/keep_alive.h"
#include "core/ports.h"
#include "core/surplus.h"
#include "core/zygote.h"

namespace hearth {

class Dispatcher;
class WorkerPool;

struct InQueue;    // a call waits in its function's queue
struct InFlight;   // a call was handed to a worker
struct InMembers;  // a worker belongs to a function
struct InIdle;     // a worker is ready and has room: candidates, most recently used first
struct InParked;   // a worker waits for its function: a generic one for any, a spare for its own

struct Function;
struct Worker;

struct Call : ListLink<InQueue>, ListLink<InFlight> {
  enum class Stage : uint8_t { queued, sent };
  InvocationId id;
  Stage stage = Stage::queued;
  bool http_event = false;
  bool want_tail = false;
  bool recalled = false;  // a RECALL is under way
  uint8_t returns = 0;    // how often a worker handed it back unasked
  bool ahead = false;     // prefetched: when sent, per_worker others run before it
  bool finished = false;  // its end was reported (or nobody waits); a sent call stays with its
                          // worker until that lets it go
  bool expired = false;   // finished because its deadline passed while it was sent
  bool lingers = false;   // WorkerReply::lingers
  Function* function = nullptr;
  Worker* worker = nullptr;  // when sent
  uint64_t order = 0;        // of submission: a call that comes back takes its old place
  RequestId request_id;
  Deadline limit{};  // the caller's own deadline, or zero
  MonotonicTime submitted;
  MonotonicTime sent_at;
  Buffer payload;                 // kept until the end: the call may come back
  std::string_view payload_view;  // into `payload`
  Buffer extension;
  DoneFn done;
  PartFn on_part;
  bool streams_only = false;  // CallRequest::streams_only
  bool held = false;          // `on_part` has said so, and go_on() was not called since
  Timer timer;
  Dispatcher* dispatcher = nullptr;
  void on_timer();
};

struct Worker : ListLink<InMembers>, ListLink<InIdle>, ListLink<InParked> {
  enum class State : uint8_t {
    booting,   // start() was asked for; no HELLO yet
    parked,    // generic, without function
    loading,   // bind() was asked for; no READY yet
    ready,     // takes calls
    mould,     // a zygote that can be forked
    spare,     // forked ahead: waits until its function needs it
    retiring,  // takes no new calls; leaves when those that it has are over
    leaving    // stop() or kill() was asked for; waits for its exit
  };
  WorkerId id;
  State state = State::booting;
  Runtime runtime = Runtime::python3;
  size_t pool_key = 0;                  // of a generic worker: PoolKey::index()
  Function* function = nullptr;         // null while generic
  FunctionSpecPtr spec;                 // the revision that it runs
  IntrusiveList<Call, InFlight> calls;  // in the order in which they were sent
  uint32_t recalls = 0;                 // RECALLs without an answer yet
  uint32_t expired = 0;                 // calls in `calls` whose deadline has passed
  bool used = false;                    // a call has ended in it: the next is not a cold one
  bool served = false;                  // has answered a call
  bool ping_pending = false;
  bool killed = false;
  bool counted = false;          // in function->live
  bool frozen = false;           // ready, without calls, and standing still
  bool resting = false;          // was frozen or cleared in this pause; the next call wakes it
  bool clearing = false;         // frozen, until it is known what it left behind: no calls
  bool mould = false;            // is to be a zygote, or is one: gets no calls
  Function* mould_of = nullptr;  // of a zygote that its function still wants
  WorkerId forked_from;          // the zygote
  Function* spare_of = nullptr;  // forked ahead, and neither needed nor given up yet
  StartWay way = StartWay::fresh;
  bool stall_watch = false;           // `timer` watches for a head that holds up others
  Code end_code = Code::worker_lost;  // what its calls end with when it is killed by us
  std::string end_detail;
  uint64_t left = UINT64_MAX;  // calls that it may still be sent (recycle.max_calls)
  uint32_t init_us = 0;
  StartTimes start_times;
  MonotonicTime ready_at;    // recycle.max_age counts from here
  uint64_t charge = 0;       // bytes of the memory budget
  MonotonicTime since;       // of the state
  MonotonicTime head_since;  // when the oldest call in `calls` became the oldest
  uint16_t ping_sequence = 0;
  Timer timer;  // boot, init, idle, ping or grace, by state
  WorkerPool* pool = nullptr;
  void on_timer();
};

// Why the last start of a function's worker failed, and when the next may be tried.
struct StartFailure {
  uint32_t count = 0;
  MonotonicTime retry_at{};
  Code code = Code::init_failed;
  std::string payload;  // error JSON from the runtime, or empty
  std::string detail;
};

struct FunctionStats {  // only grow
  uint64_t submitted = 0;
  uint64_t replies = 0;
  uint64_t errors = 0;   // the function's own
  uint64_t refused = 0;  // at the door
  uint64_t dropped = 0;  // replies that nobody waited for
  uint64_t cold = 0;
  uint64_t timeouts = 0;
  uint64_t crashes = 0;
  uint64_t starts = 0;
  uint64_t recalls = 0;
  Histogram total;  // submit to end
  Histogram exec;   // in the handler, as reported
};

struct Function {
  FunctionId id;
  std::string name;
  FunctionSpecPtr spec;  // the revision that new calls get
  uint32_t queue_max = 0;
  uint32_t workers_max = 0;
  bool removed = false;
  IntrusiveList<Call, InQueue> queue;
  IntrusiveList<Worker, InMembers> workers;  // of every revision
  IntrusiveList<Worker, InIdle> idle;        // ready, current revision, no calls
  uint32_t live = 0;                         // booting, loading or ready, current revision
  uint32_t starting = 0;                     // of `live`: not ready yet
  uint32_t ready = 0;                        // of `live`
  Estimate estimate;
  SurplusWatch surplus;
  StartFailure failure;
  bool loaded = false;  // a worker of this revision has been ready
  uint32_t crashes_in_a_row = 0;
  bool starved = false;  // the last start was refused by the memory budget
  Timer scale_timer;
  bool scaling =
      false;  // `scale_timer` looks at the queue soon; else it waits to restore workers_min
  FunctionStats stats;
  // With keep_alive.policy: histogram only.
  std::unique_ptr<IdleHistogram> idle_times;
  MonotonicTime idle_since{};  // the end of the last call, while none runs or waits
  Timer prewarm_timer;
  ZygotePlan zygote;
  Timer zygote_timer;
  IntrusiveList<Worker, InParked> spares;  // forked ahead, or on their way to that; no member yet
  Timer spare_timer;
  MonotonicTime spares_at{};  // when that fires
  WorkerPool* pool = nullptr;
  void on_prewarm_timer();
  void on_scale_timer();
  void on_zygote_timer();
  void on_spare_timer();
};

}  // namespace hearth
