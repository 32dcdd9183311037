// hearth_engine_t: an engine, whoever drives it, and what was made for it.
#pragma once
#include <atomic>
#include <memory>
#include <string>

#include "capi/engine_thread.h"
#include "capi/hub.h"
#include "capi/log_sinks.h"
#include "capi/options.h"
#include "hearth/hearth.h"
#include "store/temporary_state.h"

struct hearth_engine final {
  using Hub = hearth::capi::Hub;

  static hearth::Result<hearth_engine*> open(const hearth_options_t* options);
  // Ends the engine, on the thread that it belongs to. Callbacks run.
  void close(uint64_t drain_ms);

  Hub& hub() { return *hub_; }
  const Hub& hub() const { return *hub_; }
  // THREAD-SAFE while the engine is open.
  hearth::Engine& engine() { return *engine_; }

  // Constant after open().
  const std::string& address() const { return address_; }
  const std::string& sandbox() const { return sandbox_; }
  int fd() const { return fd_; }
  // Host-driven: has the driving thread to be told that no function can run?
  bool spawner_lost() const { return engine_->spawner_lost(); }

  // THREAD-SAFE; the first time counts.
  void ask_for_drain();
  // Drains for at most `most` on the driving thread.
  void drain_here(hearth::milliseconds most);

  // Not copied, not moved: the log sinks are pointed to.
  hearth_engine(hearth::capi::OpenPlan plan, Hub* hub);
  ~hearth_engine();
  hearth_engine(const hearth_engine&) = delete;
  hearth_engine& operator=(const hearth_engine&) = delete;

 private:
  struct Drain final : hearth::capi::InboxItem {
    explicit Drain(hearth_engine& engine) : handle(engine) {}
    hearth_engine& handle;
    void run() override { handle.hub_->begin_drain(); }
    void drop() override {}
  };

  // Once, on the thread that is the engine's.
  hearth::Status open_here();
  void close_here();

  hearth::capi::OpenPlan plan_;
  hearth::capi::HostLogSink log_sink_;
  Hub* const hub_;
  std::unique_ptr<hearth::Engine> engine_;
  hearth::capi::EngineThread thread_;
  Drain drain_{*this};
  std::atomic<bool> drain_asked_{false};
  std::string address_;
  std::string sandbox_;
  int fd_ = -1;
};
