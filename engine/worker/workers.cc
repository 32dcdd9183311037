#include "worker/workers.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sched.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/start_environment.h"
#include "worker/init_json.h"
#include "worker/memory.h"

namespace hearth::worker {
namespace {

constexpr size_t kReadBuffer =
    512 * 1024;  // a full prefetch window of replies, and the begin of one more
constexpr uint64_t kGatherLeast = 8;  // calls that make it worth a look for more
constexpr uint32_t kGatherTurns = 4;
// From a closed channel to the kill, for the exit to be told with its own status.
constexpr milliseconds kClosedGrace{100};
constexpr uint32_t kLateMost = 100;  // graces for a worker that has ended, until that is told

// Also when it waits for its init to ask how.
bool has_ended(int pid) {
  char path[32], text[512];
  std::snprintf(path, sizeof path, "/proc/%d/stat", pid);
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  const ssize_t n = fd.valid() ? ::read(fd.get(), text, sizeof text - 1) : 0;
  if (n <= 0) return true;
  text[n] = '\0';
  const char* name_end = std::strrchr(text, ')');  // "1234 (name) Z ..."
  return name_end != nullptr && (name_end[2] == 'Z' || name_end[2] == 'X');
}

uint32_t microseconds_since(MonotonicTime then, MonotonicTime now) {
  return static_cast<uint32_t>(std::clamp<int64_t>(to_us(now - then), 0, UINT32_MAX));
}

// What an interpreter says of an environment that it can't be started with.
template <class Process>
WorkerExit with_last_words(const Process& process, const WorkerExit& exit) {
  constexpr size_t kWordsMax = 1'000;
  if (!process.own_environment || process.hello || !has_interpreter(process.runtime)) return exit;
  std::string_view words = process.tail.view({});
  while (words.ends_with('\n')) words.remove_suffix(1);
  if (words.empty() || !exit.detail.empty() || exit.lost || !WIFEXITED(exit.wait_status))
    return exit;
  WorkerExit out = exit;
  out.detail =
      fmt::format("the runtime could not start with the function's environment: exit status {}: {}",
                  WEXITSTATUS(exit.wait_status),
                  words.substr(words.size() > kWordsMax ? words.size() - kWordsMax : 0));
  return out;
}

}  // namespace

Workers::Process::Process(Workers& workers, WorkerId worker, const Limits& limits)
    : id(worker),
      channel(workers.loop_, workers.buffers_, workers, workers.read_buffer_, worker.slot),
      out(limits.log_line_max),
      err(limits.log_line_max),
      rate(limits.log_rate, limits.log_burst),
      owner(&workers) {}

Workers::Workers(Loop& loop, BufferPool& buffers, const Limits& limits,
                 FunctionLogSink& function_log, Log log)
    : loop_(loop),
      buffers_(buffers),
      limits_(limits),
      function_log_(function_log),
      log_(log),
      read_buffer_(kReadBuffer, '\0'),
      processes_(limits.workers_max),
      launcher_(loop, *this, log),
      caches_(limits) {
  dirty_.reserve(limits.workers_max);
  for (auto& places : spawner_runtimes_) places.fill(kNoPlace);
  loop.at_turn_end(Callback<void()>::to<&Workers::flush>(this));
}

Workers::~Workers() = default;

Status Workers::open(const sandbox::SpawnerConfig& config,
                     Callback<void(std::string_view)> on_lost) {
  on_lost_ = on_lost;
  cpu_set_t cpus;
  one_cpu_ = ::sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) == 1;
  for (uint32_t i = 0; i < config.runtimes_count; ++i) {
    const auto runtime = runtime_from_name(config.runtimes[i].name);
    if (!runtime) continue;
    auto& places = spawner_runtimes_[static_cast<size_t>(*runtime)];
    const auto free = std::find(places.begin(), places.end(), kNoPlace);
    if (free != places.end()) *free = i;
  }
  return launcher_.open(config);
}

uint32_t Workers::spawner_runtime(Runtime runtime, uint8_t interpreter) const {
  const uint32_t place = spawner_runtimes_[static_cast<size_t>(runtime)][interpreter];
  HEARTH_ASSERT(place != kNoPlace);
  return place;
}

Workers::Process* Workers::find(WorkerId id) const {
  Process* process = at(id.slot);
  if (process != nullptr && process->id == id) return process;
  return exiting_ != nullptr && exiting_->id == id ? exiting_ : nullptr;
}

