#include "loop/loop.h"

#include <poll.h>

#include <algorithm>
#include <utility>

namespace hearth {
namespace {
constexpr milliseconds kWaitMax{1'000};
constexpr int kSettleTurns = 4;
}  // namespace

Loop::Loop(const Clock& clock) : clock_(clock), timers_(clock.now()), wait_max_(kWaitMax) {
  HEARTH_ASSERT(uv_loop_init(&loop_) == 0);
  uv_prepare_init(&loop_, prepare_.get());
  prepare_.opened(this);
  uv_check_init(&loop_, check_.get());
  check_.opened(this);
  uv_timer_init(&loop_, timer_.get());
  timer_.opened(this);
  uv_prepare_start(prepare_.get(), [](uv_prepare_t* h) {
    if (auto* loop = static_cast<Loop*>(h->data)) loop->on_prepare();
  });
  uv_check_start(check_.get(), [](uv_check_t* h) {
    if (auto* loop = static_cast<Loop*>(h->data)) loop->on_check();
  });
}

Loop::~Loop() {
  prepare_.reset();
  check_.reset();
  timer_.reset();
  uv_run(&loop_, UV_RUN_DEFAULT);
  HEARTH_ASSERT(uv_loop_close(&loop_) == 0);
}

void Loop::run() {
  stopping_ = false;
  while (!stopping_) uv_run(&loop_, UV_RUN_ONCE);
}

void Loop::step(milliseconds most) {
  wait_max_ = std::clamp(most, milliseconds(0), kWaitMax);
  watches_changed_ = false;
  uv_run(&loop_, most.count() == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
  wait_max_ = milliseconds(0);
  for (int i = 0; i < kSettleTurns && std::exchange(watches_changed_, false); ++i)
    uv_run(&loop_, UV_RUN_NOWAIT);
  wait_max_ = kWaitMax;
  // What follows is the host's time.
  if (woke_ != MonotonicTime{}) {
    clock_.hold();
    note_turn(clock_.now());
  }
}

void Loop::stop() {
  stopping_ = true;
  uv_stop(&loop_);
}

void Loop::finish_turn() {
  again_ = false;
  clock_.hold();
  end_turn();
  clock_.release();
}

// Before the wait: sleep no longer than until the next timer of the wheel. libuv keeps its timers
// in memory, so this costs no system call.
void Loop::on_prepare() {
  finish_turn();
  const MonotonicTime now = clock_.now();
  const milliseconds wait = again_ ? milliseconds(0) : timers_.until_next(now, wait_max_);
  uv_timer_start(
      timer_.get(), [](uv_timer_t*) {}, static_cast<uint64_t>(wait.count()), 0);
  if (woke_ != MonotonicTime{}) note_turn(now);
}

void Loop::on_check() {
  ++turns_;
  note_wake();
  timers_.advance(clock_.now());
  end_turn();
}

milliseconds Loop::next_wake(milliseconds most) const {
  return again_ ? milliseconds(0) : timers_.until_next(clock_.now(), most);
}

bool Loop::more_is_ready() const {
  pollfd fd{uv_backend_fd(&loop_), POLLIN, 0};
  return ::poll(&fd, 1, 0) > 0;
}

void Loop::end_turn() {
  for (const auto& hook : turn_end_) hook();
}

void Loop::note_turn(MonotonicTime end) {
  const auto busy = std::chrono::duration_cast<microseconds>(end - woke_);
  woke_ = MonotonicTime{};
  turn_times_.record(static_cast<uint64_t>(std::max<int64_t>(busy.count(), 0)));
  max_turn_ = std::max(max_turn_, busy);
  longest_turn_ = std::max(longest_turn_, busy);
}

microseconds Loop::take_longest_turn() { return std::exchange(longest_turn_, microseconds(0)); }

}  // namespace hearth
