// The two doors of the core. Events come in through InvokePort::submit, whoever brings them; calls
// go out through WorkerLink. Engine thread only, on both sides.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "base/buffer_pool.h"
#include "base/callback.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/request_id.h"
#include "base/result.h"
#include "core/cold_start.h"
#include "core/function_spec.h"

namespace hearth {

// An event's bytes. `bytes` must stay valid during submit(); when `owner` holds a buffer, `bytes`
// lies in it and submit() takes it over, else submit() copies what it has to keep.
struct Payload {
  std::string_view bytes;
  Buffer owner;
};

// How a call ended, as `done` sees it. Views are valid during the callback only.
struct Outcome {
  enum class Kind : uint8_t {
    reply,           // `payload` is the function's reply
    function_error,  // `payload` is error JSON from the function's runtime; `code` says what kind
    platform_error   // no payload; `code` and `detail` say what happened
  };
  Kind kind = Kind::reply;
  Code code = Code::function_failed;  // meaningless for a reply
  std::string_view payload;
  std::string_view detail;    // for people
  std::string_view log_tail;  // the last 4 KiB of the call's log, when CallRequest::want_tail; for
                              // worker_lost always
  bool cold = false;          // the call waited for a worker's init
  uint32_t init_us = 0;       // of that init
  StartWay way = StartWay::fresh;  // of a cold call: how its worker came to be
  ColdPhases waited;               // of a cold call: what it waited for
  uint32_t exec_us = 0;            // handler time as the worker reports it
  uint64_t memory_max_bytes = 0;   // the worker's peak, when known
  RequestId request_id;
  FunctionSpecPtr const* spec = nullptr;  // the revision that ran it (or would have)
};

using DoneFn = Callback<void(InvocationId, const Outcome&)>;
// A part of a reply that comes in parts. A stream has one at least, which may be empty.
struct ReplyPart {
  enum class Kind : uint8_t {
    body,
    http_head,    // of a stream, and its first: JSON {statusCode, headers, cookies} for its body
    content_type  // of a stream, and its first: the body's
  };
  std::string_view bytes;
  Kind kind = Kind::body;
  bool stream = false;  // the function streams its reply; else it is only large
};
// What follows a part: the worker may send more, or waits until InvokePort::go_on. What it may send
// without a word of the engine (262,144 bytes) can still come.
enum class Flow : uint8_t { go_on, hold };
// In order and before `done`. May abandon the call.
using PartFn = Callback<Flow(InvocationId, const ReplyPart& part)>;

struct CallRequest {
  FunctionId function;
  RequestId request_id;
  Deadline deadline{};  // zero: the function's timeout, counted from when a worker has it
  Payload payload;
  std::string_view extension;  // JSON object of protocol.md, or empty; copied if it has to be kept
  bool http_event = false;     // the payload has the API Gateway v2.0 shape
  bool want_tail = false;      // collect the log's tail
  DoneFn done;
  // Set: what comes of the reply before its end is handed on at once, is not counted against
  // limits.reply but against limits.stream, and is missing in `done`.
  PartFn on_part;
  bool streams_only = false;  // ... if the function streams its reply; else it comes whole
};

// What brings events in uses only this.
class InvokePort {
 public:
  virtual ~InvokePort() = default;
  // The function of that name that calls go to now, or an id without generation.
  virtual FunctionId find(std::string_view name) const = 0;
  // Its current revision; nullptr when the id is gone. Valid until the next turn of the loop.
  virtual const FunctionSpecPtr* spec(FunctionId function) const = 0;
  // Starts or queues a call. On success `done` runs exactly once, never inside this call. On an
  // error `done` never runs: function_unknown, queue_full, calls_full, buffers_full, start_backoff,
  // shutting_down.
  virtual Result<InvocationId> submit(CallRequest&& request) = 0;
  // The caller does not wait any more: `done` will not run. An id that has ended is ignored.
  virtual void abandon(InvocationId call) = 0;
  // After a part was answered with Flow::hold. An id that has ended is ignored.
  virtual void go_on(InvocationId call) = 0;
};

// How a worker process ended.
struct WorkerExit {
  int wait_status = 0;  // as waitpid gives it; meaningless when `lost`
  bool killed_by_engine = false;
  bool out_of_memory = false;
  bool out_of_memory_child = false;  // another process of its sandbox was killed for memory
  bool pids_hit = false;             // its limit of processes refused a fork
  bool lost = false;                 // the spawner died with it
  bool start_failed = false;         // it never came to life; `detail` says why
  std::string detail;
};

// A call on its way to a worker. `payload` and `extension` stay where they are until the call's
// reply, its hand back or the worker's exit.
struct CallFrame {
  InvocationId id;
  Deadline deadline;
  RequestId request_id;
  std::string_view extension;
  std::string_view payload;
  bool http_event = false;
};

// What is fixed when a worker process starts.
struct WorkerShape {
  Runtime runtime = Runtime::python3;
  uint8_t interpreter = 0;    // FunctionSpec::interpreter
  uint64_t memory_bytes = 0;  // 0: the ceiling; its own limit comes with bind()
  Network network = Network::none;
  uint64_t tmp_bytes = Isolation{}.tmp_bytes;
};

// What the core asks of the processes. Implemented by worker/ over sockets, and by the simulator.
// None of these fails: what goes wrong comes back later as on_worker_exit.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;
  // Starts a worker of this shape; `spec` is that of the function which waits for it, nullptr =
  // none does: it is to be parked. on_worker_parked or on_worker_exit follows.
  virtual void start(WorkerId worker, const WorkerShape& shape, const FunctionSpecPtr& spec) = 0;
  // Gives a parked worker its function: mounts the code, sends INIT. on_worker_ready,
  // on_worker_init_failed or on_worker_exit follows.
  virtual void bind(WorkerId worker, const FunctionSpecPtr& spec) = 0;
  // Queues frames; they go out together at the end of the loop's turn.
  virtual void send(WorkerId worker, CallFrame&& call) = 0;
  virtual void cancel(WorkerId worker, InvocationId call) = 0;
  virtual void recall(WorkerId worker, InvocationId call) = 0;
  // The worker may send more of a reply that on_reply_part held.
  virtual void go_on(WorkerId worker, InvocationId call) = 0;
  virtual void ping(WorkerId worker, uint16_t sequence) = 0;
  // Workers that are forked from an initialised one (engine/design/0011-zygotes.md). Only where
  // has_zygotes().
  virtual bool has_zygotes() const { return false; }
  // As start(), for a worker of `spec` that is to become a zygote: its bind() is followed by
  // on_zygote_ready or on_zygote_refused in place of on_worker_ready. It gets no calls.
  virtual void start_zygote(WorkerId, const FunctionSpecPtr&) { HEARTH_ASSERT(false); }
  // Makes `worker` of a zygote that is ready. on_worker_parked or on_worker_exit follows: it waits
  // and runs nothing of the function until its bind(), which may come at any time, also before
  // on_worker_parked; that is not told then.
  virtual void fork(WorkerId, WorkerId, const FunctionSpecPtr&) { HEARTH_ASSERT(false); }
  // No further calls: STOP, then a kill after limits.stop_grace.
  virtual void stop(WorkerId worker) = 0;
  virtual void kill(WorkerId worker) = 0;
  // Every process of the worker stands still, from soon after freeze() to soon after thaw(). Only a
  // worker without calls is frozen, and nothing else is asked of a frozen one.
  virtual void freeze(WorkerId worker) = 0;
  virtual void thaw(WorkerId worker) = 0;
  // As freeze(), and what the sandbox holds beyond the worker is killed (Leftovers::kill) or
  // counted (Leftovers::recycle). on_leftovers follows, or on_worker_exit; until then it gets no
  // call.
  virtual void clear_leftovers(WorkerId worker, Leftovers how) = 0;
  // Can clear_leftovers() be asked of workers that were forked from a zygote?
  virtual bool clears_forked() const { return true; }
  // The last bytes (at most 4 KiB) that a worker wrote to its log for `call`; empty id = whatever
  // it wrote last. Valid until the next event.
  virtual std::string_view log_tail(WorkerId worker, InvocationId call) = 0;
  // Has any byte of this call gone to the worker's socket? Answered also inside on_worker_exit.
  virtual bool any_byte_sent(WorkerId worker, InvocationId call) const = 0;
  // The peak of the worker's own memory in bytes, or what its sandbox holds now if that is more;
  // 0 when it can't be known. Reads files, as memory_now().
  virtual uint64_t memory_peak(WorkerId worker) const = 0;
  // What its sandbox holds now, in bytes: all its processes, /tmp and /dev/shm; without a memory
  // cgroup the worker alone. 0 when it can't be known.
  virtual uint64_t memory_now(WorkerId worker) const = 0;
  // Asked in on_worker_ready.
  virtual StartTimes start_times(WorkerId worker) const = 0;
};

