#include "engine_view.h"

#include <nlohmann/json.hpp>

#include <array>
#include <cstring>

#include "base/alloc_count.h"
#include "function_layers.h"

namespace hearth {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, static_cast<size_t>(sandbox::Layer::kLayersCount)>
    kLayerNames = {"user_namespace", "pid_namespace", "mount_namespace",  "network_namespace",
                   "ipc_namespace",  "uts_namespace", "cgroup_namespace", "read_only_root",
                   "private_tmp",    "slot_uid",      "no_capabilities",  "no_new_privs",
                   "seccomp",        "rlimits",       "code_read_only",   "landlock",
                   "cgroup_memory",  "cgroup_cpu",    "cgroup_pids",      "cgroup_io",
                   "freezer",        "not_dumpable"};

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

uint32_t busy_workers(const Function& function) {
  return function.ready - static_cast<uint32_t>(function.idle.size());
}

json layers_json(const sandbox::ReadyMessage& ready) {
  json layers = json::array();
  for (size_t i = 0; i < kLayerNames.size(); ++i) {
    const sandbox::LayerState& layer = ready.layers[i];
    json entry = {
        {"name", kLayerNames[i]}, {"on", layer.on != 0}, {"state", layer.on != 0 ? "on" : "off"}};
    if (layer.reason[0] != '\0')
      entry["reason"] = std::string(layer.reason, strnlen(layer.reason, sizeof layer.reason));
    layers.push_back(std::move(entry));
  }
  return layers;
}

// What else has a confinement of its own: the mould of parked Python workers, and what unpacks
// archives (null: it has not run yet).
json helpers_json(const sandbox::ReadyMessage& ready, const UnpackStats& unpack) {
  const std::string reason(ready.zygote.reason,
                           strnlen(ready.zygote.reason, sizeof ready.zygote.reason));
  json zygote = {{"on", ready.zygote.on != 0}, {"state", ready.zygote.on != 0 ? "on" : "off"}};
  if (!reason.empty()) zygote["reason"] = reason;
  json unpacker;
  for (uint32_t i = 0; i < kUnpackLayersCount && unpack.runs.load() != 0; ++i) {
    const bool on = ((unpack.layers.load() >> i) & 1) != 0;
    unpacker.push_back({{"name", unpack_layer_name(i)}, {"on", on}, {"state", on ? "on" : "off"}});
  }
  return {{"generic_zygote", std::move(zygote)}, {"unpacker_layers", std::move(unpacker)}};
}

json function_layers_json(const Function& function, const sandbox::ReadyMessage& ready) {
  json off = json::array();
  for (const MissingLayer& missing : missing_layers(*function.spec, ready))
    off.push_back({{"name", layer_name(missing.layer)}, {"reason", missing.reason}});
  return {{"name", function.name},
          {"seccomp_policy", runtime_name(function.spec->runtime)},
          {"network", network_name(function.spec->network)},
          {"workers_share_namespaces", function.zygote.phase() == ZygotePlan::Phase::ready},
          {"layers_off", std::move(off)}};
}

json sandbox_facts(const sandbox::ReadyMessage& ready, const UnpackStats& unpack, bool allow_host) {
  json facts = helpers_json(ready, unpack);
  facts["mode"] = mode_name(ready.mode);
  facts["layers"] = layers_json(ready);
  facts["egress"] = egress_mechanism(ready);
  facts["network_host"] = host_network_mechanism(ready, allow_host);
  return facts;
}

json runtimes_json(const std::vector<RuntimeInfo>& runtimes) {
  json out = json::array();
  for (const RuntimeInfo& info : runtimes) {
    out.push_back({{"name", info.name},
                   {"default", info.number == 0},
                   {"path", info.path},
                   {"real_path", info.real_path},
                   {"version", info.version},
                   {"usable", info.usable()},
                   {"problem", info.problem}});
  }
  return out;
}

}  // namespace

std::string_view mode_name(sandbox::Mode mode) {
  switch (mode) {
    case sandbox::Mode::kOff:
      return "off";
    case sandbox::Mode::kDegraded:
      return "degraded";
    case sandbox::Mode::kUser:
      return "user";
    case sandbox::Mode::kStrict:
      return "strict";
  }
  return "unknown";
}

std::string egress_mechanism(const sandbox::ReadyMessage& ready) {
  return ready.egress.on != 0 ? "broker (seccomp user notification)"
                              : std::string("not available: ") + ready.egress.reason;
}

