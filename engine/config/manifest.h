// A function's folder -> the draft of its FunctionSpec: function.yaml if it is there, and what the
// files say where it is silent. The draft lacks code_* and revision, which the function service
// makes; the server's limits are checked by the server.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "config/source_files.h"
#include "core/function_spec.h"

namespace hearth {

inline constexpr std::string_view kManifestName = "function.yaml";

// What function.yaml says, before the folder fills the gaps.
struct Manifest {
  FunctionSpec spec;  // defaults where a key is missing
  bool has_name = false;
  bool has_runtime = false;
  bool has_handler = false;
};

// Reads the text of a function.yaml. Keys: name, runtime, handler, timeout (a bare number is
// seconds), memory (a bare number is MB), environment, concurrency (a number = per_worker, or a
// map), cpu, network, sandbox, leftovers, recycle, zygote, tmp, description. `file` stands in
// messages. Errors: manifest_invalid, which names file, line, key, value and what is allowed; an
// unknown key comes with the nearest known one.
Result<Manifest> parse_manifest(std::string_view text, std::string_view file);

// Which runtime and handler a folder's files stand for.
struct Detected {
  Runtime runtime;
  std::string handler;  // "app.handler"
  std::string file;     // "app.py"
};

// Looks for app.py and lambda_function.py (python3), index.mjs, index.cjs, index.js and the `main`
// of package.json (nodejs), and an executable bootstrap (custom). `only`: candidates of that
// runtime alone. Errors: manifest_invalid: none found (says what was looked for), or two (names
// both).
Result<Detected> detect_function(const std::string& folder,
                                 std::optional<Runtime> only = std::nullopt);

// Which manifest a function has, and its name.
struct ManifestChoice {
  std::optional<std::string> text;  // wins over `path`, which wins over function.yaml
  std::string path;
  std::string name;          // wins over the manifest's
  std::string default_name;  // without any other; empty: a name is required
};

// The whole draft of the function that `files` hold. Errors: manifest_invalid, io_failed.
Result<FunctionSpec> load_function(const SourceFiles& files, const ManifestChoice& choice);
// The same of a folder, whose own name is the default.
Result<FunctionSpec> load_function(const std::string& folder, ManifestChoice choice = {});

// The `main` of a package.json, or nothing if it names none. Errors: manifest_invalid: not JSON, or
// main is not a relative path to a file inside the folder.
Result<std::optional<std::string>> package_main(std::string_view text, std::string_view file);

}  // namespace hearth
