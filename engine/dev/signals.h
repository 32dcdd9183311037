// SIGINT, SIGTERM and SIGHUP (unless it is ignored, as by nohup) stop the engine; a second one ends
// the process at once, whatever the loop's thread is doing then. One object a process at a time.
// The loop's thread; gone before the engine.
#pragma once
#include <signal.h>

#include <array>
#include <atomic>
#include <cerrno>

#include "engine.h"
#include "loop/uv_handle.h"

namespace hearth::dev {

class StopSignals {
 public:
  explicit StopSignals(Engine& engine) : engine_(engine) {
    uv_async_init(engine.loop().uv(), wake_.get(), on_wake);
    wake_.opened(this);
    caught_ = 0;
    waker_ = wake_.get();
    struct sigaction action {};
    action.sa_handler = on_signal;  // not restarted: a write that blocks is to end
    for (size_t i = 0; i < kNumbers.size(); ++i) ::sigaction(kNumbers[i], &action, &before_[i]);
    // nohup: it is to outlive its terminal.
    const struct sigaction& hangup = before_[kNumbers.size() - 1];
    if (hangup.sa_handler == SIG_IGN) ::sigaction(SIGHUP, &hangup, nullptr);
  }
  ~StopSignals() {
    for (size_t i = 0; i < kNumbers.size(); ++i) ::sigaction(kNumbers[i], &before_[i], nullptr);
    waker_ = nullptr;
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // The signal that came; 0: none.
  int caught() const { return caught_; }

 private:
  static constexpr std::array<int, 3> kNumbers{SIGINT, SIGTERM, SIGHUP};

  // Gives the signals to the system, so that the next one ends the process.
  static void on_signal(int number) {
    const int kept = errno;
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    for (const int each : kNumbers) ::sigaction(each, &standard, nullptr);
    caught_ = number;
    if (uv_async_t* waker = waker_) uv_async_send(waker);
    errno = kept;
  }
  static void on_wake(uv_async_t* handle) {
    auto* self = UvHandle<uv_async_t>::owner<StopSignals>(handle);
    if (self != nullptr && caught_ != 0) self->engine_.stop();
  }

  static inline std::atomic<int> caught_{0};
  static inline std::atomic<uv_async_t*> waker_{nullptr};

  Engine& engine_;
  UvHandle<uv_async_t> wake_;
  std::array<struct sigaction, 3> before_{};
};

}  // namespace hearth::dev
