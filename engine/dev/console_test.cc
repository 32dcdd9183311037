// What is printed, in each of the three forms.
#include "dev/console.h"

#include <nlohmann/json.hpp>

#include "tests/catch.h"

namespace hearth::dev {
namespace {

struct Rig {
  ManualClock clock;
  std::string text;
  Console console;
  explicit Rig(Console::Form form)
      : console(form, clock, [this](std::string_view part) { text += part; }) {}
  bool has(std::string_view part) const { return text.find(part) != std::string::npos; }
};

CallLine call_line() {
  CallLine call;
  call.function = "hello";
  call.method = "GET";
  call.path = "/a?b\x1b[0m";
  call.status = 200;
  call.took = microseconds(3'240);
  call.ran = true;
  call.cold = true;
  call.init = microseconds(12'000);
  call.memory_bytes = 14u << 20;
  call.request_id = "id";
  return call;
}

}  // namespace

TEST_CASE("a call is one line with status time start and memory") {
  Rig rig(Console::Form::plain);
  rig.console.call(call_line());
  CHECK(rig.has("hello GET /a?b\\x1b[0m  200  3.2 ms  cold (init 12.0 ms)  14 MB\n"));
  CHECK(rig.text.find('\x1b') == std::string::npos);
}

TEST_CASE("a call whose client left or that was refused says so") {
  Rig rig(Console::Form::plain);
  CallLine call = call_line();
  call.status = 0;
  call.ran = false;
  call.error = "queue_full";
  rig.console.call(call);
  CHECK(rig.has("gone  3.2 ms  queue_full\n"));
}

TEST_CASE("colour is on a terminal only and never comes from a function") {
  Rig rig(Console::Form::colour);
  rig.console.log({"hello", "", 4, "a\x1b[31mb"});
  CHECK(rig.has("\x1b[31m"));
  CHECK(rig.has("a\\x1b[31mb"));
  CHECK(form_for(-1, false) == Console::Form::plain);
  CHECK(form_for(-1, true) == Console::Form::json);
}

TEST_CASE("json is one object a line whatever the bytes are") {
  Rig rig(Console::Form::json);
  rig.console.call(call_line());
  rig.console.log({"hello", "id", 0, "\xff\n\""});
  rig.console.load_failed("hello", "SyntaxError", true);
  size_t lines = 0;
  for (size_t start = 0; start < rig.text.size(); ++lines) {
    const size_t end = rig.text.find('\n', start);
    REQUIRE(end != std::string::npos);
    const auto event = nlohmann::json::parse(rig.text.substr(start, end - start), nullptr, false);
    REQUIRE(event.is_object());
    CHECK(event["function"] == "hello");
    start = end + 1;
  }
  CHECK(lines == 3);
}

}  // namespace hearth::dev
