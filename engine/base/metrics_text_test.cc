// The Prometheus writer: byte-exact output of each kind of family.
#include "base/metrics_text.h"

#include <limits>

#include "tests/catch.h"

using hearth::Histogram;
using hearth::MetricsText;

TEST_CASE("counters and gauges are written with help and type") {
  std::string text;
  MetricsText out(text);
  out.counter("hearth_a_total", "How many a.", 3);
  out.gauge("hearth_b_bytes", "Bytes of b.", 1.5);
  REQUIRE(text ==
          "# HELP hearth_a_total How many a.\n# TYPE hearth_a_total counter\nhearth_a_total 3\n"
          "# HELP hearth_b_bytes Bytes of b.\n# TYPE hearth_b_bytes gauge\nhearth_b_bytes 1.5\n");
}

TEST_CASE("label values and help texts are escaped") {
  std::string text;
  MetricsText out(text);
  out.family("hearth_c_total", MetricsText::Type::counter, "line\nbreak \\ \"quoted\"");
  out.sample({{"function", "a\"b\\c\nd"}, {"kind", "x"}}, uint64_t{18446744073709551615u});
  REQUIRE(text ==
          "# HELP hearth_c_total line\\nbreak \\\\ \"quoted\"\n# TYPE hearth_c_total counter\n"
          "hearth_c_total{function=\"a\\\"b\\\\c\\nd\",kind=\"x\"} 18446744073709551615\n");
}

TEST_CASE("numbers that are not finite have their names") {
  std::string text;
  MetricsText out(text);
  out.family("g", MetricsText::Type::gauge, "");
  out.sample({}, std::numeric_limits<double>::quiet_NaN());
  out.sample({}, -std::numeric_limits<double>::infinity());
  REQUIRE(text == "# HELP g \n# TYPE g gauge\ng NaN\ng -Inf\n");
}

TEST_CASE("a histogram is cumulative, in seconds, and ends at infinity") {
  Histogram histogram;
  histogram.record(50);
  histogram.record(3'000);
  histogram.record(uint64_t{2'000} * 1'000'000);
  std::string text;
  MetricsText out(text);
  out.family("hearth_d_seconds", MetricsText::Type::histogram, "d");
  out.histogram({{"kind", "x"}}, histogram);
  REQUIRE(text.find("hearth_d_seconds_bucket{kind=\"x\",le=\"0.0001\"} 1\n") != std::string::npos);
  REQUIRE(text.find("hearth_d_seconds_bucket{kind=\"x\",le=\"0.005\"} 2\n") != std::string::npos);
  REQUIRE(text.find("hearth_d_seconds_bucket{kind=\"x\",le=\"900\"} 2\n") != std::string::npos);
  REQUIRE(text.find("hearth_d_seconds_bucket{kind=\"x\",le=\"+Inf\"} 3\n") != std::string::npos);
  REQUIRE(text.find("hearth_d_seconds_sum{kind=\"x\"} 2000.00305\n") != std::string::npos);
  REQUIRE(text.find("hearth_d_seconds_count{kind=\"x\"} 3\n") != std::string::npos);
}
