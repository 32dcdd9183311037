// The scanner accepts exactly what a full parser accepts (on text without invalid UTF-8), and
// unescapes alike.
#include "base/json_scanner.h"

#include <nlohmann/json.hpp>

#include "tests/catch.h"

using namespace hearth;

namespace {

bool accepts(std::string_view text) {
  JsonScanner scanner(text);
  return scanner.skip_value() && scanner.at_end();
}

std::string unescaped(std::string_view text) {
  JsonScanner scanner(text);
  JsonString string;
  REQUIRE(scanner.string(string));
  std::string out(string.raw.size(), '\0');
  out.resize(json_unescape(out.data(), string.raw));
  return out;
}

std::string nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

}  // namespace

TEST_CASE("valid json is accepted and invalid json is not") {
  const char* texts[] = {
      "{}", "[]", " [ ] ", "null", "true", "false", "0", "-0", "1", "-1.5e+10", "1E5", "\"\"",
      "\"a\\n\\u00e9\"", R"({"a":1,"b":[1,2,{"c":null}],"d":"x"})", R"([[],{},[{}]])",
      "\t[1\n,2]\r\n", "{\"a\":{\"b\":{\"c\":[]}}}", R"("\/")",
      // not valid
      "", " ", "{", "}", "[", "[1", "[1,", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}",
      "{a:1}", "{1:1}", "[1 2]", "[}", "{]", "nul", "nulL", "truex", "tru", "01", "-", "+1", "1.",
      ".5", "1e", "1e+", "0x1", "NaN", "Infinity", "-Infinity", "'a'", "\"", "\"a", "\"\\\"",
      "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\x01\"", "\"\n\"", "[1]]", "{} {}", "1 2",
      "\"a\" \"b\"", "{\"a\":1 \"b\":2}", "{\"a\":1,,\"b\":2}", "[1,,2]", "//x\n1",
      "\xEF\xBB\xBF[]"};
  for (const char* text : texts) {
    INFO(text);
    const bool reference = nlohmann::json::accept(std::string(text)) &&
                           std::string_view(text).substr(0, 3) != "\xEF\xBB\xBF";
    REQUIRE(accepts(text) == reference);
  }
}

TEST_CASE("every cut and every changed byte of a document is judged as by a full parser") {
  const std::string document =
      R"({"statusCode":200,"headers":{"a":"b\u0041\n","c":-1.5e3},"x":[true,null,{"y":[]}],"body":"z\\"})";
  for (size_t i = 0; i <= document.size(); ++i) {
    REQUIRE(accepts(document.substr(0, i)) == nlohmann::json::accept(document.substr(0, i)));
  }
  for (size_t i = 0; i < document.size(); ++i) {
    for (const char c : std::string_view("{}[]\",:\\0ae-.u \n\x01", 17)) {
      std::string changed = document;
      changed[i] = c;
      INFO(changed);
      REQUIRE(accepts(changed) == nlohmann::json::accept(changed));
    }
  }
}

TEST_CASE("nesting deeper than the limit is refused") {
  REQUIRE(accepts(nested(kJsonDepthMax)));
  REQUIRE_FALSE(accepts(nested(kJsonDepthMax + 1)));
  REQUIRE_FALSE(accepts(std::string(1'000'000, '[')));
  std::string objects;
  for (unsigned i = 0; i < kJsonDepthMax; ++i) objects += "{\"a\":";
  REQUIRE(accepts(objects + "1" + std::string(kJsonDepthMax, '}')));
  REQUIRE_FALSE(accepts("[" + objects + "1" + std::string(kJsonDepthMax, '}') + "]"));
}

TEST_CASE("strings unescape as json says") {
  REQUIRE(unescaped(R"("a\"\\\/\b\f\n\r\tz")") == "a\"\\/\b\f\n\r\tz");
  REQUIRE(unescaped(R"("\u0041\u00e9\u20AC\ud83d\ude00")") ==
          "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
  REQUIRE(unescaped("\"plain \xC3\xA9\"") == "plain \xC3\xA9");
  REQUIRE(unescaped(R"("\u0000")") == std::string(1, '\0'));
}

TEST_CASE("a surrogate without its other half becomes the replacement character") {
  const std::string replacement = "\xEF\xBF\xBD";
  REQUIRE(unescaped(R"("\ud83d")") == replacement);
  REQUIRE(unescaped(R"("\ude00")") == replacement);
  REQUIRE(unescaped(R"("\ud83dx")") == replacement + "x");
  REQUIRE(unescaped(R"("\ud83d\u0041")") == replacement + "A");
  REQUIRE(unescaped(R"("\ud83d\ud83d\ude00")") == replacement + "\xF0\x9F\x98\x80");
  REQUIRE(unescaped(R"("\ud83d\n")") == replacement + "\n");
}

TEST_CASE("a value's raw text has no white space around it") {
  JsonScanner scanner(" { \"a\" : [ 1 , 2 ] , \"b\" : 3 } ");
  std::string_view raw;
  REQUIRE(scanner.enter(JsonScanner::Kind::object));
  JsonString key;
  REQUIRE(scanner.next_member(key) == JsonScanner::Step::item);
  REQUIRE(key.raw == "a");
  REQUIRE(scanner.skip_value(&raw));
  REQUIRE(raw == "[ 1 , 2 ]");
  REQUIRE(scanner.next_member(key) == JsonScanner::Step::item);
  REQUIRE(scanner.skip_value(&raw));
  REQUIRE(raw == "3");
  REQUIRE(scanner.next_member(key) == JsonScanner::Step::end);
  REQUIRE(scanner.at_end());
}
