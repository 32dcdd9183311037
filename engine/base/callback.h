// A callback without an owner: an object pointer and a function pointer, 16 bytes, trivially
// copyable, never allocates. The object must outlive every call.
#pragma once
#include <utility>

namespace hearth {

template <class Signature>
class Callback;

template <class R, class... Args>
class Callback<R(Args...)> {
 public:
  Callback() = default;

  // Callback<void(int)>::to<&Widget::on_int>(this)
  template <auto Method, class T>
  static Callback to(T* object) {
    Callback callback;
    callback.object_ = object;
    callback.function_ = [](void* o, Args... args) -> R {
      return (static_cast<T*>(o)->*Method)(std::forward<Args>(args)...);
    };
    return callback;
  }
  // For a plain function that takes the context first.
  static Callback plain(R (*function)(void*, Args...), void* context) {
    Callback callback;
    callback.object_ = context;
    callback.function_ = function;
    return callback;
  }

  R operator()(Args... args) const { return function_(object_, std::forward<Args>(args)...); }
  explicit operator bool() const { return function_ != nullptr; }

 private:
  void* object_ = nullptr;
  R (*function_)(void*, Args...) = nullptr;
};

}  // namespace hearth
