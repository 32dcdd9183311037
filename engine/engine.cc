// The wiring: the one place that knows everything. Parts are made in order and destroyed in
// reverse.
#include "engine.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "api/control_api.h"
#include "api/front.h"
#include "core/dispatcher.h"
#include "engine_view.h"
#include "function_layers.h"
#include "function_log_bridge.h"
#include "host/link_switch.h"
#include "http/server.h"
#include "loop/loop_fd.h"
#include "loop/mailbox.h"
#include "sandbox/probe.h"
#include "spawner_config.h"
#include "store/state_folder.h"
#include "store/store_thread.h"
#include "store/temporary_state.h"
#include "worker/workers.h"

namespace hearth {
namespace {

constexpr size_t kMailboxMax = 4'096;
constexpr uint32_t kShortTurns = 16;

// limits.memory_budget: three quarters of the machine, unless it is named.
Limits with_budget(Limits limits) {
  struct sysinfo machine {};
  if (limits.memory_budget == 0 && ::sysinfo(&machine) == 0) {
    limits.memory_budget = static_cast<uint64_t>(machine.totalram) * machine.mem_unit / 4 * 3;
  }
  return limits;
}

RuntimeCatalogue catalogue(const RuntimesConfig& config, const std::vector<RuntimeInfo>& found) {
  return RuntimeCatalogue(interpreters(found), config.substitute.value_or(Substitute::never),
                          [](const Interpreter& each) { return version_of(each.path); });
}

StoreThread::Options store_options(const Config& config, const Limits& limits,
                                   const std::vector<RuntimeInfo>& runtimes) {
  StoreThread::Options options;
  options.state_folder = config.state_dir;
  options.limits = limits;
  options.runtimes = catalogue(config.runtimes, runtimes);
  return options;
}

// The mode in which the spawner is to run; `auto` is decided by trying.
Result<sandbox::Mode> decide_mode(const EngineOptions& options) {
  switch (options.config.sandbox.mode) {
    case SandboxMode::strict:
      return sandbox::Mode::kStrict;
    case SandboxMode::user:
      return sandbox::Mode::kUser;
    case SandboxMode::degraded:
      if (!options.config.sandbox.allow_degraded) {
        return Error{Code::sandbox_unavailable,
                     "sandbox.mode is degraded, which hearth.yaml has to permit: set "
                     "sandbox.allow_degraded: true"};
      }
      return sandbox::Mode::kDegraded;
    case SandboxMode::off:
      if (!options.off_is_understood) {
        return Error{Code::sandbox_unavailable,
                     "sandbox.mode is off: functions would run unconfined; add "
                     "--i-know-this-is-unsafe if that is meant"};
      }
      return sandbox::Mode::kOff;
    case SandboxMode::automatic:
      break;
  }
  const sandbox::ProbeReport report = HEARTH_TRY(sandbox::probe());
  return sandbox::choose_mode(report, options.config.sandbox.allow_degraded
                                          ? sandbox::AllowDegraded::kYes
                                          : sandbox::AllowDegraded::kNo);
}

// The state folder's lock and, in it, what the spawner mounts from: everything else is the store's.
Result<StateLock> take_state_folder(const std::string& path) {
  if (path.empty() || path.front() != '/')
    return Error{Code::state_unusable, fmt::format("'{}' is not an absolute path", path)};
  StateLock lock = HEARTH_TRY(StateLock::take(path));
  const std::string code = lock.path() + "/code";
  if (::mkdir(code.c_str(), 0711) != 0 && errno != EEXIST)
    return Error{Code::state_unusable, fmt::format("{}: {}", code, std::strerror(errno))};
  return lock;
}

// A worker of degraded mode may write to all of /tmp. Root's has a uid of its own, which the state
// folder's modes keep out; any other has the engine's.
Status check_degraded_state(const std::string& path) {
  if (::geteuid() == 0 || !TemporaryState::in_tmp(path)) return ok();
  return Error{
      Code::sandbox_unavailable,
      fmt::format("in mode degraded functions may write to all of /tmp, and so to the state "
                  "folder {}: name one outside of /tmp with --state",
                  path)};
}

SandboxLeast as_least(sandbox::Mode mode) {
  switch (mode) {
    case sandbox::Mode::kStrict:
      return SandboxLeast::strict;
    case sandbox::Mode::kUser:
      return SandboxLeast::user;
    case sandbox::Mode::kDegraded:
      return SandboxLeast::degraded;
    case sandbox::Mode::kOff:
      break;
  }
  return SandboxLeast::any;
}

using Names = std::map<std::string, FunctionSpecPtr, std::less<>>;

}  // namespace

struct Engine::Parts {
  Parts(EngineOptions opts, std::vector<RuntimeInfo> found)
      : options(std::move(opts)),
        limits(with_budget(options.config.limits)),
        runtimes(std::move(found)),
        log(options.log_sink, options.config.log_level),
        loop(clock),
        mailbox(loop, kMailboxMax),
        buffers(limits.buffers_max),
        store(mailbox, clock, log, store_options(options.config, limits, runtimes)),
        function_log(clock),
        host_workers(loop, buffers),
        workers(loop, buffers, limits, function_log, log),
        links(workers, host_workers, limits.workers_max),
        dispatcher(links, loop.timers(), loop.clock(), buffers, limits) {}
  ~Parts();

