// The way of other threads to the engine's. Items are part of what they belong to (a call, an
// answer), so that a push allocates nothing; the engine is woken once a batch.
#pragma once
#include <mutex>

#include "base/result.h"
#include "base/unique_fd.h"
#include "loop/poll.h"

namespace hearth::capi {

class InboxItem {
 public:
  InboxItem() = default;
  InboxItem(const InboxItem&) = delete;
  InboxItem& operator=(const InboxItem&) = delete;
  // Exactly one of the two is called, once for each push; it may destroy the item. On the engine's
  // thread.
  virtual void run() = 0;
  virtual void drop() = 0;  // the engine closes

 protected:
  ~InboxItem() = default;

 private:
  friend class Inbox;
  InboxItem* next_ = nullptr;
};

// How much waits here is bounded by who pushes: a call and its cancelling for each of limits.calls,
// an answer for each call that a host function has, parts of limits.buffers in all, and one task
// for each thread that waits for it.
class Inbox {
 public:
  ~Inbox();
  // Engine's thread. Errors: io_failed.
  Status open(Loop& loop);
  // THREAD-SAFE. False: it is closed, and the item was not taken.
  bool push(InboxItem& item);
  // Engine's thread. Runs what waits now.
  void drain();
  // Engine's thread. From now on push() refuses; what waits is dropped.
  void close();

 private:
  InboxItem* take_all();
  void on_event(int events);

  std::mutex mutex_;  // guards the next three
  InboxItem* first_ = nullptr;
  InboxItem* last_ = nullptr;
  bool closed_ = true;
  UniqueFd wake_;  // an eventfd that lives as long as this: a pusher may still be about to write
  Poll poll_;
};

}  // namespace hearth::capi