std::string host_network_mechanism(const sandbox::ReadyMessage& ready, bool permitted) {
  if (!permitted) return "not permitted: network.allow_host is false";
  return ready.egress.on != 0 ? "permitted; the broker refuses the engine's listeners"
                              : std::string("not available: ") + ready.egress.reason;
}

std::string_view layer_name(sandbox::Layer layer) {
  return kLayerNames[static_cast<size_t>(layer)];
}

// ---- JSON

std::string EngineStatus::version_json() const {
  return dump({{"version", s_.version}, {"protocol", 1}});
}

std::string EngineStatus::state_json() const {
  const DispatcherStats& calls = s_.dispatcher.stats();
  const PoolStats& pool = s_.dispatcher.pool().stats();
  json out = {{"version", s_.version},
              {"state_dir", s_.state_dir},
              {"uptime_ms", to_ms(s_.loop.now() - s_.started)},
              {"calls",
               {{"in_flight", calls.in_flight},
                {"submitted", calls.submitted},
                {"finished", calls.finished},
                {"refused", calls.refused}}},
              {"workers",
               {{"alive", s_.dispatcher.pool().workers()},
                {"limit", s_.limits.workers_max},
                {"starts", pool.starts}}},
              {"memory", {{"charged", pool.memory_charged}, {"budget", s_.limits.memory_budget}}},
              {"buffers", {{"taken", s_.buffers.bytes_taken()}, {"limit", s_.limits.buffers_max}}},
              {"spawner_pid", s_.workers.launcher().pid()}};
  json pids = json::array();
  s_.workers.each([&](int pid, const FunctionSpecPtr& spec) {
    pids.push_back({{"pid", pid}, {"function", spec != nullptr ? spec->name : ""}});
  });
  out["processes"] = std::move(pids);
  json parked = json::object();
  for (size_t i = 0; i < kWorkerRuntimeCount; ++i) {
    const auto runtime = static_cast<Runtime>(i);
    if (has_interpreter(runtime))
      parked[std::string(runtime_name(runtime))] = s_.dispatcher.pool().parked(runtime);
  }
  out["parked"] = std::move(parked);
  return dump(out);
}

std::string EngineStatus::sandbox_json() const {
  const sandbox::ReadyMessage& ready = s_.workers.launcher().ready();
  json facts = sandbox_facts(ready, *s_.unpack, s_.allow_host);
  json& functions = facts["functions"] = json::array();
  s_.dispatcher.each_function([&](const Function& function) {
    if (!function.removed) functions.push_back(function_layers_json(function, ready));
  });
  return dump(facts);
}

std::string EngineStatus::doctor_json() const {
  const sandbox::ReadyMessage& ready = s_.workers.launcher().ready();
  return dump({{"version", s_.version},
               {"sandbox", sandbox_facts(ready, *s_.unpack, s_.allow_host)},
               {"runtimes", runtimes_json(s_.runtimes)},
               {"state_dir", s_.state_dir}});
}

std::string EngineStatus::function_json(std::string_view name) const {
  std::string out;
  s_.dispatcher.each_function([&](const Function& function) {
    if (function.name != name || function.removed) return;
    const FunctionStats& stats = function.stats;
    out = dump({{"workers",
                 {{"ready", function.ready},
                  {"busy", busy_workers(function)},
                  {"starting", function.starting},
                  {"max", function.workers_max}}},
                {"queued", function.queue.size()},
                {"queue_max", function.queue_max},
                {"calls", stats.submitted},
                {"errors", stats.errors},
                {"refused", stats.refused},
                {"cold", stats.cold},
                {"p50_us", stats.total.quantile_us(0.5)},
                {"p99_us", stats.total.quantile_us(0.99)}});
  });
  return out;
}

std::string EngineStatus::functions_json() const {
  json out = json::array();
  s_.dispatcher.each_function([&](const Function& function) {
    if (function.removed) return;
    out.push_back({{"name", function.name},
                   {"runtime", runtime_name(function.spec->runtime)},
                   {"revision", function.spec->revision},
                   {"workers", function.ready},
                   {"queued", function.queue.size()},
                   {"calls", function.stats.submitted},
                   {"errors", function.stats.errors}});
  });
  return dump(out);
}

// ---- metrics

