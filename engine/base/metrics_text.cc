#include "base/metrics_text.h"

#include <charconv>
#include <cmath>

namespace hearth {
namespace {

constexpr std::string_view kTypeNames[] = {"counter", "gauge", "histogram"};

// Upper edges of the buckets that are shown, and how Prometheus is to read them.
struct Edge {
  uint64_t us;
  std::string_view seconds;
};
constexpr Edge kEdges[] = {{100, "0.0001"},    {250, "0.00025"},   {500, "0.0005"},
                           {1'000, "0.001"},   {2'500, "0.0025"},  {5'000, "0.005"},
                           {10'000, "0.01"},   {25'000, "0.025"},  {50'000, "0.05"},
                           {100'000, "0.1"},   {250'000, "0.25"},  {500'000, "0.5"},
                           {1'000'000, "1"},   {2'500'000, "2.5"}, {5'000'000, "5"},
                           {10'000'000, "10"}, {60'000'000, "60"}, {900'000'000, "900"}};

void append_escaped_text(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\\' || (quotes && c == '"')) {
      out += '\\';
      out += c;
    } else {
      out += c;
    }
  }
}

}  // namespace

void MetricsText::family(std::string_view name, Type type, std::string_view help) {
  family_ = name;
  out_.append("# HELP ").append(name).append(" ");
  append_escaped_text(out_, help, false);
  out_.append("\n# TYPE ")
      .append(name)
      .append(" ")
      .append(kTypeNames[static_cast<size_t>(type)])
      .append("\n");
}

void MetricsText::label(std::string_view key, std::string_view value, bool first) {
  out_.append(first ? "{" : ",").append(key).append("=\"");
  append_escaped_text(out_, value, true);
  out_ += '"';
}

void MetricsText::begin_sample(std::string_view suffix, Labels labels, std::string_view le) {
  out_.append(family_).append(suffix);
  bool first = true;
  for (const auto& [key, value] : labels) {
    label(key, value, first);
    first = false;
  }
  if (!le.empty()) {
    label("le", le, first);
    first = false;
  }
  out_.append(first ? " " : "} ");
}

void MetricsText::number(double value) {
  if (std::isnan(value)) {
    out_ += "NaN";
  } else if (std::isinf(value)) {
    out_ += value > 0 ? "+Inf" : "-Inf";
  } else {
    char text[32];
    out_.append(text, std::to_chars(text, text + sizeof text, value).ptr);
  }
  out_ += '\n';
}

void MetricsText::sample(Labels labels, uint64_t value) {
  begin_sample({}, labels, {});
  out_.append(std::to_string(value)).append("\n");
}

void MetricsText::sample(Labels labels, double value) {
  begin_sample({}, labels, {});
  number(value);
}

void MetricsText::histogram(Labels labels, const Histogram& histogram) {
  for (const Edge& edge : kEdges) {
    begin_sample("_bucket", labels, edge.seconds);
    out_.append(std::to_string(histogram.count_at_most(edge.us))).append("\n");
  }
  begin_sample("_bucket", labels, "+Inf");
  out_.append(std::to_string(histogram.count())).append("\n");
  begin_sample("_sum", labels, {});
  number(static_cast<double>(histogram.sum_us()) / 1e6);
  begin_sample("_count", labels, {});
  out_.append(std::to_string(histogram.count())).append("\n");
}

void MetricsText::counter(std::string_view name, std::string_view help, uint64_t value) {
  family(name, Type::counter, help);
  sample({}, value);
}

void MetricsText::gauge(std::string_view name, std::string_view help, double value) {
  family(name, Type::gauge, help);
  sample({}, value);
}

}  // namespace hearth
