// A function's folder as it is to run while it is developed: its package, with what .env, a
// debugger and the developer's loop change of the specification. Any thread; blocks on the disk.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"
#include "package/package.h"

namespace hearth::dev {

struct DraftSource {
  std::string folder;
  std::string env_file;     // over the folder's own .env, and must exist; empty: none
  bool keep_one = false;    // at least one worker is kept warm, so that saves are loaded at once
  uint16_t debug_port = 0;  // of the worker's debugger, in its own network; 0: none
  Limits limits;
};

struct Draft {
  Package package;
  std::string key;  // the same for the same code and configuration
};

// Errors: those of make_package() and load_dotenv(), and invalid_parameter for a variable that is
// not allowed.
Result<Draft> make_draft(const DraftSource& source);

// The package again, for another deploy.
Result<Package> duplicate(const Package& package);

// The name under which a revision of `function` is tried before it goes live.
std::string trial_name(const std::string& function);

}  // namespace hearth::dev
