#include "capi/inbox.h"

#include <fmt/core.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace hearth::capi {

Inbox::~Inbox() { HEARTH_ASSERT(first_ == nullptr); }

Status Inbox::open(Loop& loop) {
  wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.valid())
    return Error{Code::io_failed, fmt::format("eventfd: {}", std::strerror(errno))};
  HEARTH_TRY(
      poll_.start(loop, wake_.get(), UV_READABLE, Poll::EventFn::to<&Inbox::on_event>(this)));
  const std::lock_guard<std::mutex> lock(mutex_);
  closed_ = false;
  return ok();
}

bool Inbox::push(InboxItem& item) {
  item.next_ = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return false;
    const bool was_empty = first_ == nullptr;
    (was_empty ? first_ : last_->next_) = &item;
    last_ = &item;
    if (!was_empty) return true;  // whoever came first wakes the engine
  }
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the engine is awake.
  [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
  return true;
}

InboxItem* Inbox::take_all() {
  const std::lock_guard<std::mutex> lock(mutex_);
  last_ = nullptr;
  return std::exchange(first_, nullptr);
}

void Inbox::on_event(int) {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = ::read(wake_.get(), &count, sizeof count);
  drain();
}

void Inbox::drain() {
  for (InboxItem* item = take_all(); item != nullptr;) {
    InboxItem* const next = item->next_;
    item->run();
    item = next;
  }
}

void Inbox::close() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
  }
  for (InboxItem* item = take_all(); item != nullptr;) {
    InboxItem* const next = item->next_;
    item->drop();
    item = next;
  }
  poll_.stop();
}

}  // namespace hearth::capi
