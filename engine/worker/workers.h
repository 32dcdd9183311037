// The core's WorkerLink over real processes: one Process a worker, with its channel, its log pipes
// and its place at the spawner. Loop thread only.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/log.h"
#include "core/ports.h"
#include "loop/loop.h"
#include "loop/poll.h"
#include "worker/channel.h"
#include "worker/compile_cache.h"
#include "worker/egress.h"
#include "worker/function_log.h"
#include "worker/launcher.h"
#include "worker/line_splitter.h"
#include "worker/runtime_api.h"

namespace hearth::worker {

struct WorkersStats {  // only grow
  uint64_t frames_in = 0;
  uint64_t calls_sent = 0;
  uint64_t log_lines = 0;
  uint64_t log_lines_dropped = 0;
  uint64_t host_network_starts = 0;  // with Network::host
  // Workers that came to run; those forked from a function's zygote are neither.
  uint64_t starts_by_fork = 0;  // as copies of the generic zygote
  uint64_t starts_by_exec = 0;
};

class Workers final : public WorkerLink, private Channel::Owner, private Launcher::Owner {
 public:
  // All references must outlive this.
  Workers(Loop& loop, BufferPool& buffers, const Limits& limits, FunctionLogSink& function_log,
          Log log);
  ~Workers() override;

  // The core that hears what happens. To be set before the first start().
  void attach(WorkerEvents& events) { events_ = &events; }
  // Starts the spawner; blocks until it is ready. `on_lost` runs once if it dies, after every
  // worker's exit was told.
  Status open(const sandbox::SpawnerConfig& config, Callback<void(std::string_view)> on_lost);

  // WorkerLink
  void start(WorkerId worker, const WorkerShape& shape, const FunctionSpecPtr& spec) override;
  void bind(WorkerId worker, const FunctionSpecPtr& spec) override;
  void send(WorkerId worker, CallFrame&& call) override;
  void cancel(WorkerId worker, InvocationId call) override;
  void recall(WorkerId worker, InvocationId call) override;
  void go_on(WorkerId worker, InvocationId call) override;
  void ping(WorkerId worker, uint16_t sequence) override;
  bool has_zygotes() const override { return true; }
  void start_zygote(WorkerId zygote, const FunctionSpecPtr& spec) override;
  void fork(WorkerId worker, WorkerId zygote, const FunctionSpecPtr& spec) override;
  void stop(WorkerId worker) override;
  void kill(WorkerId worker) override;
  void freeze(WorkerId worker) override;
  void thaw(WorkerId worker) override;
  void clear_leftovers(WorkerId worker, Leftovers how) override;
  bool clears_forked() const override;
  std::string_view log_tail(WorkerId worker, InvocationId call) override;
  bool any_byte_sent(WorkerId worker, InvocationId call) const override;
  uint64_t memory_peak(WorkerId worker) const override;
  uint64_t memory_now(WorkerId worker) const override;
  StartTimes start_times(WorkerId worker) const override;

  // Writes what is queued for every worker. At the end of each turn.
  void flush();

  const Launcher& launcher() const { return launcher_; }
  const WorkersStats& stats() const { return stats_; }
  RuntimeApiStats runtime_api_stats() const {
    return api_ != nullptr ? api_->stats() : RuntimeApiStats{};
  }
  const CompileCacheStats& compile_cache_stats() const { return caches_.stats(); }
  // What egress functions share; to be completed before the first of them starts.
  EgressRules& egress_rules() { return egress_rules_; }
  const std::array<uint64_t, kEgressOutcomes>& egress_stats() const { return egress_stats_; }
  // `visit(pid, spec or null)` for each living worker.
  template <class F>
  void each(F&& visit) const;

 private:
  struct Pipe {
    explicit Pipe(size_t line_max) : lines(line_max) {}
    Workers* owner = nullptr;
    uint32_t slot = 0;
    UniqueFd fd;
    Poll poll;
    LineSplitter lines;
    Timer partial;  // a line without its newline waits for the rest
    void on_poll(int events);
    void on_partial();
  };
  struct Process {
    Process(Workers& owner, WorkerId worker, const Limits& limits);
    WorkerId id;
    Runtime runtime = Runtime::python3;
    FunctionSpecPtr spec;
    Channel channel;
    Pipe out;
    Pipe err;
    RateLimit rate;
    LogTail tail;
    int pid = 0;
    mutable std::string memory_group;  // once it was asked for
    EgressLink egress;
    bool speaks_http = false;  // it is served by api_; its channel carries only its environment
    std::string root;          // where the worker sees its code
    enum class Role : uint8_t { plain, zygote, forked };
    Role role = Role::plain;
    bool moulded = false;           // a zygote: it said ZYGOTE
    WorkerId zygote;                // forked: of whom
    bool wanted = false;            // forked: its function needs it
    ForkEnds ends;                  // forked: until the spawner says that it runs
    std::vector<WorkerId> forking;  // a zygote's FORKs without an answer
    bool own_environment = false;   // started with its function's environment and code
    bool may_be_copy = false;       // of the generic zygote, if there is one
    CacheShare cache;
    bool hello = false;
    bool parked = false;    // said HELLO before it had a function
    MonotonicTime asked;    // for the process, then for its code: the spawner is at work since
    MonotonicTime running;  // the spawner had started it
    StartTimes times;
    bool given_up = false;  // a violation was told: nothing of it is read any more
    bool stopping = false;
    uint32_t late = 0;     // graces since its channel closed in which its exit was not told
    bool hung_up = false;  // closed its channel, did not end within the grace, and was killed
    Timer timer;           // grace after STOP, or after its channel closed
    Timer marker;          // tells of dropped lines when no line follows
    Workers* owner;
    void on_timer() { owner->on_grace_over(*this); }
    void on_refused(const sandbox::egress::Report& report) { owner->tell_refused(*this, report); }
    void on_marker() { owner->tell_dropped(*this); }
  };

