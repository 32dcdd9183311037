#include "base/errors.h"

#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "base/assert.h"

namespace hearth {
namespace {

constexpr ErrorInfo kCatalogue[] = {
#define X(name, number, status, retry, fault, lambda, text) \
  {Code::name, #name, status, Retry::retry, Fault::fault, lambda, text},
#include "base/error_catalogue.def"
#undef X
};

}  // namespace

const ErrorInfo& info(Code code) {
  for (const ErrorInfo& entry : kCatalogue) {
    if (entry.code == code) return entry;
  }
  HEARTH_ASSERT(!"a code that is not in the catalogue");
  return kCatalogue[0];
}

namespace detail {

void assert_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "hearth: internal error: %s does not hold at %s:%d\n", expression, file,
               line);
  std::abort();
}

}  // namespace detail
}  // namespace hearth