void EngineStatus::append_metrics(MetricsText& out) {
  const DispatcherStats& calls = s_.dispatcher.stats();
  out.family("hearth_build_info", MetricsText::Type::gauge, "The version that runs.");
  out.sample({{"version", s_.version}}, uint64_t{1});
  out.counter("hearth_calls_submitted_total", "Calls that were taken in.", calls.submitted);
  out.counter("hearth_calls_finished_total", "Calls that have ended, in whatever way.",
              calls.finished);
  out.counter("hearth_calls_refused_total", "Calls that were refused at the door.", calls.refused);
  out.counter("hearth_calls_requeued_total",
              "Calls that came back from a worker which had not started them.", calls.requeued);
  out.counter("hearth_replies_dropped_total", "Replies that nobody waited for any more.",
              calls.dropped_replies);
  out.gauge("hearth_calls_in_flight", "Calls that wait or run (limits.calls).", calls.in_flight);
  out.gauge("hearth_buffers_bytes", "Payload bytes that the engine holds (limits.buffers).",
            static_cast<double>(s_.buffers.bytes_taken()));
  append_loop(out);
  if (kAllocationsCounted) {
    out.counter("hearth_allocations_total", "Heap allocations of the loop's thread.",
                thread_allocations());
  }
  append_pool(out);
  append_pool_keys(out);
  append_warm(out);
  append_compile_caches(out);
  append_functions(out);
  append_sandbox(out);
  if (s_.unpack != nullptr) append_unpacker(out);
}

void EngineStatus::append_loop(MetricsText& out) {
  out.counter("hearth_loop_turns_total", "Turns of the loop.", s_.loop.turns());
  out.family("hearth_loop_turn_seconds", MetricsText::Type::histogram,
             "Turns of the loop, each from the end of its wait to the next one.");
  out.histogram({}, s_.loop.turn_times());
  out.gauge("hearth_loop_turn_max_seconds", "The loop's longest turn since the start.",
            static_cast<double>(to_us(s_.loop.max_turn())) / 1e6);
  out.gauge("hearth_loop_longest_turn_seconds", "The loop's longest turn since the last look.",
            static_cast<double>(to_us(s_.loop.take_longest_turn())) / 1e6);
}

void EngineStatus::append_unpacker(MetricsText& out) {
  const UnpackStats& stats = *s_.unpack;
  out.counter("hearth_unpack_runs_total", "Archives that were given to an unpacker process.",
              stats.runs.load());
  out.counter("hearth_unpack_refused_total", "Archives that were refused for what they hold.",
              stats.refused.load());
  out.counter("hearth_unpack_failures_total",
              "Unpackers that crashed, hung, ran out of something or could not start.",
              stats.failed.load());
  out.family("hearth_unpack_layer", MetricsText::Type::gauge,
             "Layers that confined the last unpacker, 1 = on.");
  for (uint32_t i = 0; i < kUnpackLayersCount; ++i)
    out.sample({{"layer", unpack_layer_name(i)}}, uint64_t{(stats.layers.load() >> i) & 1});
}

