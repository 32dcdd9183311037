#include "cli/json_problem.h"

#include <nlohmann/json.hpp>

namespace hearth::cli {
namespace {

using nlohmann::json;

// Takes every event of the parser for good, and keeps what it says about a mistake.
struct Checker {
  bool null() { return true; }
  bool boolean(bool) { return true; }
  bool number_integer(json::number_integer_t) { return true; }
  bool number_unsigned(json::number_unsigned_t) { return true; }
  bool number_float(json::number_float_t, const std::string&) { return true; }
  bool string(std::string&) { return true; }
  bool binary(json::binary_t&) { return true; }
  bool start_object(size_t) { return true; }
  bool key(std::string&) { return true; }
  bool end_object() { return true; }
  bool start_array(size_t) { return true; }
  bool end_array() { return true; }
  bool parse_error(size_t, const std::string&, const json::exception& error) {
    problem = error.what();
    return false;
  }
  std::string problem;
};

}  // namespace

std::string json_problem(std::string_view text) {
  Checker checker;
  if (json::sax_parse(text.begin(), text.end(), &checker)) return {};
  // The library's words: "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
  constexpr std::string_view kPlace = "error at ";
  const size_t at = checker.problem.find(kPlace);
  if (at == std::string::npos) return "it ends too early";
  return checker.problem.substr(at + kPlace.size());
}

}  // namespace hearth::cli