  Status open();
  Status start_sandbox();
  Status start_store();
  void make_status();
  Status start_http();
  void on_spawner_lost(std::string_view detail);
  void on_change(const FunctionChange& change);
  Status define(FunctionSpec spec);
  Status undefine(std::string_view name);
  void drain();
  void on_drained();
  void on_drain_deadline();
  void check_drained();
  void finish(End how);
  void append_metrics(MetricsText& out) { status->append_metrics(out); }
  api::Readiness readiness() const;

  EngineOptions options;
  const Limits limits;
  const std::vector<RuntimeInfo> runtimes;
  Log log;
  SystemClock clock;
  Loop loop;
  Mailbox mailbox;
  BufferPool buffers;
  std::optional<StateLock> state_lock;  // until the store has it
  StoreThread store;
  FunctionLogBridge function_log;
  HostWorkers host_workers;  // before `workers`: what its functions call goes out in the same turn
  worker::Workers workers;
  LinkSwitch links;
  Dispatcher dispatcher;
  Names stored;  // every function of the store, also those that a host function covers
  Names hosts;
  uint64_t host_revision = 0;
  LoopFd loop_fd;
  uint32_t short_turns = 0;  // in a row
  std::unique_ptr<EngineStatus> status;
  std::unique_ptr<api::Front> front;
  std::unique_ptr<http::Server> server;
  std::unique_ptr<api::ControlApi> control;
  std::string address;
  std::string functions_address;
  bool opened = false;
  bool draining = false;
  bool connections_gone = false;
  End end = End::stopped;
  Timer drain_timer;
  Timer drain_check;
};

Engine::Parts::~Parts() {
  drain_timer.disarm();
  drain_check.disarm();
  dispatcher.close();
  dispatcher.deliver();
  // Workers end within the spawner's time; their exits are heard so that nothing is left behind
  // when we return.
  for (int i = 0; opened && end != End::spawner_lost && dispatcher.pool().workers() != 0 && i < 500;
       ++i)
    loop.step(milliseconds(10));
  if (server) server->close_all();
  store.stop();
  mailbox.discard();
  server.reset();
  front.reset();
  control.reset();
}

Status Engine::Parts::open() {
  state_lock = HEARTH_TRY(take_state_folder(options.config.state_dir));
  HEARTH_TRY(start_sandbox());
  dispatcher.pool().set_keep_alive(options.config.keep_alive.policy);
  if (options.after_spawner) HEARTH_TRY(options.after_spawner(options.config.state_dir));
  HEARTH_TRY(start_store());
  opened = true;
  for (const RuntimeInfo& info : runtimes) {
    if (!info.usable()) log.warning("runtime", "{} is not available: {}", info.name, info.problem);
    if (info.number != 0) continue;
    if (info.usable() && info.runtime == Runtime::python3)
      dispatcher.pool().set_parked_target(Runtime::python3, limits.pool_python);
    if (info.usable() && info.runtime == Runtime::nodejs)
      dispatcher.pool().set_parked_target(Runtime::nodejs, limits.pool_node);
  }
  make_status();
  if (options.http) HEARTH_TRY(start_http());
  return ok();
}

Status Engine::Parts::start_sandbox() {
  const sandbox::Mode mode = HEARTH_TRY(decide_mode(options));
  if (mode == sandbox::Mode::kDegraded) {
    HEARTH_TRY(check_degraded_state(options.config.state_dir));
    // Workers have uids of their own then, and see the host's files.
    if (::geteuid() == 0) HEARTH_TRY(state_lock->let_others_pass());
  }
  const std::string shims = HEARTH_TRY(write_shims(options.config.state_dir));
  const sandbox::SpawnerConfig config =
      HEARTH_TRY(spawner_config(options.config, runtimes, shims, mode));
  workers.egress_rules().set_limits(limits);
  HEARTH_TRY(workers.egress_rules().set_resolvers(options.config.network.resolvers));
  workers.attach(dispatcher);
  host_workers.attach(dispatcher);
  HEARTH_TRY(
      workers.open(config, Callback<void(std::string_view)>::to<&Parts::on_spawner_lost>(this)));
  const sandbox::ReadyMessage& ready = workers.launcher().ready();
  log.info("sandbox", "mode {}", mode_name(ready.mode));
  for (size_t i = 0; i < static_cast<size_t>(sandbox::Layer::kLayersCount); ++i) {
    const sandbox::LayerState& layer = ready.layers[i];
    if (layer.on == 0)
      log.info("sandbox", "layer {} is off: {}", layer_name(static_cast<sandbox::Layer>(i)),
               layer.reason);
  }
  log.info("sandbox", "egress: {}", egress_mechanism(ready));
  log.info("sandbox", "network host: {}",
           host_network_mechanism(ready, options.config.network.allow_host));
  if (ready.zygote.on == 0)
    log.info("sandbox", "no generic zygote, workers start by an exec: {}", ready.zygote.reason);
  if (ready.mode == sandbox::Mode::kOff) log.warning("sandbox", "functions run UNCONFINED");
  return ok();
}

Status Engine::Parts::start_store() {
  const SandboxLeast mode = as_least(workers.launcher().ready().mode);
  const sandbox::LayerState& egress = workers.launcher().ready().egress;
  const NetworkProblems network =
      network_problems(egress.on != 0 ? "" : egress.reason, options.config.network.allow_host);
  store.set_sandbox(mode, network);
  for (const FunctionSpecPtr& spec :
       HEARTH_TRY(store.open(*std::exchange(state_lock, std::nullopt)))) {
    Status met = check_confinement(*spec, mode, network);
    if (!met) {
      log.error("store", "'{}' can't be called: {}", spec->name, met.error().detail);
      continue;
    }
    stored[spec->name] = spec;
    if (!dispatcher.upsert(spec))
      log.error("store", "'{}' is left out: limits.functions is reached", spec->name);
  }
  function_log.attach(store.logs(), options.on_function_line);
  store.set_listener([this](const FunctionChange& change) { on_change(change); });
  store.start();
  return ok();
}

void Engine::Parts::on_change(const FunctionChange& change) {
  if (change.kind == FunctionChange::Kind::removed) {
    stored.erase(change.name);
    if (!hosts.contains(change.name)) dispatcher.remove(change.name);
  } else {
    stored[change.name] = change.spec;
    hosts.erase(change.name);
    if (!dispatcher.upsert(change.spec))
      log.error("store", "'{}' can't be called: limits.functions is reached", change.name);
    log.info("sandbox", "'{}': {}", change.name,
             describe_layers_of(*change.spec, workers.launcher().ready()));
  }
  dispatcher.deliver();
}

void Engine::Parts::make_status() {
  EngineStatus::Sources sources{loop,
                                dispatcher,
                                workers,
                                buffers,
                                limits,
                                runtimes,
                                options.version,
                                options.config.state_dir,
                                options.config.network.allow_host,
                                loop.now(),
                                &store.logs(),
                                &store.unpack_stats()};
  status = std::make_unique<EngineStatus>(std::move(sources));
}

Status Engine::Parts::start_http() {
  control = std::make_unique<api::ControlApi>(api::ControlApi::Parts{store, loop, limits, *status});
  api::Front::Parts parts{dispatcher, buffers, limits, loop.clock()};
  parts.control = control.get();
  parts.allowed_hosts = options.config.http.allowed_hosts;
  parts.observer = options.request_observer;
  parts.readiness = Callback<api::Readiness()>::to<&Parts::readiness>(this);
  front = std::make_unique<api::Front>(std::move(parts));
  server = std::make_unique<http::Server>(loop, buffers, limits, *front, log,
                                          store.folder().spool_path());
  control->attach(*server);
  front->attach(*server);
  front->add_metrics(Callback<void(MetricsText&)>::to<&Parts::append_metrics>(this));
  address = HEARTH_TRY(server->listen(options.config.listen, false));
  workers.egress_rules().protect(address);
  log.info("http", "listening on http://{}", address);
  if (!options.config.http.functions_listen.empty()) {
    functions_address = HEARTH_TRY(server->listen(options.config.http.functions_listen, true));
    workers.egress_rules().protect(functions_address);
    log.info("http", "function URLs also on http://{}", functions_address);
  }
  return ok();
}

api::Readiness Engine::Parts::readiness() const {
  if (draining) return {false, "the engine is shutting down"};
  if (end == End::spawner_lost) return {false, "the spawner has ended"};
  return {};
}

void Engine::Parts::on_spawner_lost(std::string_view detail) {
  log.error("engine", "{}: no function can run any more", detail);
  dispatcher.begin_drain();
  dispatcher.close();
  dispatcher.deliver();
  finish(End::spawner_lost);
}

// ---- functions of the host

Status Engine::Parts::define(FunctionSpec spec) {
  if (draining) return Error{Code::shutting_down, {}};
  HEARTH_TRY(validate(spec, limits));
  spec.revision = fmt::format("{:064x}", ++host_revision);
  const auto shared = std::make_shared<const FunctionSpec>(std::move(spec));
  if (!dispatcher.upsert(shared))
    return Error{Code::invalid_parameter, "limits.functions is reached"};
  hosts[shared->name] = shared;
  dispatcher.deliver();
  return ok();
}

Status Engine::Parts::undefine(std::string_view name) {
  const auto found = hosts.find(name);
  if (found == hosts.end()) return Error{Code::function_unknown, {}};
  hosts.erase(found);
  const auto covered = stored.find(name);
  if (covered != stored.end()) {
    dispatcher.upsert(covered->second);
  } else {
    dispatcher.remove(name);
  }
  dispatcher.deliver();
  return ok();
}

// ---- the end

void Engine::Parts::drain() {
  if (draining) return;
  draining = true;
  log.info("engine", "draining: {} calls in flight", dispatcher.stats().in_flight);
  dispatcher.begin_drain();
  loop.timers().arm(drain_timer, loop.now() + limits.drain_timeout,
                    Callback<void()>::to<&Parts::on_drain_deadline>(this));
  if (server) {
    server->drain(Callback<void()>::to<&Parts::on_drained>(this));
  } else {
    connections_gone = true;
  }
  check_drained();
}

void Engine::Parts::on_drained() { connections_gone = true; }

void Engine::Parts::check_drained() {
  if (connections_gone && dispatcher.idle()) {
    finish(End::drained);
    return;
  }
  loop.timers().arm(drain_check, loop.now() + milliseconds(5),
                    Callback<void()>::to<&Parts::check_drained>(this));
}

void Engine::Parts::on_drain_deadline() {
  log.warning("engine", "{} calls did not end within {} ms (limits.drain_timeout)",
              dispatcher.stats().in_flight, limits.drain_timeout.count());
  dispatcher.close();
  dispatcher.deliver();
  finish(End::drained);
}

void Engine::Parts::finish(End how) {
  if (end != End::spawner_lost) end = how;
  loop.stop();
}

const char* const kEngineVersion = HEARTH_VERSION;

// ---- Engine

Engine::Engine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::open(EngineOptions options) {
  HEARTH_TRY(validate(options.config));
  std::vector<RuntimeInfo> runtimes =
      find_runtimes(options.config.runtimes, {.ask_version = options.ask_versions});
  auto parts = std::make_unique<Parts>(std::move(options), std::move(runtimes));
  HEARTH_TRY(parts->open());
  return std::unique_ptr<Engine>(new Engine(std::move(parts)));
}

Engine::End Engine::run() {
  if (parts_->end != End::spawner_lost) parts_->loop.run();
  return parts_->end;
}

void Engine::step(milliseconds most) {
  Parts& p = *parts_;
  // Calls of host functions need no I/O: a few such turns in a row ask the kernel nothing.
  if (p.host_workers.pending() && ++p.short_turns < kShortTurns) {
    p.loop.finish_turn();
    if (p.host_workers.pending()) p.loop_fd.wake();
    return;
  }
  p.short_turns = 0;
  p.loop.step(most);
  p.loop_fd.rest();
}

void Engine::stop() { parts_->loop.stop(); }

void Engine::drain() {
  parts_->mailbox.post([parts = parts_.get()] { parts->drain(); });
}

bool Engine::post(Mailbox::Message message) { return parts_->mailbox.post(std::move(message)); }

Result<int> Engine::fd() {
  if (!parts_->loop_fd.is_open()) {
    HEARTH_TRY(parts_->loop_fd.open(parts_->loop));
    step(milliseconds(0));  // what was opened before this is watched from now on
    watch();
  }
  return parts_->loop_fd.get();
}

void Engine::watch() { parts_->loop_fd.wake(); }
bool Engine::drained() const { return parts_->end == End::drained; }
bool Engine::spawner_lost() const { return parts_->end == End::spawner_lost; }

// ---- functions of the host

Status Engine::define(FunctionSpec spec) { return parts_->define(std::move(spec)); }
Status Engine::undefine(std::string_view name) { return parts_->undefine(name); }
bool Engine::is_host_function(std::string_view name) const { return parts_->hosts.contains(name); }
HostWorkers& Engine::host_workers() { return parts_->host_workers; }

std::optional<LoadState> Engine::load_state(std::string_view function) const {
  std::optional<LoadState> state;
  parts_->dispatcher.each_function([&](const Function& f) {
    if (f.removed || f.name != function) return;
    const StartFailure& failure = f.failure;
    state = LoadState{f.spec->revision, f.ready,         failure.count,
                      failure.code,     failure.payload, failure.detail};
  });
  return state;
}

int Engine::worker_pid(std::string_view function) const {
  const auto state = load_state(function);
  int found = 0;
  parts_->workers.each([&](int pid, const FunctionSpecPtr& spec) {
    if (state && spec != nullptr && spec->name == function && spec->revision == state->revision)
      found = pid;
  });
  return found;
}

StoreThread& Engine::store() { return parts_->store; }

std::string Engine::metrics_text() const {
  std::string text;
  MetricsText out(text);
  parts_->status->append_metrics(out);
  return text;
}

std::string Engine::functions_json() const { return parts_->status->functions_json(); }

const std::string& Engine::address() const { return parts_->address; }
const std::string& Engine::functions_address() const { return parts_->functions_address; }
sandbox::Mode Engine::sandbox_mode() const { return parts_->workers.launcher().ready().mode; }
Loop& Engine::loop() { return parts_->loop; }
InvokePort& Engine::invoke_port() { return parts_->dispatcher; }

}  // namespace hearth