// ---- WorkerLink

Workers::Process* Workers::add(WorkerId worker, Runtime runtime, const FunctionSpecPtr& spec) {
  auto process = std::make_unique<Process>(*this, worker, limits_);
  process->runtime = runtime;
  process->spec = spec;
  process->asked = loop_.now();
  HEARTH_ASSERT(processes_[worker.slot] == nullptr);
  processes_[worker.slot] = std::move(process);
  return processes_[worker.slot].get();
}

void Workers::start(WorkerId worker, const WorkerShape& shape, const FunctionSpecPtr& spec) {
  Process* process = add(worker, shape.runtime, spec);
  const bool native = shape.runtime == Runtime::native;
  process->speaks_http = shape.runtime == Runtime::custom;
  process->own_environment = spec != nullptr && starts_with_environment(*spec);
  const bool own_code = native || process->own_environment;  // a custom one has both
  process->may_be_copy = shape.runtime == Runtime::python3 && shape.interpreter == 0 &&
                         !process->own_environment && shape.network != Network::host;
  if (shape.network == Network::host) {
    ++stats_.host_network_starts;
    log_.info("worker", "a {} worker starts in the host's network, for {}",
              runtime_name(shape.runtime),
              spec != nullptr ? fmt::format("'{}'", spec->name) : "its pool");
  }
  SandboxLimits limits;
  limits.memory_bytes = shape.memory_bytes;
  limits.tmp_bytes = shape.tmp_bytes;
  // Until it has code a worker runs only ours: its quota comes with the code.
  limits.cpu_millis = own_code ? spec->cpu_millis : 0;
  launcher_.spawn(worker, spawner_runtime(shape.runtime, shape.interpreter), limits,
                  static_cast<sandbox::Network>(shape.network),
                  own_code ? std::string_view(spec->code_sha256) : std::string_view(),
                  native                 ? std::string_view(spec->handler)
                  : process->speaks_http ? kBootstrapName
                                         : std::string_view(),
                  {.own_environment = process->own_environment});
}

void Workers::bind(WorkerId worker, const FunctionSpecPtr& spec) {
  Process* process = find(worker);
  if (process == nullptr) return;
  process->spec = spec;
  if (process->speaks_http) return;  // it loads since it was started
  if (process->role == Process::Role::forked) return bind_forked(*process);
  if (process->runtime == Runtime::native || process->own_environment) {
    send_init(*process);  // the code has been there since it was started
    return;
  }
  process->asked = loop_.now();
  if (process->parked) process->times = {};  // nobody waited for its start
  launcher_.assign(worker, {.memory_bytes = spec->memory_bytes, .cpu_millis = spec->cpu_millis},
                   spec->code_sha256);
  if (process->role != Process::Role::plain) return;
  caches_.begin(process->cache, spec);
  if (process->cache.given != nullptr) process->channel.send_cache(process->cache.given);
}

void Workers::note_runtime_ready(Process& process) {
  process.times.runtime_us = microseconds_since(process.running, loop_.now());
}

// Before INIT, so that no code of the function runs without them.
bool Workers::send_egress_rules(Process& process) {
  if (process.spec->network == Network::none) return true;
  Result<sandbox::egress::Config> config = egress_rules_.config_of(*process.spec, loop_.now());
  const Status sent = config ? process.egress.configure(*config) : Status(config.error());
  if (!sent) violation(process, sent.error().detail);
  return static_cast<bool>(sent);
}

void Workers::tell_refused(Process& process, const sandbox::egress::Report& report) {
  const std::string what = describe_refusal(report);
  log_.debug("egress", "'{}': {}", process.spec != nullptr ? process.spec->name : "-", what);
  log_line(process, nullptr, LineLevel::warning, "hearth: network: refused " + what, false);
}

// Code of the function may run as soon as it has come.
void Workers::send_environment(Process& process) {
  if (!send_egress_rules(process)) return;
  process.channel.send_control(FrameType::environment, {}, 0,
                               start_environment(*process.spec, process.root));
}

void Workers::send_init(Process& process) {
  if (!process.own_environment && !send_egress_rules(process)) return;
  const std::string json = init_json(
      *process.spec, process.root, limits_,
      {.zygote = process.role == Process::Role::zygote, .compile_cache = process.cache.asked()});
  process.channel.send_init(json);
}

void Workers::send(WorkerId worker, CallFrame&& call) {
  Process* process = find(worker);
  HEARTH_ASSERT(process != nullptr);
  ++stats_.calls_sent;
  if (process->speaks_http) return api_->send(worker, call);
  process->channel.send_call(call);
}

