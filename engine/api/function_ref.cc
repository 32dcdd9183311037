#include "api/function_ref.h"

#include <algorithm>

#include "api/percent.h"
#include "core/function_spec.h"

namespace hearth::api {
namespace {

// Cuts the part before the first ':' off `rest`; all of it when there is none.
std::string_view take_part(std::string_view& rest) {
  const size_t end = std::min(rest.find(':'), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest = end == rest.size() ? std::string_view() : rest.substr(end + 1);
  return part;
}

bool is_account(std::string_view part) {
  return part.size() == 12 &&
         std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "arn:aws:lambda:REGION:ACCOUNT:function:", of which nothing but the shape matters here: there is
// one account and one region.
bool skip_arn(std::string_view& rest) {
  take_part(rest);
  if (!take_part(rest).starts_with("aws")) return false;
  if (take_part(rest) != "lambda") return false;
  if (take_part(rest).empty()) return false;
  if (!is_account(take_part(rest))) return false;
  return take_part(rest) == "function";
}

bool valid_qualifier(std::string_view qualifier) {
  if (qualifier == kLatest) return true;
  const std::string_view head = qualifier.substr(0, kFunctionNameMax);
  const std::string_view tail = qualifier.substr(head.size());
  return valid_function_name(head) &&
         (tail.empty() || valid_function_name(tail));  // the same letters, twice the length
}

}  // namespace

bool parse_function_ref(std::string_view segment, FunctionRef& ref) {
  if (segment.size() > kFunctionRefMax) return false;
  std::string_view rest(ref.text.data(), percent_decode(ref.text.data(), segment, Plus::literal));
  if (rest.starts_with("arn:")) {
    if (!skip_arn(rest)) return false;
  } else {
    // ACCOUNT:function:NAME, function:NAME. A name of twelve digits alone, or with $LATEST behind
    // it, is a name.
    const size_t colon = rest.find(':');
    if (colon != std::string_view::npos && is_account(rest.substr(0, colon)) &&
        rest.substr(colon + 1).starts_with("function:")) {
      rest.remove_prefix(colon + 1);
    }
    if (rest.starts_with("function:") && rest.substr(9) != kLatest) rest.remove_prefix(9);
  }
  const bool qualified = rest.find(':') != std::string_view::npos;
  ref.name = take_part(rest);
  ref.qualifier = rest;
  if (!valid_function_name(ref.name)) return false;
  return qualified ? valid_qualifier(ref.qualifier) : true;
}

}  // namespace hearth::api