// What the processes tell the core. Implemented by the dispatcher.
struct WorkerReply {
  std::string_view payload;
  bool is_error = false;
  uint32_t exec_us = 0;
  bool last = false;      // the worker ends after it: it gets no further call
  bool streamed = false;  // `exec_us` is not known then
  // The call has ended for its caller only: it keeps its place in the worker, and its deadline,
  // until a second on_reply() without this. Not with `last`.
  bool lingers = false;
};

class WorkerEvents {
 public:
  virtual ~WorkerEvents() = default;
  virtual void on_worker_parked(WorkerId worker) = 0;
  virtual void on_worker_ready(WorkerId worker, uint32_t init_us) = 0;
  virtual void on_worker_init_failed(WorkerId worker, std::string_view error_json) = 0;
  // `reply.payload` stays valid until deliver() returns. An id that the worker does not have is a
  // protocol violation, unless the call was given up before: returns false then, and the caller
  // kills the worker.
  virtual bool on_reply(WorkerId worker, InvocationId call, const WorkerReply& reply) = 0;
  // The call's reply passed limits.reply, or if it went on in parts as a stream limits.stream: it
  // ends with reply_too_large; what follows of it is
  // dropped by the caller, which still says on_reply (with any payload) at its end: only then does
  // the worker have room again.
  virtual bool on_reply_too_large(WorkerId worker, InvocationId call, bool stream) = 0;
  // Does the caller of this call take the reply in parts, if the function streams it or not? If so,
  // on_reply_part() hands them on.
  virtual bool takes_parts(WorkerId worker, InvocationId call, bool stream) const = 0;
  virtual Flow on_reply_part(WorkerId worker, InvocationId call, const ReplyPart& part) = 0;
  virtual bool on_handback(WorkerId worker, InvocationId call) = 0;
  virtual void on_zygote_ready(WorkerId, uint32_t) {}
  // What the function's code left behind must not be copied; `why` names it. The process ends.
  virtual void on_zygote_refused(WorkerId, std::string_view) {}
  // How many processes there were. `lost`: more than could be killed; the sandbox has to go.
  virtual void on_leftovers(WorkerId worker, uint32_t count, bool lost) = 0;
  virtual void on_pong(WorkerId worker, uint16_t sequence) = 0;
  // The worker broke the protocol; `what` names how. The core kills it.
  virtual void on_violation(WorkerId worker, std::string_view what) = 0;
  // May start another worker in the same slot before it returns.
  virtual void on_worker_exit(WorkerId worker, const WorkerExit& exit) = 0;
  // Runs the `done` of everything that ended since the last call. Called at the end of each batch
  // of the above.
  virtual void deliver() = 0;
};

}  // namespace hearth
