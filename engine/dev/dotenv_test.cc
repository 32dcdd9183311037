// .env files: every form that is promised, and each error with its line.
#include "dev/dotenv.h"

#include "tests/catch.h"

namespace hearth::dev {
namespace {

std::string value_of(std::string_view text) {
  const auto pairs = parse_dotenv(text, ".env");
  REQUIRE(pairs);
  REQUIRE(pairs->size() == 1);
  return (*pairs)[0].second;
}

std::string problem_of(std::string_view text) {
  const auto pairs = parse_dotenv(text, ".env");
  REQUIRE_FALSE(pairs);
  CHECK(pairs.error().code == Code::config_invalid);
  return pairs.error().detail;
}

}  // namespace

TEST_CASE("a dotenv value is plain single quoted or double quoted") {
  CHECK(value_of("A=1") == "1");
  CHECK(value_of("A = two words  ") == "two words");
  CHECK(value_of("A=") == "");
  CHECK(value_of("A='a # \\n $B'") == "a # \\n $B");
  CHECK(value_of("A=\"a\\nb\\t\\\"c\\\" \\$d \\q\"") == "a\nb\t\"c\" $d \\q");
  CHECK(value_of("export A=1") == "1");
  CHECK(value_of("\xEF\xBB\xBF"
                 "A=1\r\n") == "1");
  CHECK(value_of("A=a=b") == "a=b");
}

TEST_CASE("a dotenv comment starts a line or stands behind white space") {
  CHECK(value_of("# first\n\n  # second\nA=1 # third") == "1");
  CHECK(value_of("A=http://host/#part") == "http://host/#part");
  CHECK(value_of("A=\"x\" # why") == "x");
  CHECK(value_of("A=# nothing") == "");
}

TEST_CASE("a dotenv key that is there twice has its last value") {
  CHECK(value_of("A=1\nA=2") == "2");
}

TEST_CASE("a dotenv error names file line and reason") {
  CHECK(problem_of("A=1\n2B=1").starts_with(".env:2: "));
  CHECK(problem_of("A").find("'=' is missing behind 'A'") != std::string::npos);
  CHECK(problem_of("\nA='x").find(".env:2: the quote of 'A' does not end") != std::string::npos);
  CHECK(problem_of("A=\"x\\").find("does not end") != std::string::npos);
  CHECK(problem_of("A='x' y").find("behind the quotes of 'A'") != std::string::npos);
  CHECK(problem_of(std::string_view("A=x\0y", 5)).find("NUL") != std::string::npos);
}

TEST_CASE("a dotenv file that is not there is empty and one too large is refused") {
  const auto none = load_dotenv("/nonexistent/.env");
  REQUIRE(none);
  CHECK(none->empty());
  CHECK_FALSE(load_dotenv("/dev/zero"));
}

TEST_CASE("dotenv values win over those of the manifest and keys are sorted") {
  const Environment both = merged({{"B", "1"}, {"C", "1"}}, {{"A", "2"}, {"C", "2"}});
  CHECK(both == Environment{{"A", "2"}, {"B", "1"}, {"C", "2"}});
}

}  // namespace hearth::dev
