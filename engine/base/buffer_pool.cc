#include "base/buffer_pool.h"

namespace hearth {

void Buffer::release() {
  if (data_ == nullptr) return;
  pool_->give_back(data_, capacity_);
  pool_ = nullptr;
  data_ = nullptr;
  size_ = capacity_ = 0;
}

BufferPool::BufferPool(uint64_t bytes_max, uint64_t keep_max)
    : bytes_max_(bytes_max), keep_max_(keep_max) {
  for (auto& list : free_) list.reserve(64);
}

BufferPool::~BufferPool() {
  HEARTH_ASSERT(taken_ == 0);
  for (auto& list : free_) {
    for (char* data : list) delete[] data;
  }
}

Buffer BufferPool::take(size_t capacity) {
  size_t size = capacity;
  std::vector<char*>* list = nullptr;
  for (size_t i = 0; i < kClassCount; ++i) {
    if (capacity <= kClasses[i]) {
      size = kClasses[i];
      list = &free_[i];
      break;
    }
  }
  if (taken_ + size > bytes_max_) return {};
  Buffer buffer;
  buffer.pool_ = this;
  buffer.capacity_ = size;
  if (list != nullptr && !list->empty()) {
    buffer.data_ = list->back();
    list->pop_back();
    kept_ -= size;
  } else {
    buffer.data_ = new char[size];
  }
  taken_ += size;
  return buffer;
}

bool BufferPool::grow(Buffer& buffer, size_t room) {
  if (buffer && buffer.room() >= room) return true;
  const size_t needed = buffer.size() + room;
  // Doubling keeps the copies of a body that grows piece by piece linear in its size.
  size_t target = buffer.capacity() * 2;
  if (target < needed) target = needed;
  Buffer larger = take(target);
  if (!larger) larger = take(needed);
  if (!larger) return false;
  larger.append(buffer.view());
  buffer = std::move(larger);
  return true;
}

void BufferPool::give_back(char* data, size_t capacity) {
  taken_ -= capacity;
  if (kept_ + capacity <= keep_max_) {
    for (size_t i = 0; i < kClassCount; ++i) {
      if (kClasses[i] == capacity) {
        free_[i].push_back(data);
        kept_ += capacity;
        return;
      }
    }
  }
  delete[] data;
}

}  // namespace hearth
