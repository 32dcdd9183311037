#include "dev/session.h"

#include <fmt/core.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "config/runtimes.h"
#include "dev/debug_relay.h"
#include "dev/debugger.h"
#include "dev/private_engine.h"
#include "dev/reloader.h"
#include "dev/requests.h"
#include "dev/signals.h"
#include "dev/tree.h"
#include "dev/watcher.h"
#include "loop/poll.h"

namespace hearth::dev {
namespace {

constexpr milliseconds kQuiet{8};         // after the last change of a save: editors make several
constexpr milliseconds kQuietMax{100};    // after the first one
constexpr milliseconds kReadyMax{1'500};  // code that loads for longer is not waited for
constexpr size_t kKeepOneMax = 8;         // functions of a tree that all have a worker of their own
constexpr uint32_t kPool = 3;             // parked workers: one for the trial, one for the switch
constexpr auto kDebugPatience = std::chrono::hours(24);

// The engine's own warnings, among the rest of what is printed.
class ConsoleSink final : public LogSink {
 public:
  explicit ConsoleSink(Console& console) : console_(console) {}
  void write(LogLevel, std::string_view area, std::string_view text) override {
    console_.warning(fmt::format("{}: {}", area, text));
  }

 private:
  Console& console_;
};

class Session {
 public:
  Session(DevOptions options, std::string root, Watcher watcher, const std::string& state_dir);
  ~Session();

  Status open(const std::vector<std::string>& folders);
  DevEnd run();

 private:
  Config config(const std::string& state_dir) const;
  Reloader::Options reloader_options() const;
  EngineOptions engine_options(const std::string& state_dir);
  Status check_debugger(const std::vector<std::string>& folders) const;
  void on_changes(int events);
  void on_quiet();
  void on_turn();
  void reload(const Watcher::Changes& changes);
  bool look_for_functions();
  void on_patience() { waited_enough_ = true; }  // the turn's end looks at it
  void tell_ready();
  Status open_debugger();
  int debugged_worker() const;

  const DevOptions options_;
  const std::string root_;
  const std::string state_dir_;
  SystemClock clock_;
  Console console_;
  ConsoleSink sink_;
  Requests requests_;
  Reloader reloader_;
  Watcher watcher_;
  Watcher::Changes changes_;  // that wait for quiet
  MonotonicTime first_change_;
  bool told_ready_ = false;
  bool waited_enough_ = false;  // for code to load
  bool closing_ = false;
  bool reader_gone_ = false;  // of what is printed; the turn's end looks at it
  std::unique_ptr<Engine> engine_;
  // Of the engine's loop: gone before it.
  std::optional<Poll> poll_;
  std::optional<Timer> quiet_;
  std::optional<Timer> patience_;
  std::optional<DebugRelay> relay_;
};

Session::Session(DevOptions options, std::string root, Watcher watcher,
                 const std::string& state_dir)
    : options_(std::move(options)),
      root_(std::move(root)),
      state_dir_(state_dir),
      console_(form_for(STDOUT_FILENO, options_.json), clock_,
               write_to(STDOUT_FILENO, [this] { reader_gone_ = true; })),
      sink_(console_),
      requests_(console_, clock_),
      reloader_(console_, clock_, reloader_options()),
      watcher_(std::move(watcher)) {}

Session::~Session() {
  closing_ = true;
  reloader_.stop();
  relay_.reset();
  poll_.reset();
  quiet_.reset();
  patience_.reset();
  engine_.reset();
}

Config Session::config(const std::string& state_dir) const {
  Config config = private_config(state_dir, options_.sandbox);
  config.listen = fmt::format("127.0.0.1:{}", options_.port);
  config.limits.pool_python = kPool;
  config.limits.pool_node = kPool;
  if (options_.debug_port != 0) {
    config.limits.timeout_max = kDebugPatience;
    config.limits.init_timeout = kDebugPatience;
    config.limits.queue_time = kDebugPatience;
    config.limits.freeze_after = milliseconds(0);  // a debugger talks to it between calls
  }
  return config;
}

Reloader::Options Session::reloader_options() const {
  Reloader::Options options;
  options.draft.env_file = options_.env_file;
  options.draft.debug_port = options_.debug_port;
  options.draft.limits = config(state_dir_).limits;
  const RuntimeInfo node = find_runtime(Runtime::nodejs, "");
  if (node.usable()) options.node = node.real_path;
  return options;
}

Status Session::check_debugger(const std::vector<std::string>& folders) const {
  if (options_.debug_port == 0) return ok();
  if (folders.size() != 1)
    return Error{Code::invalid_parameter, "--debug is for one function: name its folder"};
  PackageSource source;
  source.folder = folders[0];
  FunctionSpec spec = HEARTH_TRY(read_spec(source));
  const std::string problem = debugger_problem(spec, folders[0]);
  if (!problem.empty()) return Error{Code::invalid_parameter, problem};
  return prepare_for_debugger(spec, options_.debug_port, config(state_dir_).limits);
}

EngineOptions Session::engine_options(const std::string& state_dir) {
  EngineOptions options;
  options.config = config(state_dir);
  options.log_sink = &sink_;
  options.off_is_understood = options_.sandbox == SandboxMode::off;
  options.on_function_line = [this](const FunctionLine& line) { reloader_.on_line(line); };
  options.request_observer = &requests_;
  return options;
}

Status Session::open(const std::vector<std::string>& folders) {
  HEARTH_TRY(check_debugger(folders));
  engine_ = HEARTH_TRY(open_private_engine(engine_options(state_dir_)));
  if (options_.sandbox == SandboxMode::off || options_.sandbox == SandboxMode::degraded) {
    console_.warning(fmt::format("sandbox {}: functions can do here what they can't in production",
                                 sandbox_mode_name(options_.sandbox)));
  }
  engine_->loop().at_turn_end(Callback<void()>::to<&Session::on_turn>(this));
  reloader_.attach(*engine_);
  reloader_.keep_one(folders.size() <= kKeepOneMax);
  poll_.emplace();
  quiet_.emplace();
  patience_.emplace();
  engine_->loop().timers().arm(*patience_, clock_.now() + kReadyMax,
                               Callback<void()>::to<&Session::on_patience>(this));
  HEARTH_TRY(poll_->start(engine_->loop(), watcher_.fd(), UV_READABLE,
                          Poll::EventFn::to<&Session::on_changes>(this)));
  HEARTH_TRY(open_debugger());
  for (const std::string& folder : folders) reloader_.load(folder);
  return ok();
}

Status Session::open_debugger() {
  if (options_.debug_port == 0) return ok();
  const sandbox::Mode mode = engine_->sandbox_mode();
  if (mode != sandbox::Mode::kStrict && mode != sandbox::Mode::kUser) {
    return Error{Code::invalid_parameter,
                 "--debug needs a worker with a network of its own: --sandbox strict or user"};
  }
  relay_.emplace(engine_->loop(), [this] { return debugged_worker(); });
  HEARTH_TRY(relay_->listen(options_.debug_port));
  console_.warning(
      fmt::format("the debugger is open at 127.0.0.1:{} to every program of this "
                  "machine; calls have no timeout",
                  options_.debug_port));
  return ok();
}

int Session::debugged_worker() const {
  const std::vector<std::string> names = reloader_.names();
  return names.empty() ? 0 : engine_->worker_pid(names[0]);
}

DevEnd Session::run() {
  const StopSignals signals(*engine_);
  if (engine_->run() == Engine::End::spawner_lost) return DevEnd::spawner_lost;
  console_.stopping();
  return DevEnd::stopped;
}

void Session::on_changes(int) {
  Watcher::Changes fresh = watcher_.read();
  if (fresh.paths.empty() && !fresh.everything) return;
  const MonotonicTime now = clock_.now();
  if (!quiet_->armed()) first_change_ = now;
  changes_.everything = changes_.everything || fresh.everything;
  for (std::string& path : fresh.paths) changes_.paths.push_back(std::move(path));
  engine_->loop().timers().arm(*quiet_, std::min(now + kQuiet, first_change_ + kQuietMax),
                               Callback<void()>::to<&Session::on_quiet>(this));
}

void Session::on_quiet() { reload(std::exchange(changes_, {})); }

// Which functions do these files belong to?
void Session::reload(const Watcher::Changes& changes) {
  const std::vector<std::string> before = reloader_.folders();
  if (!look_for_functions()) return;
  for (const std::string& folder : before) {
    const auto in_folder = [&](const std::string& path) {
      return path.starts_with(folder + "/") || path == options_.env_file;
    };
    if (!changes.everything && std::none_of(changes.paths.begin(), changes.paths.end(), in_folder))
      continue;
    const std::vector<std::string> now = reloader_.folders();
    if (std::find(now.begin(), now.end(), folder) != now.end())
      reloader_.load(folder, first_change_);
  }
}

// Functions that came or went since the last look. False: there is nothing to look at.
bool Session::look_for_functions() {
  const auto found = find_function_folders(root_);
  if (!found) {
    console_.warning(fmt::format("{}; what was loaded goes on serving until the folder is back",
                                 found.error().detail));
    return false;
  }
  const std::vector<std::string> known = reloader_.folders();
  for (const std::string& folder : known) {
    if (!std::binary_search(found->begin(), found->end(), folder)) reloader_.unload(folder);
  }
  for (const std::string& folder : *found) {
    if (!std::binary_search(known.begin(), known.end(), folder)) reloader_.load(folder);
  }
  return true;
}

void Session::on_turn() {
  if (closing_) return;  // the engine's last turns
  if (reader_gone_) return engine_->stop();
  reloader_.look();
  const std::vector<std::string> names = reloader_.names();
  requests_.set_root(names.size() == 1 ? names[0] : std::string());
  if (told_ready_) return;
  if (reloader_.settled() || (waited_enough_ && reloader_.reachable())) tell_ready();
}

void Session::tell_ready() {
  told_ready_ = true;
  static constexpr const char* kModes[] = {"off", "degraded", "user", "strict"};
  console_.ready("http://" + engine_->address(), reloader_.names(), !reloader_.folders().empty(),
                 kModes[static_cast<size_t>(engine_->sandbox_mode())]);
}

std::string current_folder() {
  char folder[PATH_MAX];
  return ::getcwd(folder, sizeof folder) != nullptr ? folder : "/";
}

}  // namespace

Result<std::string> real_path(const std::string& path) {
  char* real = ::realpath(path.c_str(), nullptr);
  if (real == nullptr)
    return Error{Code::io_failed, fmt::format("{}: {}", path, std::strerror(errno))};
  std::string text = real;
  ::free(real);
  return text;
}

Result<DevEnd> run_dev(const DevOptions& given) {
  ::signal(SIGPIPE, SIG_IGN);  // the end of a reader is looked at by the console
  DevOptions options = given;
  const std::string root = HEARTH_TRY(real_path(options.folder));
  if (!options.env_file.empty() && options.env_file.front() != '/')
    options.env_file = current_folder() + "/" + options.env_file;
  if (!options.env_file.empty()) HEARTH_TRY(real_path(options.env_file));
  const std::vector<std::string> folders = HEARTH_TRY(find_function_folders(root));
  Watcher watcher = HEARTH_TRY(Watcher::open(root));
  if (!options.env_file.empty()) HEARTH_TRY(watcher.add_file(options.env_file));
  const TemporaryState state = HEARTH_TRY(make_state(options.sandbox));
  Session session(options, root, std::move(watcher), state.path());
  HEARTH_TRY(session.open(folders));
  return session.run();
}

}  // namespace hearth::dev