void EngineStatus::append_pool(MetricsText& out) {
  WorkerPool& pool = s_.dispatcher.pool();
  const PoolStats& stats = pool.stats();
  out.gauge("hearth_workers", "Worker processes (limits.workers).", pool.workers());
  out.family("hearth_workers_parked", MetricsText::Type::gauge,
             "Generic workers that wait for a function.");
  for (const Runtime runtime : {Runtime::python3, Runtime::nodejs})
    out.sample({{"runtime", runtime_name(runtime)}}, uint64_t{pool.parked(runtime)});
  out.counter("hearth_worker_starts_total", "Workers started.", stats.starts);
  const worker::WorkersStats& workers = s_.workers.stats();
  out.family(
      "hearth_sandbox_starts_total", MetricsText::Type::counter,
      "Sandboxes whose worker came to run, by its start: a copy of the generic zygote, or an "
      "exec (pool.zygote_forks).");
  out.sample({{"way", "fork"}}, workers.starts_by_fork);
  out.sample({{"way", "exec"}}, workers.starts_by_exec);
  const worker::RuntimeApiStats api = s_.workers.runtime_api_stats();
  out.counter("hearth_runtime_api_requests_total", "Requests of custom functions' workers.",
              api.requests);
  out.counter("hearth_runtime_api_refused_total",
              "Of these, requests that could not be met (1,000 in a row end a worker).",
              api.refused);
  out.counter("hearth_runtime_api_refused_connections_total",
              "Connections of workers beyond concurrency.per_worker and 8.",
              api.refused_connections);
  out.counter("hearth_worker_exits_total", "Workers that have ended.", stats.exits);
  out.counter("hearth_worker_kills_total", "Workers killed by the engine.", stats.kills);
  out.counter("hearth_worker_start_failures_total", "Starts and loads that failed.",
              stats.start_failures);
  out.counter("hearth_boot_timeouts_total", "Workers that were killed by limits.boot_timeout.",
              stats.boot_timeouts);
  out.counter("hearth_init_timeouts_total", "Workers that were killed by limits.init_timeout.",
              stats.init_timeouts);
  out.counter("hearth_replies_too_large_total", "Replies that passed limits.reply.",
              s_.dispatcher.stats().replies_too_large);
  out.counter("hearth_worker_evictions_total", "Idle workers that made way for others.",
              stats.evictions);
  out.counter("hearth_worker_violations_total", "Workers that broke the worker protocol.",
              stats.violations);
  out.counter("hearth_memory_refusals_total", "Starts refused by limits.memory_budget.",
              stats.budget_refusals);
  out.counter("hearth_pool_hits_total", "Starts that found a parked worker.", stats.pool_hits);
  out.counter("hearth_pool_misses_total", "Starts that found none.", stats.pool_misses);
  out.counter("hearth_pool_fresh_total", "Starts for functions that no parked worker fits.",
              stats.pool_fresh);
  append_zygotes(out);
  out.gauge("hearth_memory_charged_bytes", "Sum of the workers' memory limits.",
            static_cast<double>(stats.memory_charged));
  out.gauge("hearth_memory_budget_bytes", "limits.memory_budget.",
            static_cast<double>(s_.limits.memory_budget));
  const worker::WorkersStats& frames = s_.workers.stats();
  out.counter("hearth_worker_frames_total", "Frames that workers sent.", frames.frames_in);
  out.counter("hearth_log_lines_total", "Log lines of functions.", frames.log_lines);
  out.counter("hearth_log_lines_dropped_total", "Log lines above log.rate.",
              frames.log_lines_dropped);
  if (s_.logs != nullptr)
    out.counter("hearth_log_lines_lost_total", "Log lines that the disk was too slow for.",
                s_.logs->dropped());
}

// Of keys that have workers or want some.
void EngineStatus::append_pool_keys(MetricsText& out) {
  const WorkerPool& pool = s_.dispatcher.pool();
  const auto each = [&](std::string_view name, std::string_view help, auto&& value) {
    out.family(name, MetricsText::Type::gauge, help);
    for (size_t i = 0; i < kPoolKeyCount; ++i) {
      const PoolKey key = PoolKey::at(i);
      if (pool.parked(key) == 0 && pool.parked_target(key) == 0) continue;
      const std::string memory =
          key.memory_class == 0 ? "any" : std::to_string(key.memory_bytes() >> 20);
      out.sample({{"runtime", runtime_name(key.runtime)},
                  {"interpreter", std::to_string(key.interpreter)},
                  {"memory_mb", memory},
                  {"network", network_name(key.network)}},
                 value(key));
    }
  };
  each("hearth_pool_parked", "Parked workers of a kind.",
       [&](const PoolKey& key) { return uint64_t{pool.parked(key)}; });
  each("hearth_pool_target", "How many of a kind are wanted (pool.max_per_key, pool.memory_share).",
       [&](const PoolKey& key) { return uint64_t{pool.parked_target(key)}; });
}

