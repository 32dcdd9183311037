// The program `hearth`.
#include "cli/commands.h"

int main(int argc, char** argv) {
  hearth::cli::StandardOutput output;
  return hearth::cli::run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc), output);
}
