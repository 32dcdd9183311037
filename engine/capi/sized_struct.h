// Structures of hearth.h that a host passes: of this version, an older or a newer one.
#pragma once
#include <algorithm>
#include <cstring>

#include "base/result.h"

namespace hearth::capi {

// Copies what both sides know; the rest is zero. `in` begins with struct_size. Errors:
// invalid_parameter: struct_size was not set, or the host sets a field that this version has not.
template <class T>
Result<T> read_struct(const T* in, const char* what) {
  T out{};
  if (in == nullptr) return Error{Code::invalid_parameter, std::string(what) + " is NULL"};
  const size_t size = in->struct_size;
  constexpr size_t kAbsurd = 4'096;
  if (size < 2 * sizeof(uint32_t) || size > kAbsurd) {
    return Error{Code::invalid_parameter,
                 std::string(what) + ": struct_size is not set; HEARTH_INIT sets it"};
  }
  const char* bytes = reinterpret_cast<const char*>(in);
  if (std::any_of(bytes + std::min(size, sizeof(T)), bytes + size,
                  [](char byte) { return byte != 0; })) {
    return Error{Code::invalid_parameter,
                 std::string(what) + " has a field set that this version of libhearth has not"};
  }
  std::memcpy(&out, in, std::min(size, sizeof(T)));
  return out;
}

}  // namespace hearth::capi
