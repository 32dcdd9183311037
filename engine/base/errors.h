// The error codes and what is fixed about each: number, HTTP status, retry class, whose fault it
// is.
#pragma once
#include <cstdint>
#include <string_view>

namespace hearth {

enum class Code : uint16_t {
#define X(name, number, status, retry, fault, lambda, text) name = number,
#include "base/error_catalogue.def"
#undef X
};

enum class Retry : uint8_t { no_retry, retry };
enum class Fault : uint8_t { caller, function, platform };

struct ErrorInfo {
  Code code;
  std::string_view name;  // as in the catalogue: stable, shown to users
  uint16_t http_status;
  Retry retry;
  Fault fault;
  std::string_view lambda_name;  // the value of X-Amzn-ErrorType
  std::string_view text;
};

// Static storage; never fails for a Code of the catalogue.
const ErrorInfo& info(Code code);
inline std::string_view name(Code code) { return info(code).name; }

}  // namespace hearth
