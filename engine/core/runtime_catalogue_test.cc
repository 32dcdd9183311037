// Which interpreter runs a function whose runtime names a version.
#include "core/runtime_catalogue.h"

#include "tests/catch.h"

using namespace hearth;
using Catch::Matchers::Contains;

namespace {

RuntimeCatalogue machine(Substitute substitute) {
  return RuntimeCatalogue({{Runtime::python3, 0, "3.11.2", "/usr/bin/python3.11"},
                           {Runtime::python3, 1, "3.13.1", "/opt/python3.13"},
                           {Runtime::python3, 2, "3.8.20", "/opt/python3.8"},
                           {Runtime::nodejs, 0, "20.19.2", "/usr/bin/node"},
                           {Runtime::nodejs, 1, "10.24.1", "/opt/node10"}},
                          substitute);
}

}  // namespace

TEST_CASE("our names and Lambda's are known, others are refused with those that are") {
  CHECK(parse_runtime_label("python3")->runtime == Runtime::python3);
  CHECK_FALSE(parse_runtime_label("python3")->version);
  CHECK(parse_runtime_label("python3.12")->version == RuntimeVersion{3, 12});
  CHECK(parse_runtime_label("nodejs20.x")->version == RuntimeVersion{20, 0});
  CHECK(parse_runtime_label("native")->runtime == Runtime::native);
  for (const char* wrong : {"", "python", "python3.", "python3.x", "python3.-1", "python3.11.2",
                            "python2.7", "python3.99999", "nodejs20", "nodejs.x", "nodejs20.xx",
                            "node20.x", "host", "ruby3.2", "provided.al2024"}) {
    INFO(wrong);
    const auto label = parse_runtime_label(wrong);
    REQUIRE_FALSE(label);
    CHECK(label.error().code == Code::invalid_parameter);
    CHECK_THAT(label.error().detail, Contains("python3.N"));
  }
  for (const char* custom : {"custom", "provided", "provided.al2", "provided.al2023"}) {
    REQUIRE(parse_runtime_label(custom));
    CHECK(parse_runtime_label(custom)->runtime == Runtime::custom);
    CHECK_FALSE(parse_runtime_label(custom)->version);
  }
  CHECK(parse_runtime_label(std::string(10'000, 'x')).error().detail.size() < 300);
}

TEST_CASE("versions are read from what interpreters print") {
  CHECK(runtime_version(Runtime::python3, "3.11.2") == RuntimeVersion{3, 11});
  CHECK(runtime_version(Runtime::nodejs, "20.19.2") == RuntimeVersion{20, 0});
  CHECK_FALSE(runtime_version(Runtime::python3, ""));
  CHECK_FALSE(runtime_version(Runtime::python3, "3"));
  CHECK(runtime_label_text(Runtime::python3, {3, 11}) == "python3.11");
  CHECK(runtime_label_text(Runtime::nodejs, {20, 0}) == "nodejs20.x");
}

TEST_CASE("a name without version gets the first interpreter, an exact match its own") {
  RuntimeCatalogue catalogue = machine(Substitute::never);
  CHECK(catalogue.choose(Runtime::python3, "python3")->number == 0);
  CHECK(catalogue.choose(Runtime::python3, "")->number == 0);
  CHECK(catalogue.choose(Runtime::python3, "python3.8")->number == 2);
  CHECK(catalogue.choose(Runtime::nodejs, "nodejs10.x")->number == 1);
  CHECK_FALSE(catalogue.choose(Runtime::nodejs, "nodejs10.x")->substituted);
  CHECK(catalogue.choose(Runtime::native, "native")->number == 0);
  CHECK(catalogue.choose(Runtime::custom, "provided.al2023")->number == 0);
}

TEST_CASE("without substitution a missing version is refused, with what there is and the key") {
  RuntimeCatalogue catalogue = machine(Substitute::never);
  const auto refused = catalogue.choose(Runtime::python3, "python3.12");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::runtime_unavailable);
  CHECK_THAT(refused.error().detail,
             Contains("python3.12") && Contains("3.11.2 (/usr/bin/python3.11)") &&
                 Contains("3.8.20") && Contains("runtime python3.11, python3.13, python3.8") &&
                 Contains("runtimes.substitute") && Contains("runtimes.python3.others"));
}

TEST_CASE("the nearest version takes the place, of two the newer one") {
  RuntimeCatalogue catalogue = machine(Substitute::nearest);
  const auto chosen = [&](Runtime runtime, std::string_view label) {
    const auto choice = catalogue.choose(runtime, label);
    REQUIRE(choice);
    return std::pair(choice->version, choice->substituted);
  };
  CHECK(chosen(Runtime::python3, "python3.12") == std::pair(std::string("3.13.1"), true));
  CHECK(chosen(Runtime::python3, "python3.6") == std::pair(std::string("3.8.20"), true));
  CHECK(chosen(Runtime::python3, "python3.10") == std::pair(std::string("3.11.2"), true));
  CHECK(chosen(Runtime::python3, "python3.11") == std::pair(std::string("3.11.2"), false));
  CHECK(chosen(Runtime::nodejs, "nodejs22.x") == std::pair(std::string("20.19.2"), true));
  CHECK(chosen(Runtime::nodejs, "nodejs12.x") == std::pair(std::string("10.24.1"), true));
}

TEST_CASE("an interpreter is asked for its version once, and only when a function names one") {
  int asked = 0;
  RuntimeCatalogue catalogue({{Runtime::nodejs, 0, "", "/usr/bin/node"}}, Substitute::never,
                             [&](const Interpreter& each) {
                               CHECK(each.path == "/usr/bin/node");
                               ++asked;
                               return std::string("20.1.0");
                             });
  CHECK(catalogue.choose(Runtime::nodejs, "nodejs")->version.empty());
  CHECK(asked == 0);
  CHECK(catalogue.choose(Runtime::nodejs, "nodejs20.x")->version == "20.1.0");
  CHECK(catalogue.choose(Runtime::nodejs, "nodejs20.x"));
  CHECK(asked == 1);
}

TEST_CASE("an interpreter that can't tell its version runs functions that name none") {
  RuntimeCatalogue catalogue({{Runtime::nodejs, 0, "", "/usr/bin/node"}}, Substitute::nearest,
                             [](const Interpreter&) { return std::string(); });
  CHECK(catalogue.choose(Runtime::nodejs, "nodejs"));
  CHECK_FALSE(catalogue.choose(Runtime::nodejs, "nodejs20.x"));
}

TEST_CASE("a runtime that is not there at all is named with its key") {
  RuntimeCatalogue catalogue({}, Substitute::nearest);
  for (const char* label : {"python3", "python3.12"}) {
    const auto refused = catalogue.choose(Runtime::python3, label);
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().detail, Contains("runtimes.python3.path") && Contains(label));
  }
}
