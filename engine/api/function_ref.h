// How a function is named in a path: NAME, a partial ARN or an ARN, each with an optional
// qualifier, percent-encoded or not.
#pragma once
#include <array>
#include <cstddef>
#include <string_view>

namespace hearth::api {

inline constexpr size_t kFunctionRefMax =
    256;  // bytes after decoding; an ARN with a name of 64 bytes and a qualifier has at most 220

// Owns the decoded text; the views point into it, so that it can't be copied.
struct FunctionRef {
  FunctionRef() = default;
  FunctionRef(const FunctionRef&) = delete;
  FunctionRef& operator=(const FunctionRef&) = delete;

  std::string_view name;
  std::string_view qualifier;  // "$LATEST", a version or an alias; empty: none
  std::array<char, kFunctionRefMax> text;
};

// `segment` is the path's segment as sent. False: it is no name of a function in any of the forms.
// The name is valid_function_name().
bool parse_function_ref(std::string_view segment, FunctionRef& ref);

// The one qualifier that exists so far; an empty one means it too.
inline constexpr std::string_view kLatest = "$LATEST";
inline bool is_latest(std::string_view qualifier) {
  return qualifier.empty() || qualifier == kLatest;
}

}  // namespace hearth::api
