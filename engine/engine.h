// The engine: everything wired together. `hearth serve` is its first user; hearth.h will be the
// next. It changes nothing of its host process: no uid, no signal handler, no SIGCHLD, no dumpable
// flag, no working directory. One thread, the one that calls run() or step(), owns it; functions
// marked THREAD-SAFE may be called from others.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "config/config.h"
#include "config/runtimes.h"
#include "core/ports.h"
#include "loop/loop.h"
#include "sandbox/spawner_protocol.h"

namespace hearth {

// "0.1.0", from the build.
extern const char* const kEngineVersion;

struct EngineOptions {
  Config config;                   // state_dir must be set
  LogSink* log_sink = nullptr;     // must outlive the engine; null = no log
  bool off_is_understood = false;  // sandbox.mode off is refused without it
  bool http = true;                // listen on config.listen (and http.functions_listen)
  // Runs once, after the spawner was started and before anything of the state folder is opened:
  // where a daemon gives up its privileges.
  std::function<Status(const std::string& state_dir)> after_spawner;
  std::string version = kEngineVersion;
};

class Engine {
 public:
  // Opens everything in order: state folder, spawner, store, pools, listeners. Blocks for some tens
  // of milliseconds. Errors: sandbox_unavailable, state_unusable, listen_failed,
  // listen_not_allowed, runtime_unavailable, store_failed, io_failed.
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
