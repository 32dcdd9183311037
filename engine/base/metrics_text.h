// Writes metrics in Prometheus' text format 0.0.4. Each module appends its families; the endpoint
// sends the result. Allocates: not for the warm path.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/histogram.h"

namespace hearth {

class MetricsText {
 public:
  enum class Type : uint8_t { counter, gauge, histogram };
  using Label = std::pair<std::string_view, std::string_view>;
  using Labels = std::initializer_list<Label>;

  // Appends to `out`, which must outlive this.
  explicit MetricsText(std::string& out) : out_(out) {}

  // Begins a family: HELP and TYPE. Its samples must follow before the next family. `name` is
  // [a-z0-9_]; counters end in _total, and the unit stands in the name (_seconds, _bytes). A family
  // is begun once an output.
  void family(std::string_view name, Type type, std::string_view help);

  // One sample of the family that was begun last (a counter or a gauge). Label values may hold any
  // text.
  void sample(Labels labels, uint64_t value);
  void sample(Labels labels, double value);
  // One histogram of the family; durations are written in seconds.
  void histogram(Labels labels, const Histogram& histogram);

  // A family of one sample without labels.
  void counter(std::string_view name, std::string_view help, uint64_t value);
  void gauge(std::string_view name, std::string_view help, double value);

 private:
  void begin_sample(std::string_view suffix, Labels labels, std::string_view le);
  void label(std::string_view key, std::string_view value, bool first);
  void number(double value);

  std::string& out_;
  std::string family_;
};

}  // namespace hearth
