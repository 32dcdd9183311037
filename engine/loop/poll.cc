#include "loop/poll.h"

#include <fmt/core.h>

namespace hearth {

Status Poll::start(Loop& loop, int fd, int events, EventFn on_event) {
  handle_ = UvHandle<uv_poll_t>();
  const int error = uv_poll_init(loop.uv(), handle_.get(), fd);
  if (error != 0) {
    handle_.reset();
    return Error{Code::io_failed,
                 fmt::format("the descriptor can't be polled: {}", uv_strerror(error))};
  }
  handle_.opened(this);
  loop_ = &loop;
  on_event_ = on_event;
  set(events);
  return ok();
}

void Poll::set(int events) {
  events_ = events;
  loop_->note_watch();
  uv_poll_start(handle_.get(), events, &Poll::trampoline);
}

void Poll::trampoline(uv_poll_t* handle, int status, int events) {
  auto* self = static_cast<Poll*>(handle->data);
  if (self == nullptr) return;
  self->loop_->note_wake();
  const EventFn on_event = self->on_event_;  // the callback may destroy *self
  on_event(status < 0 ? 0 : events);
}

}  // namespace hearth
