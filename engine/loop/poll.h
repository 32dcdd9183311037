// Watches one descriptor that it does not own for readability or writability (level-triggered).
// Loop thread only.
#pragma once
#include <uv.h>

#include "base/callback.h"
#include "loop/loop.h"

namespace hearth {

class Poll {
 public:
  using EventFn = Callback<void(int events)>;  // UV_READABLE, UV_WRITABLE, UV_DISCONNECT; 0 on an
                                               // error of the poll itself
  Poll() = default;
  // The descriptor must be pollable and stay open until this is stopped or destroyed. `on_event`
  // may destroy this.
  Status start(Loop& loop, int fd, int events, EventFn on_event);
  // Changes what is watched for.
  void set(int events);
  void stop() { handle_.reset(); }
  int events() const { return events_; }

 private:
  static void trampoline(uv_poll_t* handle, int status, int events);
  Loop* loop_ = nullptr;
  UvHandle<uv_poll_t> handle_;
  EventFn on_event_;
  int events_ = 0;
};

}  // namespace hearth
