// One run: a dispatcher, fake processes, a clock that moves from event to event, and what callers
// do, all out of one seed. After every step it compares the core with the ledger. A broken rule
// ends the process (see violation()).
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/buffer_pool.h"
#include "base/timer_wheel.h"
#include "core/dispatcher.h"
#include "tests/sim/fake_processes.h"
#include "tests/sim/ledger.h"
#include "tests/sim/random.h"

namespace hearth::sim {

struct RunOptions {
  uint64_t seed = 1;
  uint32_t steps = 10'000;
  bool forget_calls_of_lost_worker = false;
};

struct RunResult {
  uint64_t submitted = 0;
  uint64_t refused = 0;
  uint64_t replies = 0;
  uint64_t errors = 0;
  uint64_t abandoned = 0;
  uint64_t workers = 0;
  double simulated_seconds = 0;
};

class Simulator {
 public:
  explicit Simulator(const RunOptions& options);
  ~Simulator();
  // The whole run: `steps` steps of chaos, then recovery, drain and the end.
  RunResult run();

 private:
  struct FakeFunction {
    std::string name;
    FunctionId id;  // without generation while it is removed
    uint32_t generation = 0;
    uint32_t revisions = 0;
    std::vector<FunctionSpecPtr> history;  // of this generation
  };

  static Limits make_limits(Random& random);
  void choose_faults();
  // What can happen in a step.
  void step();
  void submit(bool from_done);
  void submit_burst();
  void abandon();
  void deploy(FakeFunction& function);
  void remove(FakeFunction& function);
  void jump(nanoseconds at_most);
  // The end of the engine's turn, and all checks.
  void settle();
  void check();
  void on_done(InvocationId id, const Outcome& outcome);
  void check_outcome(const CallRecord& record, const Outcome& outcome);
  // The end of a run.
  void finish_open_calls(seconds within, const char* phase);
  void check_recovery();
  void drain();

  RunOptions options_;
  Random random_;
  const Limits limits_;
  ManualClock clock_;
  TimerWheel timers_;
  BufferPool buffers_;
  Ledger ledger_;
  FakeProcesses processes_;
  std::unique_ptr<Dispatcher> core_;
  std::vector<FakeFunction> functions_;
  std::string payload_;
  RunResult result_;
  MonotonicTime started_;
  bool calm_ = false;        // no faults at all in this run
  bool recovering_ = false;  // faults are over: every call has to succeed
  bool submitting_ = false;
  bool closing_ = false;
};

}  // namespace hearth::sim
