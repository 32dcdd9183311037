// Which interpreters this machine has, and which of them runs a function whose runtime names a
// version. Does no I/O: who fills it has found them. Not thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/runtime_label.h"

namespace hearth {

// runtimes.substitute: what becomes of a function whose version is not there.
enum class Substitute : uint8_t { never, nearest };

struct Interpreter {
  Runtime runtime = Runtime::python3;
  uint8_t number = 0;   // 0 runs functions that name no version
  std::string version;  // "3.11.2"; empty: not asked yet
  std::string path;
};

// How a function's runtime is met.
struct RuntimeChoice {
  uint8_t number = 0;        // Interpreter::number
  std::string version;       // "3.11.2"; empty: the function names none, and nobody has asked
  bool substituted = false;  // another version than the function names
};

class RuntimeCatalogue {
 public:
  // Asks an interpreter for its version, "" when it can't tell. May take milliseconds.
  using AskVersion = std::function<std::string(const Interpreter&)>;

  RuntimeCatalogue() = default;
  // What needs no interpreter is always there.
  RuntimeCatalogue(std::vector<Interpreter> interpreters, Substitute substitute,
                   AskVersion ask = {});

  // `label`: parse_runtime_label's, of `runtime`; empty = any version. An exact match wins; else,
  // with `nearest`, the nearest version, the newer one of two. Errors: runtime_unavailable, which
  // names what is there and the key.
  Result<RuntimeChoice> choose(Runtime runtime, std::string_view label);

  // The one by which choose() decided; for messages and lists. Null for what needs none.
  const Interpreter* find(Runtime runtime, uint8_t number) const;
  const std::vector<Interpreter>& interpreters() const { return interpreters_; }

 private:
  const std::string& version_of(Interpreter& interpreter);
  Error missing(Runtime runtime, std::string_view label);

  std::vector<Interpreter> interpreters_;
  Substitute substitute_ = Substitute::never;
  AskVersion ask_;
};

}  // namespace hearth
