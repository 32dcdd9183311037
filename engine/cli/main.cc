// The program `hearth`.
#include <cstring>

#include "cli/commands.h"

int main(int argc, char** argv) {
  using namespace hearth::cli;
  StandardOutput output;
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  const int code = run(arguments, output);
  // A daemon's work is not what it prints.
  if (code != 0 || output.lost() == 0 || arguments[0] == "serve") return code;
  return static_cast<int>(report(
      output, Failure{Exit::usage, "what was to be printed could not be written",
                      std::string("standard output: ") + std::strerror(output.lost()),
                      "see that standard output is open, and that there is room on the disk"}));
}
