// Finds the interpreters: `runtimes.NAME.path`, else /usr/bin, then /usr/local/bin; and those of
// other versions for functions that name theirs. Never PATH: what version managers put there are
// scripts in a home folder, which a sandbox can't see. Runs child processes, so only at start and
// in `hearth doctor`. Blocks.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "config/config.h"
#include "core/function_spec.h"
#include "core/runtime_catalogue.h"

namespace hearth {

struct RuntimeInfo {
  Runtime runtime = Runtime::python3;
  uint8_t number = 0;     // Interpreter::number: 0 is the one for functions that name no version
  std::string name;       // "python3"
  std::string path;       // where it was found or looked for; empty if nowhere
  std::string real_path;  // without symbolic links: what a sandbox mounts and runs
  std::string version;    // "3.11.2"
  std::string problem;    // why it can't be used, and what to do; empty = usable

  bool usable() const { return problem.empty(); }
};

struct RuntimeSearch {
  std::vector<std::string> folders = {"/usr/bin", "/usr/local/bin"};
  milliseconds version_timeout{5'000};
  // False: the interpreters are not run, their version stays empty, and what is wrong with them
  // shows when the first worker starts.
  bool ask_version = true;
};

// Looks for one interpreter. `configured` is runtimes.NAME.path or empty. `native` has none and is
// always usable.
RuntimeInfo find_runtime(Runtime runtime, const std::string& configured,
                         const RuntimeSearch& search = {});

// python3, nodejs and native, in this order; then the others: runtimes.NAME.others, also those that
// can't be used, and what else the folders hold that can (python3.N, a second node), newest first;
// kInterpretersMax of a runtime at most.
std::vector<RuntimeInfo> find_runtimes(const RuntimesConfig& config,
                                       const RuntimeSearch& search = {});

// What of them can run functions, for RuntimeCatalogue.
std::vector<Interpreter> interpreters(const std::vector<RuntimeInfo>& found);

// "3.11.2" of a program that is asked for it; empty when it can't tell within 5 s.
std::string version_of(const std::string& program);

// What `PROGRAM --version` prints, at most 256 bytes of its first line. Runs with an empty
// environment, in /, without our descriptors, and is killed after `timeout`. Errors: io_failed,
// which names the program and the reason.
Result<std::string> run_version(const std::string& program, milliseconds timeout);

}  // namespace hearth