void Workers::cancel(WorkerId worker, InvocationId call) {
  Process* process = find(worker);
  if (process == nullptr) return;
  if (process->speaks_http) return api_->cancel(worker, call);
  process->channel.send_control(FrameType::cancel, call, 0);
}

void Workers::recall(WorkerId worker, InvocationId call) {
  Process* process = find(worker);
  if (process == nullptr) return;
  if (process->speaks_http) return api_->recall(worker, call);
  process->channel.send_control(FrameType::recall, call, 0);
}

void Workers::go_on(WorkerId worker, InvocationId id) {
  Process* process = find(worker);
  if (process != nullptr && process->speaks_http) return api_->go_on(worker, id);
  OpenCall* call = process != nullptr ? process->channel.find(id) : nullptr;
  if (call == nullptr || !call->reply.held) return;
  call->reply.held = false;
  give_credit(*process, *call);
}

void Workers::ping(WorkerId worker, uint16_t sequence) {
  Process* process = find(worker);
  if (process == nullptr) return;
  if (process->speaks_http) return api_->ping(worker, sequence);
  process->channel.send_control(FrameType::ping, {}, sequence);
}

void Workers::stop(WorkerId worker) {
  Process* process = find(worker);
  if (process == nullptr) return;
  process->stopping = true;
  if (process->speaks_http)
    launcher_.terminate(worker);
  else
    process->channel.send_control(FrameType::stop, {}, 0);
  loop_.timers().arm(process->timer, loop_.now() + limits_.stop_grace,
                     Callback<void()>::to<&Process::on_timer>(process));
}

void Workers::kill(WorkerId worker) { launcher_.kill(worker); }
void Workers::freeze(WorkerId worker) { launcher_.freeze(worker); }
void Workers::thaw(WorkerId worker) { launcher_.thaw(worker); }

void Workers::clear_leftovers(WorkerId worker, Leftovers how) {
  launcher_.clear_leftovers(worker, how == Leftovers::kill);
}
bool Workers::clears_forked() const {
  return launcher_.ready().layers[static_cast<size_t>(sandbox::Layer::kFreezer)].on != 0;
}

std::string_view Workers::log_tail(WorkerId worker, InvocationId call) {
  Process* process = find(worker);
  if (process == nullptr) return {};
  // What the call wrote to fd 1 and 2 directly may still be in the pipes.
  read_pipe(*process, process->out, LogTail::kSize * 4);
  read_pipe(*process, process->err, LogTail::kSize * 4);
  return process->tail.view(call);
}

bool Workers::any_byte_sent(WorkerId worker, InvocationId call) const {
  const Process* process = find(worker);
  if (process != nullptr && process->speaks_http)
    return api_ != nullptr && api_->any_byte_sent(worker, call);
  return process == nullptr || process->channel.any_byte_sent(call);
}

// What the whole sandbox holds now counts as well: its peak is told by no counter of its own, since
// a slot's group outlives its workers.
uint64_t Workers::memory_peak(WorkerId worker) const {
  const Process* process = find(worker);
  if (process == nullptr) return 0;
  return std::max(process_memory(process->pid, "VmHWM:"), sandbox_memory(*process));
}

uint64_t Workers::memory_now(WorkerId worker) const {
  const Process* process = find(worker);
  if (process == nullptr) return 0;
  return std::max(process_memory(process->pid, "VmRSS:"), sandbox_memory(*process));
}

uint64_t Workers::sandbox_memory(const Process& process) const {
  const auto memory = static_cast<size_t>(sandbox::Layer::kCgroupMemory);
  if (process.pid == 0 || launcher_.ready().layers[memory].on == 0) return 0;
  if (process.memory_group.empty()) process.memory_group = sandbox_memory_group(process.pid);
  return process.memory_group.empty() ? 0 : group_memory(process.memory_group);
}

StartTimes Workers::start_times(WorkerId worker) const {
  const Process* process = find(worker);
  return process != nullptr ? process->times : StartTimes{};
}

// On one CPU a worker can't begin while the engine still reads what has come: to wake it early only
// takes the CPU away in the midst of that, and again for what was read later. So as long as more
// waits, calls are gathered; with a second CPU they would wait for nothing.
bool Workers::gather() {
  if (!one_cpu_) return false;
  if (gathered_at_ == loop_.turns()) return true;  // hooks run twice a turn
  const bool few = stats_.calls_sent - flushed_calls_ < kGatherLeast;
  if (few || gathered_turns_ >= kGatherTurns || !loop_.more_is_ready()) return false;
  ++gathered_turns_;
  gathered_at_ = loop_.turns();
  return true;
}

