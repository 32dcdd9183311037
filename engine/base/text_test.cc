#include "base/histogram.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/request_id.h"
#include "tests/catch.h"

using namespace hearth;

TEST_CASE("json strings are escaped and broken utf-8 is replaced") {
  const auto quoted = [](std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
  };
  CHECK(quoted("a\"b\\c") == R"("a\"b\\c")");
  CHECK(quoted("\n\t\x01") == R"("\n\t\u0001")");
  CHECK(quoted("gr\xC3\xBC\xC3\x9F") == "\"gr\xC3\xBC\xC3\x9F\"");
  CHECK(quoted("\xC0\xAF") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
  CHECK(quoted("\xED\xA0\x80") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
  CHECK(quoted("\xF0\x9F\x94\xA5") == "\"\xF0\x9F\x94\xA5\"");
  CHECK(quoted("\xF0\x9F") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

TEST_CASE("log lines show control characters escaped") {
  std::string out;
  append_escaped(out, "a\x1b[31mb\r\n");
  CHECK(out == "a\\x1b[31mb\\x0d\\x0a");
}

TEST_CASE("request ids are version 4 uuids and repeatable from a seed") {
  RequestIdSource a(7);
  RequestIdSource b(7);
  const auto id = a.next();
  CHECK(id == b.next());
  const auto text = id.text();
  REQUIRE(text.size() == 36);
  CHECK(text[14] == '4');
  CHECK((text[19] == '8' || text[19] == '9' || text[19] == 'a' || text[19] == 'b'));
  CHECK_FALSE(a.next() == id);
}

TEST_CASE("histogram quantiles are within an eighth") {
  Histogram h;
  for (uint64_t us = 1; us <= 100'000; ++us) h.record(us);
  CHECK(h.count() == 100'000);
  CHECK(h.quantile_us(0.5) >= 50'000);
  CHECK(h.quantile_us(0.5) <= 56'500);
  CHECK(h.quantile_us(1.0) >= 100'000);
  CHECK(h.count_at_most(1'000) >= 1'000);
  CHECK(h.count_at_most(1'000) <= 1'130);
}
