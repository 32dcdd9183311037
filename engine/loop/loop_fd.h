// A loop as one descriptor, for hosts that have a loop of their own: readable whenever
// Loop::step(0) has something to do, due timers included. Loop thread only.
#pragma once
#include "base/unique_fd.h"
#include "loop/loop.h"

namespace hearth {

class LoopFd {
 public:
  // `loop` must outlive this. Errors: io_failed.
  Status open(Loop& loop);
  bool is_open() const { return set_.valid(); }
  int get() const { return set_.get(); }

  // After a turn: readable again when the next timer is due.
  void rest();
  // Something was asked of the loop from outside a turn: readable at once.
  void wake();

 private:
  void arm(nanoseconds after);

  Loop* loop_ = nullptr;
  UniqueFd set_;    // epoll: the loop's own set, and timer_
  UniqueFd timer_;  // for what the kernel can't know of the loop
  MonotonicTime due_ = MonotonicTime::max();
};

}  // namespace hearth
