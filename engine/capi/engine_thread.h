// The thread of an engine that nobody drives: opens it, runs it, closes it. All signals are blocked
// in it, so that no handler of the host runs there.
#pragma once
#include <functional>
#include <thread>

#include "base/clock.h"
#include "base/result.h"
#include "capi/inbox.h"
#include "engine.h"

namespace hearth::capi {

class Hub;

class EngineThread {
 public:
  struct Work {
    std::function<Status()> open;
    std::function<Engine&()> engine;  // after open() went well
    std::function<void()> close;
  };
  ~EngineThread();

  // Returns once the engine is open, or why it is not: then the thread has ended.
  Status start(Work work);
  bool started() const { return thread_.joinable(); }
  // From another thread: drains for at most `drain`, closes, and ends the thread.
  void stop(Hub& hub, milliseconds drain);

 private:
  // How the host's wish to close comes to the thread.
  struct Stop final : InboxItem {
    EngineThread* thread = nullptr;
    Hub* hub = nullptr;
    milliseconds drain{0};
    void run() override { thread->begin_stop(); }
    void drop() override {}
  };

  void body(const std::function<void(Status)>& tell);
  void run(Engine& engine);
  void begin_stop();
  void on_stop_deadline();

  Work work_;
  Stop stop_;
  Engine* engine_ = nullptr;
  Timer deadline_;
  bool stopping_ = false;
  bool over_ = false;
  std::thread thread_;
};

}  // namespace hearth::capi
