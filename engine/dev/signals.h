// SIGINT, SIGTERM and SIGHUP stop the engine; a second one meets the system's own handling, which
// ends the process at once. The loop's thread; gone before the engine.
#pragma once
#include <signal.h>

#include "engine.h"
#include "loop/uv_handle.h"

namespace hearth::dev {

class StopSignals {
 public:
  explicit StopSignals(Engine& engine) : engine_(engine) {
    watch(interrupt_, SIGINT);
    watch(term_, SIGTERM);
    watch(hangup_, SIGHUP);
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // The signal that came; 0: none.
  int caught() const { return caught_; }

 private:
  void watch(UvHandle<uv_signal_t>& handle, int number) {
    uv_signal_init(engine_.loop().uv(), handle.get());
    handle.opened(this);
    uv_signal_start(handle.get(), on_signal, number);
  }
  static void on_signal(uv_signal_t* handle, int number) {
    auto* self = UvHandle<uv_signal_t>::owner<StopSignals>(handle);
    if (self == nullptr || self->caught_ != 0) return;
    self->caught_ = number;
    // Closing gives the signals back to the system.
    self->interrupt_.reset();
    self->term_.reset();
    self->hangup_.reset();
    self->engine_.stop();
  }

  Engine& engine_;
  UvHandle<uv_signal_t> interrupt_, term_, hangup_;
  int caught_ = 0;
};

}  // namespace hearth::dev
