#include "loop/mailbox.h"

namespace hearth {

Mailbox::Mailbox(Loop& loop, size_t capacity) : loop_(loop), capacity_(capacity) {
  HEARTH_ASSERT(uv_async_init(loop.uv(), async_.get(), [](uv_async_t* h) {
                  if (auto* self = static_cast<Mailbox*>(h->data)) self->drain();
                }) == 0);
  async_.opened(this);
}

Mailbox::~Mailbox() { close(); }

bool Mailbox::post(Message message) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_ || messages_.size() >= capacity_) return false;
  messages_.push_back(std::move(message));
  uv_async_send(async_.get());
  return true;
}

void Mailbox::close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  closed_ = true;
}

void Mailbox::discard() {
  std::deque<Message> dropped;  // made before the lock, so destroyed after it is released
  const std::lock_guard<std::mutex> lock(mutex_);
  closed_ = true;
  dropped.swap(messages_);
}

void Mailbox::drain() {
  loop_.note_wake();
  std::deque<Message> batch;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    batch.swap(messages_);
  }
  for (auto& message : batch) message();
}

}  // namespace hearth
