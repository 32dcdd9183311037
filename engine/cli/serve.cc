// hearth serve: the daemon. The engine does the work; here is what belongs to a process: options,
// signals, privileges, exit codes.
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "cli/commands.h"
#include "cli/daemon_privileges.h"
#include "cli/serve_config.h"
#include "engine.h"
#include "loop/uv_handle.h"

namespace hearth::cli {
namespace {

// SIGTERM and SIGINT: the first one drains, the second one ends at once. To be destroyed before the
// engine.
class StopSignals {
 public:
  explicit StopSignals(Engine& engine) : engine_(engine) {
    watch(term_, SIGTERM);
    watch(interrupt_, SIGINT);
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  bool cut_short() const { return count_ > 1; }

 private:
  void watch(UvHandle<uv_signal_t>& handle, int number) {
    uv_signal_init(engine_.loop().uv(), handle.get());
    handle.opened(this);
    uv_signal_start(handle.get(), on_signal, number);
  }
  static void on_signal(uv_signal_t* handle, int) {
    if (auto* self = UvHandle<uv_signal_t>::owner<StopSignals>(handle)) self->stop();
  }
  void stop() {
    if (++count_ == 1) {
      engine_.drain();
    } else {
      engine_.stop();
    }
  }

  Engine& engine_;
  UvHandle<uv_signal_t> term_, interrupt_;
  int count_ = 0;
};

// A terminal that goes away, or a client that does, is no reason to end.
void ignore_signals() {
  ::signal(SIGHUP, SIG_IGN);
  ::signal(SIGPIPE, SIG_IGN);
}

// Called when the spawner has started, which keeps what rights it needs.
Status become_user(const std::string& state_dir, const std::string& configured) {
  const auto user = HEARTH_TRY(daemon_user(configured));
  if (!user) return seal_process();
  HEARTH_TRY(give_folder(state_dir, *user));
  HEARTH_TRY(drop_privileges(*user));
  if (::access(state_dir.c_str(), R_OK | W_OK | X_OK) == 0) return ok();
  return Error{Code::state_unusable,
               fmt::format("{} can't be reached by {}, to which the daemon drops: {}; choose a "
                           "--state whose parent folders let others "
                           "pass, or name another user: in hearth.yaml",
                           state_dir, user->name, std::strerror(errno))};
}

int exit_of(Code code) {
  switch (code) {
    case Code::config_invalid:
    case Code::listen_not_allowed:
    case Code::usage:
      return kServeConfig;
    case Code::spawner_lost:
      return kServeSpawnerLost;
    default:
      return kServeFailed;
  }
}

const char* advice(Code code) {
  switch (code) {
    case Code::sandbox_unavailable:
      return "`hearth doctor` shows what works on this machine, and the fix for what does not";
    case Code::listen_failed:
      return "is another daemon running? --listen 127.0.0.1:0 takes a free port";
    case Code::listen_not_allowed:
      return "--listen 127.0.0.1:4327, and http.functions_listen in hearth.yaml for callers "
             "outside";
    case Code::config_invalid:
      return "correct the option or the file that it names; `hearth serve --help` has the options";
    case Code::state_unusable:
      return "--state DIR names another folder, which the daemon's user may write to";
    case Code::disk_full:
      return "free some space, or name a folder on another disk with --state DIR";
    default:
      return "what it logged above tells more; `hearth doctor` checks this machine";
  }
}

int fail(const Error& error, Output& output) {
  report(output, Failure{Exit::usage, fmt::format("can't serve ({})", name(error.code)),
                         error.message(), advice(error.code)});
  return exit_of(error.code);
}

// One line an address; the second is http.functions_listen, if it is set.
std::string addresses_of(const Engine& engine) {
  const std::string& functions = engine.functions_address();
  return functions.empty() ? engine.address() : engine.address() + "\n" + functions;
}

int run_engine(Engine& engine, const std::string& state_dir, Output& output) {
  StopSignals signals(engine);
  if (Status written = write_listen_file(state_dir, addresses_of(engine)); !written)
    return fail(written.error(), output);
  output.out(fmt::format("hearth is ready at http://{}\n", engine.address()));
  if (!engine.functions_address().empty())
    output.out(fmt::format("functions also at http://{}\n", engine.functions_address()));
  const Engine::End end = engine.run();
  ::unlink(listen_file(state_dir).c_str());
  if (end == Engine::End::spawner_lost) {
    report(output, Failure{Exit::usage, "the spawner has ended, and all workers with it", "",
                           "start the daemon again; its log says more"});
    return kServeSpawnerLost;
  }
  return signals.cut_short() ? kServeFailed : 0;
}

}  // namespace

int run_serve(const ServeOptions& options, Output& output) {
  auto config = serve_config(options, ::geteuid() == 0);
  if (!config) return fail(config.error(), output);
  FdLogSink sink(STDERR_FILENO);
  EngineOptions engine_options;
  engine_options.config = *config;
  engine_options.log_sink = &sink;
  engine_options.off_is_understood = options.know_this_is_unsafe;
  engine_options.after_spawner = [user = config->user](const std::string& state_dir) {
    return become_user(state_dir, user);
  };
  ignore_signals();
  auto engine = Engine::open(std::move(engine_options));
  if (!engine) return fail(engine.error(), output);
  return run_engine(**engine, config->state_dir, output);
}

}  // namespace hearth::cli