void Workers::flush() {
  if (api_ != nullptr) api_->settle();
  if (events_ != nullptr) events_->deliver();
  if (dirty_.empty()) return;
  if (gather()) return loop_.turn_again();
  gathered_turns_ = 0;
  flushed_calls_ = stats_.calls_sent;
  for (size_t i = 0; i < dirty_.size(); ++i) {
    if (Process* process = find(dirty_[i])) process->channel.flush();
  }
  dirty_.clear();
}

void Workers::on_dirty(Channel& channel) {
  if (const Process* process = at(channel.index())) dirty_.push_back(process->id);
}

// ---- the spawner's word

void Workers::on_spawned(Spawned&& spawned) {
  Process* process = find(spawned.worker);
  if (process == nullptr) return;
  if (spawned.error != 0) {
    WorkerExit exit;
    exit.start_failed = true;
    exit.detail = fmt::format("{}: {}", spawned.detail, std::strerror(spawned.error));
    log_.error("worker", "a {} worker could not be started: {}", runtime_name(process->runtime),
               exit.detail);
    if (spawned.channel.valid() || spawned.error == EMFILE) launcher_.kill(spawned.worker);
    gone(*process, exit);
    return;
  }
  process->pid = spawned.pid;
  process->running = loop_.now();
  process->times.sandbox_us = microseconds_since(process->asked, process->running);
  process->root = spawned.detail.empty() ? "/var/task" : spawned.detail;
  const bool forked = process->role == Process::Role::forked;
  if (!forked) count_start(*process, spawned.warm);
  UniqueFd& channel = forked ? process->ends.channel : spawned.channel;
  if (Status opened = process->channel.open(std::move(channel)); !opened)
    violation(*process, opened.error().detail);
  if (spawned.egress.valid()) {
    const auto on_refused = EgressLink::RefusedFn::to<&Process::on_refused>(process);
    if (Status opened =
            process->egress.open(loop_, std::move(spawned.egress), egress_stats_, on_refused);
        !opened)
      violation(*process, opened.error().detail);
  }
  if (process->own_environment) send_environment(*process);
  open_pipe(*process, process->out, std::move(forked ? process->ends.out : spawned.out));
  open_pipe(*process, process->err, std::move(forked ? process->ends.err : spawned.err));
  if (process->wanted) wake_forked(*process);
  if (process->speaks_http) serve(*process, std::move(spawned.api));
}

// There is nothing to wait for: it loads its function's code from its exec on.
void Workers::serve(Process& process, UniqueFd listener) {
  if (api_ == nullptr)
    api_ = std::make_unique<RuntimeApi>(loop_, buffers_, limits_, *events_, log_);
  if (Status added = api_->add(process.id, process.spec, std::move(listener)); !added)
    return violation(process, added.error().detail);
  events_->on_worker_parked(process.id);
}

const OpenCall* Workers::head(const Process& process) const {
  if (process.speaks_http) return api_ != nullptr ? api_->head(process.id) : nullptr;
  return process.channel.head();
}

// Without its zygote a runtime does as well, only slower and larger: that is told when it changes.
void Workers::count_start(const Process& process, bool warm) {
  ++(warm ? stats_.starts_by_fork : stats_.starts_by_exec);
  const bool could = process.may_be_copy && process.role == Process::Role::plain &&
                     launcher_.ready().zygote.on != 0;
  if (!could || warm == zygote_works_) return;
  zygote_works_ = warm;
  if (warm)
    log_.info("worker", "python3 workers start from the generic zygote again");
  else
    log_.warning("worker", "a python3 worker had to be started without the generic zygote");
}

void Workers::on_assigned(WorkerId worker, int error, std::string_view detail) {
  Process* process = find(worker);
  if (process == nullptr) return;
  if (error != 0) {
    log_.error("worker", "the code of '{}' could not be mounted: {}: {}", process->spec->name,
               detail, std::strerror(error));
    violation(*process,
              fmt::format("its code could not be mounted: {}: {}", detail, std::strerror(error)));
    return;
  }
  if (!detail.empty()) process->root = detail;
  process->times.sandbox_us += microseconds_since(process->asked, loop_.now());
  send_init(*process);
  process->channel.flush();
}

