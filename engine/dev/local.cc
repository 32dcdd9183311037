#include "dev/local.h"

#include <fmt/core.h>

#include <optional>

#include "api/function_error.h"
#include "core/pool_key.h"
#include "dev/draft.h"
#include "dev/private_engine.h"
#include "dev/session.h"
#include "dev/signals.h"
#include "engine.h"
#include "package/deploy.h"

namespace hearth::dev {
namespace {

constexpr uint64_t kErrorMax = 1u << 20;  // bytes of the error JSON that is made here

// One worker of the function's runtime, parked while the store takes the code; nothing else.
Config config_for(const FunctionSpec& spec, const std::string& state_dir, SandboxMode sandbox) {
  Config config = private_config(state_dir, sandbox);
  const auto key = pool_key(spec);
  const bool parked = key && key->index() == PoolKey::standard(spec.runtime).index();
  config.limits.pool_python = spec.runtime == Runtime::python3 && parked ? 1 : 0;
  config.limits.pool_node = spec.runtime == Runtime::nodejs && parked ? 1 : 0;
  return config;
}

class LocalCall {
 public:
  LocalCall(Engine& engine, const LocalOptions& options) : engine_(engine), options_(options) {}
  ~LocalCall() {
    if (!ended_) engine_.invoke_port().abandon(call_);
  }
  LocalCall(const LocalCall&) = delete;
  LocalCall& operator=(const LocalCall&) = delete;

  Result<LocalOutcome> run(Package package) {
    const StopSignals signals(engine_);
    outcome_.function = package.spec.name;
    HEARTH_TRY(deploy(engine_.store(), std::move(package),
                      [this](Result<Deployed> deployed) { on_deployed(deployed); }));
    const Engine::End end = engine_.run();
    outcome_.signal = signals.caught();
    if (problem_) return *std::move(problem_);
    if (end == Engine::End::spawner_lost && !ended_) return Error{Code::spawner_lost, {}};
    return std::move(outcome_);
  }

 private:
  void on_deployed(const Result<Deployed>& deployed) {
    if (!deployed) return fail(deployed.error());
    if (deployed->record.substituted) outcome_.note = substitution_note(deployed->record);
    CallRequest call;
    call.function = engine_.invoke_port().find(outcome_.function);
    call.request_id = ids_.next();
    call.payload.bytes = options_.event;
    call.want_tail = true;  // with it comes the worker's memory
    call.done = DoneFn::to<&LocalCall::on_done>(this);
    outcome_.request_id = call.request_id.text();
    const auto submitted = engine_.invoke_port().submit(std::move(call));
    if (!submitted) return fail(submitted.error());
    call_ = *submitted;
  }

  void on_done(InvocationId, const Outcome& outcome) {
    ended_ = true;
    outcome_.kind = outcome.kind;
    outcome_.code = outcome.code;
    outcome_.payload = outcome.payload;
    if (outcome.kind == Outcome::Kind::platform_error && api::is_function_error(outcome)) {
      BufferPool buffers(kErrorMax);
      outcome_.kind = Outcome::Kind::function_error;
      outcome_.payload = api::write_function_error(buffers, outcome).view();
    }
    outcome_.detail = outcome.detail;
    outcome_.init = microseconds(outcome.init_us);
    outcome_.exec = microseconds(outcome.exec_us);
    outcome_.memory_bytes = outcome.memory_max_bytes;
    engine_.stop();
  }

  void fail(const Error& error) {
    problem_ = error;
    engine_.stop();
  }

  Engine& engine_;
  const LocalOptions& options_;
  RequestIdSource ids_;
  InvocationId call_;
  LocalOutcome outcome_;
  std::optional<Error> problem_;
  bool ended_ = false;
};

}  // namespace

Result<LocalOutcome> call_locally(const LocalOptions& options) {
  const uint64_t event_max = Limits().invoke_body_max;
  if (options.event.size() > event_max) {
    return Error{Code::body_too_large, fmt::format("the event has {} bytes; as by Invoke, at most "
                                                   "{} are allowed",
                                                   options.event.size(), event_max)};
  }
  DraftSource source;
  source.folder = HEARTH_TRY(real_path(options.folder));
  source.env_file = options.env_file;
  Draft draft = HEARTH_TRY(make_draft(source));
  const TemporaryState state = HEARTH_TRY(make_state(options.sandbox));
  EngineOptions engine_options;
  engine_options.config = config_for(draft.package.spec, state.path(), options.sandbox);
  engine_options.http = false;
  engine_options.off_is_understood = options.sandbox == SandboxMode::off;
  engine_options.on_function_line = [&](const FunctionLine& line) { options.on_line(line.text); };
  const std::unique_ptr<Engine> engine = HEARTH_TRY(open_private_engine(std::move(engine_options)));
  LocalCall call(*engine, options);
  return call.run(std::move(draft.package));
}

}  // namespace hearth::dev
