// hearth_error_t, and the way of every function of hearth.h to it.
#pragma once
#include <string>

#include "base/result.h"
#include "hearth/hearth.h"

struct hearth_error {
  hearth::Code code;
  std::string message;
};

namespace hearth::capi {

// The caller owns it.
hearth_error_t* to_c(const Error& error);
inline hearth_error_t* to_c(Code code, std::string detail) {
  return to_c(Error{code, std::move(detail)});
}
inline hearth_error_t* to_c(const Status& status) {
  return status ? nullptr : to_c(status.error());
}

}  // namespace hearth::capi