void EngineStatus::append_warm(MetricsText& out) {
  const PoolStats& stats = s_.dispatcher.pool().stats();
  out.counter("hearth_worker_freezes_total",
              "Workers that were frozen after a while without a call (limits.freeze_after).",
              stats.freezes);
  out.counter("hearth_worker_thaws_total", "Workers that were woken.", stats.thaws);
  out.gauge("hearth_workers_frozen", "Workers that stand still.", stats.frozen);
  out.counter("hearth_leftovers_killed_total",
              "Processes that calls had left behind (leftovers: kill).", stats.leftovers_killed);
  out.counter("hearth_worker_prewarms_total",
              "Workers started since a call was expected (keep_alive.policy).", stats.prewarms);
  out.counter("hearth_worker_surplus_total",
              "Workers let go since fewer were enough for the short calls of their function.",
              stats.surplus);
  out.family("hearth_worker_recycles_total", MetricsText::Type::counter,
             "Workers that were replaced between calls, by the reason (recycle, leftovers).");
  for (size_t i = 0; i < kRecycleReasonCount; ++i)
    out.sample({{"reason", recycle_reason_name(static_cast<RecycleReason>(i))}}, stats.recycled[i]);
  out.family("hearth_cold_start_seconds", MetricsText::Type::histogram,
             "Where the time of cold calls went.");
  for (size_t r = 0; r < kWorkerRuntimeCount; ++r) {
    for (size_t i = 0; i < kColdPhaseNames.size(); ++i) {
      const auto runtime = static_cast<Runtime>(r);
      out.histogram({{"phase", kColdPhaseNames[i]}, {"runtime", runtime_name(runtime)}},
                    s_.dispatcher.cold().of(runtime, static_cast<ColdPhase>(i)));
    }
  }
  out.family("hearth_cold_starts_total", MetricsText::Type::counter,
             "Cold calls that were answered, by how their worker came to be.");
  for (size_t r = 0; r < kWorkerRuntimeCount; ++r) {
    const auto runtime = static_cast<Runtime>(r);
    for (size_t way = 0; way < kStartWayNames.size(); ++way)
      out.sample({{"runtime", runtime_name(runtime)}, {"way", kStartWayNames[way]}},
                 s_.dispatcher.cold().count(runtime, static_cast<StartWay>(way)));
  }
}

void EngineStatus::append_zygotes(MetricsText& out) {
  WorkerPool& pool = s_.dispatcher.pool();
  const PoolStats& stats = pool.stats();
  out.gauge("hearth_zygotes", "Initialised workers that further ones are forked from.",
            pool.zygotes());
  out.counter("hearth_zygote_starts_total", "Zygotes started.", stats.zygote_starts);
  out.gauge("hearth_zygote_spares",
            "Forked ahead: workers that wait until their function needs them (zygotes.spares).",
            pool.spares());
  out.family("hearth_zygote_spares_total", MetricsText::Type::counter,
             "What became of spares: used by their function, made way for workers, or ended "
             "before they were needed.");
  out.sample({{"outcome", "used"}}, stats.spares_used);
  out.sample({{"outcome", "memory"}}, stats.spare_evictions);
  out.sample({{"outcome", "lost"}}, stats.spare_failures);
  out.counter("hearth_zygote_forks_total", "Workers that were to be forked from a zygote.",
              stats.zygote_forks);
  out.family("hearth_zygote_failures_total", MetricsText::Type::counter,
             "What went wrong with zygotes: revisions whose code can't be forked, zygotes that "
             "died, forks that gave no worker, and zygotes that made way for workers.");
  out.sample({{"reason", "refused"}}, stats.zygote_refusals);
  out.sample({{"reason", "died"}}, stats.zygote_failures);
  out.sample({{"reason", "fork"}}, stats.zygote_fork_failures);
  out.sample({{"reason", "memory"}}, stats.zygote_evictions);
}

void EngineStatus::append_functions(MetricsText& out) {
  struct Counter {
    std::string_view name;
    std::string_view help;
    uint64_t FunctionStats::*field;
  };
  static constexpr Counter kCounters[] = {
      {"hearth_function_calls_total", "Calls of a function.", &FunctionStats::submitted},
      {"hearth_function_errors_total", "Calls that ended with an error.", &FunctionStats::errors},
      {"hearth_function_refused_total", "Calls refused at the door.", &FunctionStats::refused},
      {"hearth_function_worker_starts_total",
       "Workers that it was given: parked ones, forks, fresh starts.", &FunctionStats::starts},
      {"hearth_function_cold_total", "Calls that waited for their worker to load.",
       &FunctionStats::cold},
      {"hearth_function_timeouts_total", "Calls that passed their deadline.",
       &FunctionStats::timeouts},
      {"hearth_function_crashes_total", "Calls whose worker died.", &FunctionStats::crashes},
      {"hearth_function_recalls_total", "Calls that were called back from a busy worker.",
       &FunctionStats::recalls},
  };
  for (const Counter& counter : kCounters) {
    out.family(counter.name, MetricsText::Type::counter, counter.help);
    s_.dispatcher.each_function([&](const Function& f) {
      out.sample({{"function", f.name}}, f.stats.*counter.field);
    });
  }
  out.family("hearth_function_queue", MetricsText::Type::gauge,
             "Calls that wait for a worker (concurrency.queue).");
  s_.dispatcher.each_function([&](const Function& f) {
    out.sample({{"function", f.name}}, uint64_t{f.queue.size()});
  });
  out.family("hearth_function_workers", MetricsText::Type::gauge,
             "Workers of a function by what they do.");
  s_.dispatcher.each_function([&](const Function& f) {
    out.sample({{"function", f.name}, {"state", "busy"}}, uint64_t{busy_workers(f)});
    out.sample({{"function", f.name}, {"state", "idle"}}, uint64_t{f.idle.size()});
    out.sample({{"function", f.name}, {"state", "starting"}}, uint64_t{f.starting});
  });
  out.family("hearth_function_duration_seconds", MetricsText::Type::histogram,
             "From taking a call in to its end.");
  s_.dispatcher.each_function([&](const Function& f) {
    out.histogram({{"function", f.name}}, f.stats.total);
  });
  out.family("hearth_function_handler_seconds", MetricsText::Type::histogram,
             "Time in the handler, as the worker reports it.");
  s_.dispatcher.each_function([&](const Function& f) {
    out.histogram({{"function", f.name}}, f.stats.exec);
  });
}

