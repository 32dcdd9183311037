// Worker processes that exist only in numbers: they boot, load, execute, hand back, lie, hang and
// die as chance has it. Implements WorkerLink for the core; events go to it when their time has
// come.
#pragma once
#include <deque>
#include <queue>
#include <string>
#include <vector>

#include "base/clock.h"
#include "core/ports.h"
#include "tests/sim/ledger.h"
#include "tests/sim/random.h"

namespace hearth::sim {

// How often things go wrong, in a thousand. All zero: nothing does.
struct Faults {
  uint32_t start = 0;  // the process does not come up, dies early, or never says HELLO
  uint32_t init = 0;   // INIT_ERROR, death or silence while the code loads
  uint32_t crash = 0;  // death in a call, or just after its reply
  uint32_t hang = 0;   // a call without an end
  uint32_t garbage =
      0;  // wrong ids, second replies, frames out of turn, replies that are too large
  uint32_t silence = 0;  // of control frames: PONG and HANDBACK never come
  uint32_t delay = 0;    // they come late
  uint32_t leave = 0;    // workers end by themselves: a last reply, and unasked handbacks
  uint32_t socket = 0;   // the socket takes nothing for a while
  uint32_t fork = 0;     // a zygote gives no worker, or one that never becomes ready
};

class FakeProcesses final : public WorkerLink {
 public:
  FakeProcesses(const ManualClock& clock, Ledger& ledger, Random& random, const Limits& limits)
      : clock_(clock),
        ledger_(ledger),
        random_(random),
        limits_(limits),
        workers_(limits.workers_max) {}

  void set_engine(WorkerEvents& engine) { engine_ = &engine; }
  Faults& faults() { return faults_; }

  // WorkerLink
  void start(WorkerId worker, const WorkerShape& shape, const FunctionSpecPtr& spec) override;
  void bind(WorkerId worker, const FunctionSpecPtr& spec) override;
  void send(WorkerId worker, CallFrame&& call) override;
  void cancel(WorkerId worker, InvocationId call) override;
  void recall(WorkerId worker, InvocationId call) override;
  void go_on(WorkerId, InvocationId) override {}
  void ping(WorkerId worker, uint16_t sequence) override;
  bool has_zygotes() const override { return true; }
  void start_zygote(WorkerId zygote, const FunctionSpecPtr& spec) override;
  void fork(WorkerId worker, WorkerId zygote, const FunctionSpecPtr& spec) override;
  void stop(WorkerId worker) override;
  void kill(WorkerId worker) override;
  void freeze(WorkerId worker) override;
  void thaw(WorkerId worker) override;
  void clear_leftovers(WorkerId worker, Leftovers how) override;
  std::string_view log_tail(WorkerId worker, InvocationId call) override;
  bool any_byte_sent(WorkerId worker, InvocationId call) const override;
  uint64_t memory_peak(WorkerId worker) const override;
  uint64_t memory_now(WorkerId worker) const override;
  StartTimes start_times(WorkerId worker) const override;

  // The end of the engine's turn: what it sent goes out, where a socket takes it.
  void flush();
  // When the next event is due; the far future when there is none.
  MonotonicTime next() const;
  // Passes on what is due now, at most `most` events.
  void run(uint32_t most);
  // Some worker dies without any reason.
  void crash_one();
  size_t alive() const;

 private:
  enum class Stage : uint8_t { none, booting, parked, loading, ready, mould, dead };
  enum class Fate : uint8_t {
    reply,
    error,
    hang,
    crash,
    crash_after_reply,
    second_reply,
    too_large
  };
  enum class Kind : uint8_t {
    hello,
    ready,
    moulded,
    refused,
    init_error,
    call_end,
    handback,
    pong,
    unblock,
    cleared,
    die,
    exit
  };
  struct FakeCall {
    InvocationId id;
    uint64_t tag = 0;
    Fate fate = Fate::reply;
    bool sent = false;  // at least a byte of it
    bool started = false;
    uint32_t exec_us = 0;
  };
  struct Event {
    MonotonicTime at;
    uint64_t sequence;
    Kind kind;
    WorkerId worker;
    InvocationId call;
    uint32_t argument;
    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : sequence > other.sequence;
    }
  };
  struct FakeWorker {
    WorkerId id;
    Stage stage = Stage::none;
    Runtime runtime = Runtime::python3;
    FunctionSpecPtr spec;
    std::vector<FakeCall> calls;  // that it holds, in the order in which they were sent
    bool mould = false;           // is to be a zygote
    bool forked = false;          // by one
    bool wanted = false;          // forked: bind() was asked for
    bool outbox = false;          // some of `calls` were not sent yet
    bool blocked = false;         // its socket takes nothing
    bool deaf = false;            // answers control frames only when it executes nothing
    bool leaving = false;         // the engine said STOP or killed it
    bool muted = false;           // the engine reads no more of it
    bool liar = false;            // has broken the protocol, or will
    bool dying = false;
    bool frozen = false;    // stands still: what it would have said waits in `held`
    bool clearing = false;  // asked for what is left behind: gets no call before the answer
    std::vector<Event> held;
    uint32_t begun = 0;  // calls that it has started
    WorkerExit exit;
  };

  FakeWorker* find(WorkerId id);
  const FakeWorker* find(WorkerId id) const { return const_cast<FakeProcesses*>(this)->find(id); }
  FakeWorker& known(WorkerId id, const char* asked);
  void plan(Kind kind, const FakeWorker& worker, uint32_t after_us, InvocationId call = {},
            uint32_t argument = 0);
  void plan_death(FakeWorker& worker, uint32_t after_us, int wait_status);
  uint32_t control_delay_us(const FakeWorker& worker);
  void execute(FakeWorker& worker);
  void begin(FakeWorker& worker, FakeCall& call);
  void happen(const Event& event);
  void speak(const Event& event, FakeWorker& worker);
  void end_call(FakeWorker& worker, InvocationId id);
  void wake(FakeWorker& worker);
  void leave(FakeWorker& worker);
  void hand_back(FakeWorker& worker, InvocationId id, uint32_t tries);
  void talk_nonsense(FakeWorker& worker);
  void reply(FakeWorker& worker, InvocationId id, uint64_t tag, bool is_error, uint32_t exec_us,
             bool last = false, bool lingers = false);
  void refused(FakeWorker& worker, bool accepted, const char* frame);
  static size_t executing(const FakeWorker& worker);

  const ManualClock& clock_;
  Ledger& ledger_;
  Random& random_;
  const Limits& limits_;
  WorkerEvents* engine_ = nullptr;
  Faults faults_;
  std::vector<FakeWorker>
      workers_;  // by slot; never grows, so that references stay good while the core starts others
  FakeWorker exiting_;  // during its on_worker_exit
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::vector<WorkerId> outboxes_;
  std::deque<std::string> replies_;  // live until the engine's deliver()
  uint64_t sequence_ = 0;
};

}  // namespace hearth::sim
