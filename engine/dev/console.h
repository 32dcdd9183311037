// What `hearth dev` prints: one line an event, for people (in colour if asked for) or as JSON. Only
// formats and writes. One thread.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"

namespace hearth::dev {

// A call that has ended.
struct CallLine {
  std::string function;
  std::string method;
  std::string path;
  int status = 0;  // 0: the client went away before
  microseconds took{0};
  bool ran = false;  // a worker had it: the rest says how
  bool cold = false;
  microseconds init{0};
  uint64_t memory_bytes = 0;  // 0: not known
  std::string error;          // of the function or the platform; empty: none
  std::string request_id;
};

// A line that a function wrote. `level`: 0 plain, 1 debug, 2 info, 3 warning, 4 error, 5 critical.
struct LogLine {
  std::string_view function;
  std::string_view request_id;  // empty: outside of any call
  int level = 0;
  std::string_view text;
};

class Console {
 public:
  enum class Form : uint8_t { plain, colour, json };
  using Write = std::function<void(std::string_view)>;
  // `write` gets whole lines. `wall` gives the time of day for the lines.
  Console(Form form, const Clock& clock, Write write);

  // Where the functions are; `names` may be empty, with `folders`: though there are folders of
  // functions. A single function is served at `url` itself.
  void ready(const std::string& url, const std::vector<std::string>& names, bool folders,
             std::string_view sandbox);
  void call(const CallLine& line);
  void log(const LogLine& line);
  void loaded(std::string_view function, milliseconds took, bool first);
  // `serving_old`: older code goes on serving.
  void load_failed(std::string_view function, std::string_view error, bool serving_old);
  void unchanged(std::string_view function);
  void removed(std::string_view function);
  void warning(std::string_view text);
  void stopping();

 private:
  std::string paint(const char* code, std::string_view text) const;
  std::string time() const;
  void line(std::string text);

  Form form_;
  const Clock& clock_;
  Write write_;
};

// The fd's own: colour if it is a terminal, but not a `dumb` one, and NO_COLOR is not set (or
// empty).
Console::Form form_for(int fd, bool json);
// Writes all of it; what can't be written any more (the terminal has gone) is dropped. `on_gone`
// runs with each write that finds the pipe's reader gone.
Console::Write write_to(int fd, std::function<void()> on_gone);

}  // namespace hearth::dev
