#include "capi/error.h"

namespace hearth::capi {

hearth_error_t* to_c(const Error& error) { return new hearth_error{error.code, error.message()}; }

}  // namespace hearth::capi

// Names of the catalogue are literals: they end in NUL.
const char* hearth_error_name(const hearth_error_t* error) {
  return error != nullptr ? hearth::name(error->code).data() : "";
}
uint32_t hearth_error_code(const hearth_error_t* error) {
  return error != nullptr ? static_cast<uint32_t>(error->code) : 0;
}
const char* hearth_error_message(const hearth_error_t* error) {
  return error != nullptr ? error->message.c_str() : "";
}
uint32_t hearth_error_http_status(const hearth_error_t* error) {
  return error != nullptr ? hearth::info(error->code).http_status : 0;
}
int hearth_error_retryable(const hearth_error_t* error) {
  return error != nullptr && hearth::info(error->code).retry == hearth::Retry::retry ? 1 : 0;
}
void hearth_error_free(hearth_error_t* error) { delete error; }
