#include "capi/engine_handle.h"

#include <algorithm>

#include "capi/error.h"
#include "capi/inside.h"
#include "engine_view.h"

using hearth::Code;
using hearth::Deadline;
using hearth::Engine;
using hearth::EngineOptions;
using hearth::milliseconds;
using hearth::ok;
using hearth::Result;
using hearth::Status;
using hearth::SystemClock;

namespace {

constexpr uint64_t kDrainMax = uint64_t{365} * 24 * 3'600 * 1'000;  // ms

}  // namespace

hearth_engine::hearth_engine(hearth::capi::OpenPlan plan, Hub* hub)
    : plan_(std::move(plan)), log_sink_(plan_.log), hub_(hub) {}

hearth_engine::~hearth_engine() { hub_->unref(); }

Result<hearth_engine*> hearth_engine::open(const hearth_options_t* options) {
  using hearth::capi::Driver;
  auto plan = HEARTH_TRY(hearth::capi::read_options(options));
  const Driver driver = plan.driver;
  auto handle = std::make_unique<hearth_engine>(std::move(plan), Hub::make(driver));
  hearth_engine* const self = handle.get();
  if (driver == Driver::host) {
    const hearth::capi::Inside inside;
    HEARTH_TRY(self->open_here());
  } else {
    HEARTH_TRY(self->thread_.start({[self] { return self->open_here(); },
                                    [self]() -> Engine& { return *self->engine_; },
                                    [self] { self->close_here(); }}));
  }
  return handle.release();
}

Status hearth_engine::open_here() {
  EngineOptions& options = plan_.engine;
  options.log_sink = plan_.log.fn != nullptr ? &log_sink_ : nullptr;
  if (options.config.state_dir.empty()) {
    using Place = hearth::TemporaryState::Place;
    plan_.temporary.emplace(HEARTH_TRY(hearth::TemporaryState::make(
        options.config.sandbox.allow_degraded ? Place::not_in_tmp : Place::anywhere)));
    options.config.state_dir = plan_.temporary->path();
  }
  const hearth::Limits limits = options.config.limits;
  engine_ = HEARTH_TRY(Engine::open(std::move(options)));
  Status attached = hub_->attach(*engine_, limits);
  if (attached && plan_.driver == hearth::capi::Driver::host) {
    auto fd = engine_->fd();
    if (fd) fd_ = *fd;
    if (!fd) attached = Status(std::move(fd).error());
  }
  if (!attached) {
    close_here();
    return attached;
  }
  address_ = engine_->address();
  sandbox_ = hearth::mode_name(engine_->sandbox_mode());
  return ok();
}

// Callbacks of calls that end here find an engine that refuses everything.
void hearth_engine::close_here() {
  hub_->detach();
  engine_.reset();
  plan_.temporary.reset();
}

void hearth_engine::ask_for_drain() {
  if (hub_->on_engine_thread()) return hub_->begin_drain();
  if (!drain_asked_.exchange(true)) hub_->inbox().push(drain_);
}

void hearth_engine::drain_here(milliseconds most) {
  const SystemClock clock;
  const Deadline end = clock.now() + most;
  hub_->begin_drain();
  while (!engine_->drained() && !engine_->spawner_lost()) {
    const int64_t left = hearth::to_ms(end - clock.now());
    if (left <= 0) return;
    hub_->step(milliseconds(left));
  }
}

void hearth_engine::close(uint64_t drain_ms) {
  const milliseconds drain(std::min(drain_ms, kDrainMax));
  if (thread_.started()) return thread_.stop(*hub_, drain);
  hub_->move_to_this_thread();
  hub_->inbox().drain();
  if (drain.count() != 0) drain_here(drain);
  const hearth::capi::Inside inside;
  close_here();
}

hearth_error_t* hearth_engine_open(const hearth_options_t* options, hearth_engine_t** out) {
  if (out == nullptr) return hearth::capi::to_c(Code::invalid_parameter, "out is NULL");
  if (hearth::capi::Inside::now()) return hearth::capi::to_c(Code::would_deadlock, {});
  auto opened = hearth_engine::open(options);
  if (!opened) return hearth::capi::to_c(opened.error());
  *out = *opened;
  return nullptr;
}

void hearth_engine_drain(hearth_engine_t* engine) { engine->ask_for_drain(); }

hearth_error_t* hearth_engine_close(hearth_engine_t* engine, uint64_t drain_ms) {
  if (engine == nullptr) return nullptr;
  if (hearth::capi::Inside::now())
    return hearth::capi::to_c(Code::would_deadlock, "close the engine outside of its callbacks");
  engine->close(drain_ms);
  delete engine;
  return nullptr;
}

const char* hearth_engine_address(const hearth_engine_t* engine) {
  return engine->address().empty() ? nullptr : engine->address().c_str();
}

const char* hearth_engine_sandbox(const hearth_engine_t* engine) {
  return engine->sandbox().c_str();
}
