#include "base/timer_wheel.h"

#include <algorithm>

namespace hearth {

TimerWheel::TimerWheel(MonotonicTime now)
    : slots_(new Timer[kSlots]),
      current_(static_cast<uint64_t>(now.time_since_epoch().count() / 1'000'000)) {
  for (uint64_t i = 0; i < kSlots; ++i) {
    slots_[i].next_ = slots_[i].prev_ = &slots_[i];
    slots_[i].count_ = &count_;
  }
}

TimerWheel::~TimerWheel() {
  for (uint64_t i = 0; i < kSlots; ++i) {
    while (slots_[i].next_ != &slots_[i]) slots_[i].next_->unlink();
    slots_[i].next_ = slots_[i].prev_ = nullptr;
  }
}

void TimerWheel::push_back(Timer& head, Timer& timer) {
  timer.prev_ = head.prev_;
  timer.next_ = &head;
  head.prev_->next_ = &timer;
  head.prev_ = &timer;
}

void TimerWheel::arm(Timer& timer, MonotonicTime when, Callback<void()> fire) {
  timer.unlink();
  timer.tick_ = std::max(tick_of(when), current_ + 1);
  earliest_ = std::min(earliest_, timer.tick_);
  timer.fire_ = fire;
  timer.count_ = &count_;
  push_back(slots_[timer.tick_ % kSlots], timer);
  ++count_;
}

void TimerWheel::advance(MonotonicTime now) {
  const auto target = static_cast<uint64_t>(now.time_since_epoch().count() / 1'000'000);
  // After a long sleep one turn visits every slot; more turns would visit the same lists again.
  if (target > current_ + kSlots) current_ = target - kSlots;
  while (current_ < target) {
    const uint64_t tick = ++current_;
    Timer& head = slots_[tick % kSlots];
    if (head.next_ == &head) continue;
    // Due timers move to a list of their own first: callbacks may change any list, this one
    // included.
    Timer due;
    uint64_t scratch = 0;
    due.next_ = due.prev_ = &due;
    due.count_ = &scratch;
    for (Timer* t = head.next_; t != &head;) {
      Timer* next = t->next_;
      if (t->tick_ <= target) {
        t->next_->prev_ = t->prev_;
        t->prev_->next_ = t->next_;
        push_back(due, *t);
      }
      t = next;
    }
    while (due.next_ != &due) {
      Timer* t = due.next_;
      t->unlink();
      t->fire_();
    }
    due.next_ = due.prev_ = nullptr;
  }
}

uint64_t TimerWheel::find_earliest() const {
  for (uint64_t tick = current_ + 1; tick <= current_ + kSlots; ++tick) {
    const Timer& head = slots_[tick % kSlots];
    for (const Timer* t = head.next_; t != &head; t = t->next_) {
      if (t->tick_ <= tick) return t->tick_;
    }
  }
  return current_ + kSlots;
}

milliseconds TimerWheel::until_next(MonotonicTime now, milliseconds most) const {
  if (count_ == 0) return most;
  if (earliest_ <= current_) earliest_ = find_earliest();
  const auto base = static_cast<uint64_t>(now.time_since_epoch().count() / 1'000'000);
  if (earliest_ <= base) return milliseconds(0);
  return std::min(most, milliseconds(static_cast<int64_t>(earliest_ - base)));
}

}  // namespace hearth
