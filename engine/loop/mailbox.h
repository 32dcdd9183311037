// The only way into the loop from another thread: a bounded queue of messages and one wake-up.
#pragma once
#include <uv.h>

#include <deque>
#include <functional>
#include <mutex>

#include "loop/loop.h"

namespace hearth {

class Mailbox {
 public:
  using Message = std::function<void()>;
  // Messages run on the loop's thread, in order. `capacity`: how many may wait.
  Mailbox(Loop& loop, size_t capacity);
  ~Mailbox();  // on the loop's thread; messages that still wait are destroyed without running
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // THREAD-SAFE. false: full or closed; the message was not taken.
  bool post(Message message);
  // THREAD-SAFE. From now on post() refuses.
  void close();
  // Closes, and destroys what waits without running it. On the loop's thread.
  void discard();
  // Lets the loop's uv_run end although the mailbox is open (it does not count as work).
  void unref() { uv_unref(reinterpret_cast<uv_handle_t*>(async_.get())); }

 private:
  void drain();
  Loop& loop_;
  const size_t capacity_;
  std::mutex mutex_;
  std::deque<Message> messages_;  // guarded by mutex_
  bool closed_ = false;           // guarded by mutex_
  UvHandle<uv_async_t> async_;  // uv_async_send is thread-safe; the handle is closed after closed_
                                // was set under the mutex
};

}  // namespace hearth
