#include "base/result.h"

#include <set>

#include "tests/catch.h"

using namespace hearth;

namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return Error{Code::invalid_parameter, "odd"};
  return n / 2;
}
Result<int> quarter(int n) {
  const int h = HEARTH_TRY(half(n));
  return HEARTH_TRY(half(h));
}

}  // namespace

TEST_CASE("HEARTH_TRY passes values on and returns errors") {
  CHECK(*quarter(8) == 2);
  const auto failed = quarter(6);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::invalid_parameter);
  CHECK(failed.error().message() == "a parameter has a value that is not allowed: odd");
}

TEST_CASE("catalogue numbers and names are unique and statuses are HTTP statuses") {
  std::set<int> numbers;
  std::set<std::string_view> names;
#define X(name, number, status, retry, fault, lambda, text) \
  CHECK(numbers.insert(number).second);                     \
  CHECK(names.insert(#name).second);                        \
  CHECK(((status) >= 400 && (status) < 600));
#include "base/error_catalogue.def"
#undef X
  CHECK(name(Code::queue_full) == "queue_full");
  CHECK(info(Code::queue_full).http_status == 429);
}
