// Objects that are made once and used again, from any thread: a warm call takes them without the
// heap.
#pragma once
#include <cstddef>
#include <mutex>
#include <utility>

namespace hearth::capi {

// T has a member `T* pool_next`.
template <class T>
class Pool {
 public:
  explicit Pool(size_t keep_max) : keep_max_(keep_max) {}
  ~Pool() {
    while (first_ != nullptr) delete std::exchange(first_, first_->pool_next);
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // THREAD-SAFE, both.
  T* take() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (first_ != nullptr) {
        --kept_;
        return std::exchange(first_, first_->pool_next);
      }
    }
    return new T;
  }
  void give_back(T* object) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (kept_ < keep_max_) {
        object->pool_next = std::exchange(first_, object);
        ++kept_;
        return;
      }
    }
    delete object;
  }

 private:
  const size_t keep_max_;
  std::mutex mutex_;
  T* first_ = nullptr;  // guarded by mutex_
  size_t kept_ = 0;     // guarded by mutex_
};

// Empties a text that is used again; a large one gives its memory back.
template <class String>
void recycle(String& text) {
  constexpr size_t kKeep = 64 * 1024;
  if (text.capacity() > kKeep) {
    text = String();
  } else {
    text.clear();
  }
}

}  // namespace hearth::capi
