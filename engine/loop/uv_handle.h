// UvHandle<T>: a libuv handle in a box of its own. The destructor forgets the owner and closes; the
// close callback frees the box. So libuv's rule that a handle's memory lives until its close
// callback is kept in this one place. Loop thread only.
#pragma once
#include <uv.h>

#include <utility>

namespace hearth {

template <class T>
class UvHandle {
 public:
  UvHandle() : box_(new T{}) { box_->data = nullptr; }
  ~UvHandle() { reset(); }
  UvHandle(UvHandle&& other) noexcept
      : box_(std::exchange(other.box_, nullptr)), open_(std::exchange(other.open_, false)) {}
  UvHandle& operator=(UvHandle&& other) noexcept {
    if (this != &other) {
      reset();
      box_ = std::exchange(other.box_, nullptr);
      open_ = std::exchange(other.open_, false);
    }
    return *this;
  }

  T* get() { return box_; }
  // To be called after the handle's uv_*_init succeeded: from then on it has to be closed before it
  // is freed.
  void opened(void* owner) {
    box_->data = owner;
    open_ = true;
  }
  void set_owner(void* owner) { box_->data = owner; }
  bool is_open() const { return open_; }

  // Closes; no callback of the handle reaches the owner afterwards.
  void reset() {
    if (box_ == nullptr) return;
    box_->data = nullptr;
    if (open_) {
      uv_close(reinterpret_cast<uv_handle_t*>(box_),
               [](uv_handle_t* handle) { delete reinterpret_cast<T*>(handle); });
    } else {
      delete box_;
    }
    box_ = nullptr;
    open_ = false;
  }

  // The owner in a callback, or nullptr when it is gone.
  template <class Owner, class Handle>
  static Owner* owner(Handle* handle) {
    return static_cast<Owner*>(handle->data);
  }

 private:
  T* box_;
  bool open_ = false;
};

}  // namespace hearth
