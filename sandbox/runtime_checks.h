// Runs the scripts of testcases/ in a sandbox: what functions rely on, one check a line.
#pragma once
#include <map>
#include <string>

#include "sandbox/spawner_protocol.h"

namespace hearth::sandbox {

// A line of an embedded policy: the policy's name, and the line's text.
struct PolicyLine {
  std::string policy;
  std::string text;
};

bool mode_works_here(Mode mode);

// The interpreter's path as the engine would find it; empty = there is none.
std::string interpreter(const std::string& name);

// The result of each check of a runtime ("python3" or "nodejs") by its name: "0", or the exception.
// "end" is there when the script came to its end, "start" = why it did not begin. `without`: the
// line that the spawner's policies are to lack.
std::map<std::string, std::string> run_checks(Mode mode, const std::string& runtime,
                                              const PolicyLine& without = {});

}  // namespace hearth::sandbox
