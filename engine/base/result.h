// Error and Result<T>: errors are values. The API is a subset of std::expected's, so that a later
// swap is a `using`.
#pragma once
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "base/errors.h"

namespace hearth {

// `detail` says what exactly is wrong and what to do; it is built only on failure and may be shown
// to the caller.
struct [[nodiscard]] Error {
  Code code;
  std::string detail;

  // The catalogue's text and the detail, for people.
  std::string message() const {
    std::string text(info(code).text);
    if (!detail.empty()) text.append(": ").append(detail);
    return text;
  }
};

// A value or an error. Result<std::monostate> (= Status) is "nothing or an error". Asking for the
// wrong side is a bug and asserts.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value)
      : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Error error)
      : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  T& operator*() & { return value(); }
  const T& operator*() const& { return const_cast<Result*>(this)->value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &const_cast<Result*>(this)->value(); }
  Error& error() & {
    HEARTH_ASSERT(!has_value());
    return *std::get_if<1>(&state_);
  }
  const Error& error() const& { return const_cast<Result*>(this)->error(); }
  Error&& error() && { return std::move(error()); }

 private:
  T& value() {
    HEARTH_ASSERT(has_value());
    return *std::get_if<0>(&state_);
  }
  std::variant<T, Error> state_;
};

using Status = Result<std::monostate>;
inline Status ok() { return Status(std::monostate{}); }

}  // namespace hearth

// The value of `expression`, a Result; on an error the enclosing function returns it.
#define HEARTH_TRY(expression)                                           \
  ({                                                                     \
    auto hearth_try_result = (expression);                               \
    if (!hearth_try_result) return std::move(hearth_try_result).error(); \
    *std::move(hearth_try_result);                                       \
  })