void Workers::on_leftovers(WorkerId worker, int error, uint32_t count, std::string_view names) {
  Process* process = find(worker);
  if (process == nullptr) return;
  if (error != 0) {
    log_.warning("worker", "what '{}' left behind could not be cleared away: {}",
                 process->spec->name, names);
    log_line(*process, nullptr, LineLevel::warning,
             fmt::format("hearth: leftovers: {}: the worker is killed", names), false);
  } else if (count > 0) {
    const bool kills = process->spec->leftovers == Leftovers::kill;
    log_line(
        *process, nullptr, LineLevel::warning,
        fmt::format("hearth: leftovers: {} process{} left running after a call: {}; {}", count,
                    count == 1 ? "" : "es", names, kills ? "killed" : "the worker is replaced"),
        false);
  }
  events_->on_leftovers(worker, count, error != 0);
  events_->deliver();
}

void Workers::on_exited(WorkerId worker, const sandbox::ExitedMessage& exited) {
  Process* process = find(worker);
  if (process == nullptr) return;
  // Its last words count: what it answered before it ended is an answer.
  if (!process->given_up && process->channel.is_open())
    process->channel.drain(limits_.reply_max + kReadBuffer);
  // A worker on its way out closes its channel first, and may need long for the rest: only one that
  // had to be killed broke the protocol. One that the kernel ended for memory may need longest: all
  // of its pages have to go first, and our kill may come before its status.
  const int status = exited.wait_status;
  const bool had_to_be_killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  const bool out_of_memory = exited.oom != 0 || (process->hung_up && exited.oom_child != 0);
  if (process->hung_up && had_to_be_killed && !out_of_memory)
    violation(*process, "it closed its channel");
  WorkerExit exit;
  exit.wait_status = status;
  exit.killed_by_engine = exited.killed_by_request != 0;
  exit.out_of_memory = out_of_memory;
  exit.out_of_memory_child = exited.oom_child != 0;
  exit.pids_hit = exited.pids_hit != 0;
  if (exited.with_family != 0)
    exit.detail = "another worker of its zygote was killed, and without cgroups all of them are";
  gone(*process, exit);
}

void Workers::gone(Process& process, const WorkerExit& exit) {
  read_pipe(process, process.out, LogTail::kSize * 64);
  read_pipe(process, process.err, LogTail::kSize * 64);
  end_line(process, process.out);
  end_line(process, process.err);
  process.egress.drain();
  tell_dropped(process);
  const WorkerId id = process.id;
  // Out of its slot first: the core may start another worker there while it hears of this one's
  // end.
  const std::unique_ptr<Process> held = std::move(processes_[id.slot]);
  caches_.gone(held->cache);
  Process* before = std::exchange(exiting_, held.get());
  events_->on_worker_exit(id, with_last_words(process, exit));
  if (held->speaks_http && api_ != nullptr) api_->remove(id);
  exiting_ = before;
  held->channel.close();
  events_->deliver();
}

void Workers::on_spawner_lost(std::string_view detail) {
  log_.error("spawner", "{}", detail);
  WorkerExit exit;
  exit.lost = true;
  exit.detail = detail;
  for (size_t slot = 0; slot < processes_.size(); ++slot) {
    if (processes_[slot] == nullptr) continue;
    if (!processes_[slot]->given_up) processes_[slot]->channel.drain(limits_.reply_max);
    if (processes_[slot] != nullptr) gone(*processes_[slot], exit);
  }
  if (on_lost_) on_lost_(detail);
}

void Workers::await_exit(Process& process) {
  loop_.timers().arm(process.timer, loop_.now() + kClosedGrace,
                     Callback<void()>::to<&Process::on_timer>(&process));
}

void Workers::on_grace_over(Process& process) {
  // It has ended, and its init, which tells how, had no turn yet: the machine is busy.
  if (!process.stopping && process.late < kLateMost && has_ended(process.pid)) {
    ++process.late;
    return await_exit(process);
  }
  process.hung_up = !process.stopping;
  launcher_.kill(process.id);
}

void Workers::violation(Process& process, std::string_view what) {
  if (process.given_up) return;
  process.given_up = true;
  log_.warning("worker", "a worker of '{}' broke the protocol: {}",
               process.spec != nullptr ? process.spec->name : "-", what);
  events_->on_violation(process.id, what);
}

}  // namespace hearth::worker
