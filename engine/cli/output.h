// What the commands share: exit codes, where they print, and how a failure is told.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::cli {

// The exit codes of all commands; `hearth --help` lists them. serve has its own (see kServe*).
enum class Exit : int {
  ok = 0,
  function_error = 1,  // invoke: the function failed; doctor: not ready
  usage = 2,           // the command line, the folder or a file that it names can't be used
  refused = 3,         // the daemon refused, or can't be reached
  timeout = 4,         // the function or the daemon did not answer in time
  busy = 5,            // the daemon asks to try again later (429, 503)
};

inline constexpr int kServeFailed = 1;
inline constexpr int kServeSpawnerLost = 70;  // EX_SOFTWARE
inline constexpr int kServeConfig = 78;       // EX_CONFIG

// Where a command prints. One thread.
class Output {
 public:
  virtual ~Output() = default;
  virtual void out(std::string_view text) = 0;
  virtual void err(std::string_view text) = 0;

  bool terminal = false;  // stdout is one: control characters are escaped
  bool colour = false;    // stderr is a terminal, not a `dumb` one, and NO_COLOR is not set
};

// stdout and stderr, unbuffered. A reader that went away ends the process by SIGPIPE, as for any
// filter.
class StandardOutput final : public Output {
 public:
  StandardOutput();
  void out(std::string_view text) override;
  void err(std::string_view text) override;
  // The errno of the first write to stdout that failed; 0: all that was printed is there.
  int lost() const { return lost_; }

 private:
  int lost_ = 0;
};

// What happened, why, and what to do about it. `why` and `todo` may be empty.
struct Failure {
  Exit exit = Exit::usage;
  std::string what;
  std::string why;
  std::string todo;
};

// Prints it to stderr; returns its exit code.
Exit report(Output& output, const Failure& failure);

// The text as it may be shown: on a terminal with control characters as \xNN, else as it is.
std::string shown(const Output& output, std::string_view text);

// Rows as columns, two spaces apart, the first row as the head. Wide by characters, not bytes, as
// far as UTF-8 goes.
std::string table(const std::vector<std::vector<std::string>>& rows);

}  // namespace hearth::cli
