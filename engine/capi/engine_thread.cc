#include "capi/engine_thread.h"

#include <future>

#include "capi/hub.h"
#include "capi/inside.h"
#include "store/quiet_thread.h"

namespace hearth::capi {
namespace {

constexpr milliseconds kTurn{1'000};  // of an engine which has drained, until it is closed

}  // namespace

EngineThread::~EngineThread() { HEARTH_ASSERT(!thread_.joinable()); }

Status EngineThread::start(Work work) {
  work_ = std::move(work);
  stop_.thread = this;
  auto opened = std::make_shared<std::promise<Status>>();
  std::future<Status> result = opened->get_future();
  thread_ = start_quiet_thread("hearth", [this, opened] {
    body([&](Status status) { opened->set_value(std::move(status)); });
  });
  Status status = result.get();
  if (!status) thread_.join();
  return status;
}

void EngineThread::stop(Hub& hub, milliseconds drain) {
  stop_.hub = &hub;
  stop_.drain = drain;
  HEARTH_ASSERT(hub.inbox().push(stop_));
  thread_.join();
}

void EngineThread::body(const std::function<void(Status)>& tell) {
  const Inside inside;
  Status status = work_.open();
  const bool good = status.has_value();
  tell(std::move(status));
  if (!good) return;
  run(work_.engine());
  deadline_.disarm();
  work_.close();
}

void EngineThread::run(Engine& engine) {
  engine_ = &engine;
  while (!over_) {
    const bool ended = engine.drained() || engine.spawner_lost();
    if (ended && stopping_) return;
    if (ended) {
      engine.step(kTurn);
    } else {
      engine.run();
    }
  }
}

void EngineThread::begin_stop() {
  stopping_ = true;
  if (stop_.drain.count() == 0) return on_stop_deadline();
  stop_.hub->begin_drain();
  Loop& loop = engine_->loop();
  loop.timers().arm(deadline_, loop.now() + stop_.drain,
                    Callback<void()>::to<&EngineThread::on_stop_deadline>(this));
}

void EngineThread::on_stop_deadline() {
  over_ = true;
  engine_->stop();
}

}  // namespace hearth::capi
