// The loop: one uv_loop_t, one timer wheel driven by one uv_timer, and what runs at the end of each
// turn. All engine state belongs to the thread that runs it. Other threads reach it through a
// Mailbox only.
#pragma once
#include <uv.h>

#include <vector>

#include "base/callback.h"
#include "base/clock.h"
#include "base/histogram.h"
#include "base/result.h"
#include "base/timer_wheel.h"
#include "loop/uv_handle.h"

namespace hearth {

class Loop {
 public:
  // `clock` must outlive this.
  explicit Loop(const Clock& clock);
  ~Loop();  // every handle of others must have been reset; runs the loop until their close
            // callbacks have run
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until stop(). Returns after the turn in which stop() was called.
  void run();
  // One turn: waits at most `most` for something to do. For hosts that drive the loop, and for
  // tests.
  void step(milliseconds most);
  void stop();
  // Only the hooks of a turn's end: for what waits for nothing but them. No system call of its own.
  void finish_turn();

  // There is work for the end of a turn: this one does not wait, if it has not waited yet.
  void turn_again() { again_ = true; }
  // Do events wait that the next turn would find? One system call.
  bool more_is_ready() const;
  // How long nothing would happen from now on without an event: what step() would wait for.
  milliseconds next_wake(milliseconds most) const;

  uv_loop_t* uv() { return &loop_; }
  TimerWheel& timers() { return timers_; }
  // In a callback of the loop the time stands still: it is that of the callback's begin.
  const Clock& clock() const { return clock_; }
  MonotonicTime now() const { return clock_.now(); }

  // `hook` runs once a turn, after all I/O callbacks and timers, in the order of registration:
  // where batched writes go out. Never removed; what it points to must live until the loop has
  // stopped.
  void at_turn_end(Callback<void()> hook) { turn_end_.push_back(hook); }

  // For what watches descriptors: libuv tells the kernel of a change only in its next turn.
  void note_watch() { watches_changed_ = true; }

  // For what calls back out of libuv: a callback begins, and with the first one a turn. (libuv's
  // own idle time would cost a second epoll_wait a turn.)
  void note_wake() {
    clock_.hold();
    if (woke_ == MonotonicTime{}) woke_ = clock_.now();
  }
  // Turns last from their first callback to the next wait: what an event that comes meanwhile waits
  // for. The times of all turns; the longest one; the longest since the last call; how many there
  // were.
  const Histogram& turn_times() const { return turn_times_; }
  microseconds max_turn() const { return max_turn_; }
  microseconds take_longest_turn();
  uint64_t turns() const { return turns_; }

 private:
  void on_prepare();
  void on_check();
  void end_turn();
  void note_turn(MonotonicTime end);

  HeldClock clock_;
  uv_loop_t loop_;
  TimerWheel timers_;
  milliseconds wait_max_;
  MonotonicTime woke_{};  // when this turn's first callback ran; zero between turns
  UvHandle<uv_prepare_t> prepare_;
  UvHandle<uv_check_t> check_;
  UvHandle<uv_timer_t> timer_;
  std::vector<Callback<void()>> turn_end_;
  Histogram turn_times_;
  microseconds max_turn_{0};
  microseconds longest_turn_{0};
  uint64_t turns_ = 0;
  bool stopping_ = false;
  bool again_ = false;
  bool watches_changed_ = false;
};

}  // namespace hearth