  uint32_t spawner_runtime(Runtime runtime, uint8_t interpreter) const;
  bool gather();
  void await_exit(Process& process);
  uint64_t sandbox_memory(const Process& process) const;

  // Channel::Owner
  bool on_frame(Channel& channel, const Frame& frame) override;
  void on_broken(Channel& channel, std::string_view what) override;
  void on_closed(Channel& channel) override;
  void on_batch_end() override;
  void on_dirty(Channel& channel) override;
  // Launcher::Owner
  void on_spawned(Spawned&& spawned) override;
  void on_fork_ends(ForkEnds&& ends) override;
  bool has_ends(WorkerId worker) const override;
  void on_assigned(WorkerId worker, int error, std::string_view detail) override;
  void on_leftovers(WorkerId worker, int error, uint32_t count, std::string_view names) override;
  void on_exited(WorkerId worker, const sandbox::ExitedMessage& exited) override;
  void on_spawner_lost(std::string_view detail) override;

  Process* find(WorkerId id) const;
  Process* at(uint32_t slot) const {
    return slot < processes_.size() ? processes_[slot].get() : nullptr;
  }
  Process* add(WorkerId worker, Runtime runtime, const FunctionSpecPtr& spec);
  bool on_hello(Process& process, const Frame& frame);
  bool on_ready(Process& process, const Frame& frame);
  void bind_forked(Process& process);
  void wake_forked(Process& process);
  bool on_zygote(Process& process, const Frame& frame);
  bool on_forked(Process& process, const Frame& frame);
  bool on_cache(Process& process, const Frame& frame);
  bool on_reply(Process& process, const Frame& frame);
  bool on_chunk(Process& process, const Frame& frame);
  bool gather(Process& process, OpenCall& call, const ReplyPart& part);
  static void give_credit(Process& process, OpenCall& call);
  bool end_reply(Process& process, OpenCall& call, bool last);
  bool finish_reply(Process& process, OpenCall& call, std::string_view payload, bool last);
  void on_log(Process& process, const Frame& frame);
  void violation(Process& process, std::string_view what);
  void gone(Process& process, const WorkerExit& exit);
  void count_start(const Process& process, bool warm);
  void send_init(Process& process);
  bool send_egress_rules(Process& process);
  void serve(Process& process, UniqueFd listener);
  const OpenCall* head(const Process& process) const;
  void send_environment(Process& process);
  void tell_refused(Process& process, const sandbox::egress::Report& report);
  void note_runtime_ready(Process& process);
  void on_grace_over(Process& process);
  void open_pipe(Process& process, Pipe& pipe, UniqueFd fd);
  void read_pipe(Process& process, Pipe& pipe, size_t most);
  void log_line(Process& process, const OpenCall* call, LineLevel level, std::string_view text,
                bool continued);
  void end_line(Process& process, Pipe& pipe);
  void tell_dropped(Process& process);

  Loop& loop_;
  BufferPool& buffers_;
  const Limits& limits_;
  FunctionLogSink& function_log_;
  Log log_;
  WorkerEvents* events_ = nullptr;
  Callback<void(std::string_view)> on_lost_;
  std::string read_buffer_;
  std::vector<std::unique_ptr<Process>> processes_;  // by slot
  Process* exiting_ = nullptr;  // answers the core's questions while its exit is told
  std::vector<WorkerId> dirty_;
  // Where an interpreter stands in the spawner's table: the entries of a runtime's name, in order.
  static constexpr uint32_t kNoPlace = UINT32_MAX;
  std::array<std::array<uint32_t, kInterpretersMax>, kWorkerRuntimeCount> spawner_runtimes_;
  bool one_cpu_ = false;  // all that the engine and so its workers may use
  uint64_t flushed_calls_ = 0;
  uint32_t gathered_turns_ = 0;        // without a flush
  uint64_t gathered_at_ = UINT64_MAX;  // the last of them
  std::vector<Buffer> delivered_;      // large replies, until their batch was delivered
  Launcher launcher_;
  WorkersStats stats_;
  bool zygote_works_ = true;  // as of the last start that could have used it
  EgressRules egress_rules_;
  std::array<uint64_t, kEgressOutcomes> egress_stats_{};
  CompileCaches caches_;
  std::unique_ptr<RuntimeApi> api_;  // since the first worker that speaks HTTP
};

template <class F>
void Workers::each(F&& visit) const {
  for (const auto& process : processes_) {
    if (process != nullptr && process->pid != 0) visit(process->pid, process->spec);
  }
}

}  // namespace hearth::worker
