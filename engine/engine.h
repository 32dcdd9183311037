// The engine: everything wired together. `hearth serve` is its first user; hearth.h will be the
// next. It changes nothing of its host process: no uid, no signal handler, no SIGCHLD, no dumpable
// flag, no working directory. One thread, the one that calls run() or step(), owns it; functions
// marked THREAD-SAFE may be called from others.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/request_observer.h"
#include "base/log.h"
#include "base/result.h"
#include "config/config.h"
#include "config/runtimes.h"
#include "core/ports.h"
#include "function_log_bridge.h"
#include "host/host_workers.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "sandbox/spawner_protocol.h"
#include "store/store_thread.h"

namespace hearth {

// "0.1.0", from the build.
extern const char* const kEngineVersion;

struct EngineOptions {
  Config config;                   // state_dir must be set
  LogSink* log_sink = nullptr;     // must outlive the engine; null = no log
  bool off_is_understood = false;  // sandbox.mode off is refused without it
  // Run each interpreter for its version. It is a child of the host's process, and takes time: an
  // embedder does without.
  bool ask_versions = true;
  bool http = true;  // listen on config.listen (and http.functions_listen)
  // Runs once, after the state folder was locked and the spawner started, before the store is
  // opened: where a daemon gives up its privileges.
  std::function<Status(const std::string& state_dir)> after_spawner;
  std::string version = kEngineVersion;
  // Every line that a function writes, on the engine's thread, beside the log files. Views are
  // valid during the call.
  FunctionLineFn on_function_line;
  // Hears of each call that comes by HTTP; must outlive the engine.
  api::RequestObserver* request_observer = nullptr;
};

// How far the loading of a function's current revision is.
struct LoadState {
  std::string revision;
  uint32_t ready = 0;             // workers that take calls
  uint32_t failures = 0;          // starts that failed since the last that did not
  Code code = Code::init_failed;  // of the last failure, as are the next two
  std::string payload;            // error JSON from the runtime, or empty
  std::string detail;
};

class Engine {
 public:
  // Opens everything in order: state folder, spawner, store, pools, listeners. Blocks for some tens
  // of milliseconds. A state folder that another engine has is left as it is. Errors:
  // sandbox_unavailable, state_unusable, listen_failed, listen_not_allowed, runtime_unavailable,
  // store_failed, io_failed.
  static Result<std::unique_ptr<Engine>> open(EngineOptions options);
  // Ends calls that still run with shutting_down, kills workers, closes everything. Nothing is left
  // behind.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Runs until stop() or until a drain is over. Returns how it ended.
  enum class End : uint8_t { stopped, drained, spawner_lost };
  End run();
  // One turn of the loop, which waits for at most `most`. For hosts with a loop of their own.
  void step(milliseconds most);
  // Makes run() return. On the engine's thread.
  void stop();
  // No new calls and connections; run() returns `drained` when those in flight have ended, at the
  // latest after limits.drain_timeout. THREAD-SAFE and async-signal-unsafe: post it from a signal
  // watcher, not from a handler.
  void drain();

  // THREAD-SAFE. Runs `message` on the engine's thread, in order. False: 4,096 wait already, or it
  // is closing; then the message is destroyed without running.
  bool post(Mailbox::Message message);

  // For a host with a loop of its own: a descriptor that is readable whenever step() has work, due
  // timers included. watch() brings it up to date; step() ends with it; whatever else is done to
  // the engine from outside a callback is to be followed by it.
  Result<int> fd();
  void watch();
  bool drained() const;       // a drain is over
  bool spawner_lost() const;  // no function can run any more

  // Functions of the host process. `spec.host` is set, `spec.runtime` is Runtime::host; revision
  // and code are not used. A name covers the stored function of that name; upserting the stored one
  // (a deploy) drops the host's. Errors: invalid_parameter, shutting_down; function_unknown when
  // `name` is not one of them.
  Status define(FunctionSpec spec);
  Status undefine(std::string_view name);
  // Nothing when there is no function of that name.
  std::optional<LoadState> load_state(std::string_view function) const;
  // The process of one of its workers that run the current revision, as seen from here; 0: none.
  int worker_pid(std::string_view function) const;
  bool is_host_function(std::string_view name) const;
  HostWorkers& host_workers();

  // What the management API uses too.
  StoreThread& store();
  std::string metrics_text() const;
  std::string functions_json() const;  // an array: name, runtime, revision, state and counters

  // The addresses in use, with their real ports; empty when there is none.
  const std::string& address() const;
  const std::string& functions_address() const;
  sandbox::Mode sandbox_mode() const;
  Loop& loop();
  // What brings events in.
  InvokePort& invoke_port();

 private:
  struct Parts;
  explicit Engine(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace hearth