void EngineStatus::append_compile_caches(MetricsText& out) {
  const worker::CompileCacheStats& stats = s_.workers.compile_cache_stats();
  out.gauge("hearth_compile_cache_bytes",
            "What Node.js revisions have compiled, kept in memory (limits.compile_cache_total).",
            static_cast<double>(stats.bytes));
  out.gauge("hearth_compile_cache_revisions", "Revisions that have one.",
            static_cast<double>(stats.revisions));
  out.counter("hearth_compile_cache_made_total", "Compile caches that workers made.", stats.made);
  out.counter("hearth_compile_cache_hits_total", "Workers that compiled with their revision's.",
              stats.hits);
  out.counter("hearth_compile_cache_rejects_total",
              "Workers that could not use their revision's, or a part of it.", stats.rejects);
  out.counter("hearth_compile_cache_evictions_total",
              "Dropped for limits.compile_cache_total, least used first.", stats.evictions);
}

void EngineStatus::append_sandbox(MetricsText& out) {
  const sandbox::ReadyMessage& ready = s_.workers.launcher().ready();
  out.family("hearth_sandbox_mode", MetricsText::Type::gauge, "The sandbox mode in force.");
  out.sample({{"mode", mode_name(ready.mode)}}, uint64_t{1});
  out.family("hearth_sandbox_layer", MetricsText::Type::gauge, "Layers of the sandbox, 1 = on.");
  for (size_t i = 0; i < kLayerNames.size(); ++i)
    out.sample({{"layer", kLayerNames[i]}}, uint64_t{ready.layers[i].on});
  out.gauge("hearth_generic_zygote",
            "Are parked Python workers copies of a generic zygote (pool.zygote_forks)? 1 = yes.",
            uint64_t{ready.zygote.on});
  out.family("hearth_function_layer", MetricsText::Type::gauge,
             "Layers that a function's workers lack: 0. Those that are on have no line.");
  s_.dispatcher.each_function([&](const Function& f) {
    for (const MissingLayer& missing : missing_layers(*f.spec, ready))
      out.sample({{"function", f.name}, {"layer", layer_name(missing.layer)}}, uint64_t{0});
  });
  using sandbox::egress::Outcome;
  const auto& counts = s_.workers.egress_stats();
  const auto sample = [&](std::initializer_list<Outcome> outcomes) {
    for (const Outcome outcome : outcomes)
      out.sample({{"result", worker::egress_outcome_name(outcome)}},
                 counts[static_cast<size_t>(outcome)]);
  };
  out.family("hearth_egress_connects_total", MetricsText::Type::counter,
             "Connects of functions with network: egress; denied_engine also of network: host.");
  sample({Outcome::kConnected, Outcome::kFailed, Outcome::kTimedOut, Outcome::kDeniedRule,
          Outcome::kDeniedSpecial, Outcome::kDeniedEngine, Outcome::kDeniedLimit,
          Outcome::kBroken});
  out.family("hearth_egress_names_total", MetricsText::Type::counter,
             "Names that functions with network: egress asked for.");
  sample({Outcome::kResolved, Outcome::kResolveFailed, Outcome::kDeniedName});
  out.counter("hearth_host_network_starts_total",
              "Workers that were started in the host's network.",
              s_.workers.stats().host_network_starts);
}

}  // namespace hearth
