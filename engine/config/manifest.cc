#include "config/manifest.h"

#include <fmt/core.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "config/manifest_isolation.h"
#include "config/nearest.h"
#include "config/read_file.h"
#include "config/yaml_document.h"
#include "config/yaml_fields.h"
#include "core/runtime_label.h"

namespace hearth {
namespace {

constexpr size_t kManifestBytesMax = 64 * 1024;  // an environment has at most 4 KiB

Error bad(std::string detail) { return Error{Code::manifest_invalid, std::move(detail)}; }

constexpr size_t kPackageBytesMax = 1u << 20;

// The server knows its own limits; here only what no server can take is refused.
Limits widest_limits() {
  Limits limits;
  limits.timeout_max = std::chrono::hours(24);
  limits.function_memory_max = gibibytes(1'024);
  limits.workers_max = limits.workers_function_default = 4'096;
  limits.per_worker_max = 1'024;
  limits.queue_ceiling = 1'000'000;
  return limits;
}

void read_runtime(YamlFields& top, Manifest& out) {
  const YamlEntry* entry = top.entry("runtime");
  if (entry == nullptr) return;
  const std::array<std::string_view, kWorkerRuntimeCount> names = {
      runtime_name(Runtime::python3), runtime_name(Runtime::nodejs), runtime_name(Runtime::native),
      runtime_name(Runtime::custom)};
  if (entry->value.kind != YamlNode::Kind::scalar)
    return top.report("runtime",
                      "write the name of a runtime: python3, nodejs20.x, native, custom");
  const std::string& name = entry->value.text;
  const auto label = parse_runtime_label(name);
  if (!label) {
    return top.report("runtime", fmt::format("{} (the nearest is '{}')", label.error().detail,
                                             nearest(name, names)));
  }
  out.spec.runtime = label->runtime;
  out.spec.runtime_label = name;
  out.has_runtime = true;
}

void read_memory(YamlFields& top, FunctionSpec& out) {
  uint64_t bytes = out.memory_bytes;
  top.size("memory", bytes, mebibytes(64), gibibytes(1'024), Bare::unit);
  if (bytes % mebibytes(1) != 0) top.report("memory", "it is not a whole number of MB");
  out.memory_bytes = bytes;
}

void read_environment(YamlFields& top, FunctionSpec& out, YamlErrors& errors) {
  const YamlEntry* entry = top.entry("environment");
  if (entry == nullptr || entry->value.kind == YamlNode::Kind::null) return;
  if (entry->value.kind != YamlNode::Kind::map)
    return top.report("environment", "write a map of `NAME: value` lines");
  for (const YamlEntry& variable : entry->value.entries) {
    if (variable.value.kind != YamlNode::Kind::scalar) {
      return errors.report(variable.line, fmt::format("environment.{}", variable.key),
                           "the value has to be text (\"\" for none)");
    }
    out.environment.emplace_back(variable.key, variable.value.text);
  }
  std::sort(out.environment.begin(), out.environment.end());
}

void read_concurrency(YamlFields& top, Concurrency& out) {
  constexpr uint64_t kMost = 1'000'000;
  const YamlEntry* entry = top.entry("concurrency");
  if (entry == nullptr) return;
  if (entry->value.kind == YamlNode::Kind::scalar)
    return top.whole("concurrency", out.per_worker, 1, 1'024);
  YamlFields fields = top.section("concurrency");
  fields.whole("per_worker", out.per_worker, 1, 1'024);
  fields.whole("workers_min", out.workers_min, 0, 4'096);
  fields.whole("workers_max", out.workers_max, 1, 4'096);
  fields.whole("queue", out.queue, 1, kMost);
  if (out.workers_max != 0 && out.workers_min > out.workers_max) {
    fields.report("workers_min", fmt::format("{} is more than workers_max ({})", out.workers_min,
                                             out.workers_max));
  }
  fields.finish();
}

// "src/server.mjs" -> "src/server.handler"
Detected detected(Runtime runtime, const std::string& file, std::string_view function) {
  const size_t dot = file.rfind('.');
  return Detected{runtime, fmt::format("{}.{}", file.substr(0, dot), function), file};
}

void find_python(const SourceFiles& files, std::vector<Detected>& found) {
  if (files.has("app.py")) found.push_back(detected(Runtime::python3, "app.py", "handler"));
  if (files.has("lambda_function.py")) {
    found.push_back(detected(Runtime::python3, "lambda_function.py", "lambda_handler"));
  }
}

constexpr std::array<std::string_view, 3> kNodeSuffixes = {".mjs", ".cjs", ".js"};

// The file that package.json's main means: itself, with a suffix, or an index below it, as Node
// resolves it.
std::optional<std::string> resolve_main(const SourceFiles& files, const std::string& main) {
  const auto has_suffix = [&] {
    return std::any_of(kNodeSuffixes.begin(), kNodeSuffixes.end(),
                       [&](std::string_view s) { return main.ends_with(s); });
  };
  if (has_suffix() && files.has(main)) return main;
  for (const std::string_view middle : {"", "/index"}) {
    for (const std::string_view suffix : {".js", ".cjs", ".mjs"}) {
      const std::string file = fmt::format("{}{}{}", main, middle, suffix);
      if (files.has(file)) return file;
    }
  }
  return std::nullopt;
}

Status find_node(const SourceFiles& files, std::vector<Detected>& found) {
  for (const std::string_view suffix : kNodeSuffixes) {
    const std::string file = fmt::format("index{}", suffix);
    if (files.has(file)) found.push_back(detected(Runtime::nodejs, file, "handler"));
  }
  constexpr std::string_view kPackage = "package.json";
  if (!files.has(kPackage)) return ok();
  const std::string text = HEARTH_TRY(files.read(kPackage, kPackageBytesMax));
  const std::string package = files.label(kPackage);
  const auto main = HEARTH_TRY(package_main(text, package));
  if (!main) return ok();
  const auto file = resolve_main(files, *main);
  if (!file) return bad(fmt::format("{}: main: '{}' is not there", package, *main));
  const bool known =
      std::any_of(found.begin(), found.end(), [&](const Detected& d) { return d.file == *file; });
  if (!known) found.push_back(detected(Runtime::nodejs, *file, "handler"));
  return ok();
}

// Other projects have scripts of that name too: one that can't be executed is not meant.
void find_bootstrap(const SourceFiles& files, bool meant, std::vector<Detected>& found) {
  const std::string name(kBootstrapName);
  if (files.has(name) && (meant || files.is_executable(name)))
    found.push_back({Runtime::custom, name, name});
}

constexpr std::string_view kLookedForPython = "app.py, lambda_function.py";
constexpr std::string_view kLookedForNode =
    "index.mjs, index.cjs, index.js, the main of package.json";

Error nothing_found(const SourceFiles& files, std::optional<Runtime> only) {
  std::string looked_for;
  if (!only || *only == Runtime::python3) looked_for = kLookedForPython;
  if (!only) looked_for += ", ";
  if (!only || *only == Runtime::nodejs) looked_for += kLookedForNode;
  if (!only) looked_for += ", ";
  if (!only || *only == Runtime::custom) looked_for += kBootstrapName;
  return bad(fmt::format(
      "{} holds no function: looked for {}; name the file in {}, as in `handler: app.handler`",
      files.label(), looked_for, kManifestName));
}

// A handler without a runtime: the suffix of its module's file tells.
Result<Runtime> runtime_of_handler(const SourceFiles& files, const std::string& handler) {
  const std::string module = handler.substr(0, handler.rfind('.'));
  std::string python_module = module;  // "pkg.app.handler" is pkg/app.py
  std::replace(python_module.begin(), python_module.end(), '.', '/');
  std::string python;
  for (const std::string& candidate : {module + ".py", python_module + ".py"}) {
    if (files.has(candidate)) python = candidate;
  }
  std::string node;
  for (const std::string_view suffix : kNodeSuffixes) {
    if (files.has(fmt::format("{}{}", module, suffix))) node = fmt::format("{}{}", module, suffix);
  }
  if (!python.empty() && !node.empty()) {
    return bad(fmt::format("{}: handler '{}' may mean {} or {}; say which with `runtime:` in {}",
                           files.label(), handler, python, node, kManifestName));
  }
  if (!python.empty()) return Runtime::python3;
  if (!node.empty()) return Runtime::nodejs;
  const std::string bootstrap(kBootstrapName);
  if (files.has(bootstrap) && files.is_executable(bootstrap)) return Runtime::custom;
  return bad(fmt::format("{}: handler '{}': none of {}.py, {}.mjs, {}.cjs and {}.js is there",
                         files.label(), handler, module, module, module, module));
}

// The folder's own name, also for "." and "a/b/".
Result<std::string> folder_name(const std::string& folder) {
  char resolved[PATH_MAX];
  if (::realpath(folder.c_str(), resolved) == nullptr) {
    return Error{Code::io_failed,
                 fmt::format("{} can't be read: {}", folder, std::strerror(errno))};
  }
  const std::string_view path = resolved;
  return std::string(path.substr(path.rfind('/') + 1));
}

Status check_bootstrap(const SourceFiles& files) {
  const std::string name(kBootstrapName);
  if (!files.has(name))
    return bad(fmt::format("{} is not there; a custom runtime is an executable of that name",
                           files.label(name)));
  if (!files.is_executable(name))
    return bad(fmt::format("{} is not executable; run chmod +x on it", files.label(name)));
  return ok();
}

Status check_native(const SourceFiles& files, const FunctionSpec& spec) {
  const std::string file = files.label(spec.handler);
  if (!files.has(spec.handler))
    return bad(fmt::format(
        "handler: '{}' is not there; a native function's handler is its executable", file));
  if (!files.is_executable(spec.handler))
    return bad(fmt::format("handler: '{}' is not executable; run chmod +x on it", file));
  return ok();
}

Result<Detected> detect(const SourceFiles& files, std::optional<Runtime> only) {
  std::vector<Detected> found;
  if (!only || *only == Runtime::python3) find_python(files, found);
  if (!only || *only == Runtime::nodejs) HEARTH_TRY(find_node(files, found));
  if (!only || *only == Runtime::custom) find_bootstrap(files, only.has_value(), found);
  if (found.empty()) return nothing_found(files, only);
  if (found.size() > 1) {
    return bad(fmt::format("{} has both {} and {}; say which in {}, as in `handler: {}`",
                           files.label(), found[0].file, found[1].file, kManifestName,
                           found[0].handler));
  }
  return std::move(found[0]);
}

Status fill_gaps(const SourceFiles& files, Manifest& manifest) {
  FunctionSpec& spec = manifest.spec;
  if (manifest.has_runtime && manifest.has_handler) return ok();
  if (manifest.has_handler) {
    spec.runtime = HEARTH_TRY(runtime_of_handler(files, spec.handler));
    return ok();
  }
  if (manifest.has_runtime && spec.runtime == Runtime::native) {
    return bad(fmt::format("{}: handler is missing; a native function's handler is its executable",
                           files.label(kManifestName)));
  }
  const Detected found =
      HEARTH_TRY(detect(files, manifest.has_runtime ? std::optional(spec.runtime) : std::nullopt));
  spec.runtime = found.runtime;
  spec.handler = found.handler;
  return ok();
}

Result<Manifest> chosen_manifest(const SourceFiles& files, const ManifestChoice& choice) {
  if (choice.text) return parse_manifest(*choice.text, "the manifest");
  if (!choice.path.empty()) {
    return parse_manifest(
        HEARTH_TRY(read_file(choice.path, kManifestBytesMax, Code::manifest_invalid)), choice.path);
  }
  if (!files.has(kManifestName)) return Manifest{};
  return parse_manifest(HEARTH_TRY(files.read(kManifestName, kManifestBytesMax)),
                        files.label(kManifestName));
}

}  // namespace

Result<Manifest> parse_manifest(std::string_view text, std::string_view file) {
  const YamlNode root =
      HEARTH_TRY(parse_yaml(text, file, kManifestBytesMax, Code::manifest_invalid));
  Manifest out;
  YamlErrors errors(file, Code::manifest_invalid);
  YamlFields top(root, "", errors);
  top.text("name", out.spec.name);
  out.has_name = top.entry("name") != nullptr;
  if (out.has_name && !valid_function_name(out.spec.name)) {
    top.report("name",
               fmt::format("'{}' is not allowed; write 1 to {} letters, digits, '-' and '_'",
                           out.spec.name, kFunctionNameMax));
  }
  read_runtime(top, out);
  top.text("handler", out.spec.handler);
  out.has_handler = top.entry("handler") != nullptr;
  top.duration("timeout", out.spec.timeout, milliseconds(1), std::chrono::hours(24), Bare::unit);
  read_memory(top, out.spec);
  read_environment(top, out.spec, errors);
  read_concurrency(top, out.spec.concurrency);
  read_isolation(top, out.spec);
  top.text("description", out.spec.description);
  top.finish();
  HEARTH_TRY(errors.status());
  return out;
}

Result<Detected> detect_function(const std::string& folder, std::optional<Runtime> only) {
  return detect(FolderFiles(folder), only);
}

Result<FunctionSpec> load_function(const SourceFiles& files, const ManifestChoice& choice) {
  Manifest manifest = HEARTH_TRY(chosen_manifest(files, choice));
  FunctionSpec& spec = manifest.spec;
  if (!choice.name.empty()) {
    spec.name = choice.name;
  } else if (!manifest.has_name) {
    if (choice.default_name.empty())
      return bad(fmt::format("{}: the function has no name", files.label()));
    spec.name = choice.default_name;
  }
  HEARTH_TRY(fill_gaps(files, manifest));
  if (Status sound = validate(spec, widest_limits()); !sound)
    return bad(fmt::format("{}: {}", files.label(), sound.error().detail));
  if (spec.runtime == Runtime::native) HEARTH_TRY(check_native(files, spec));
  if (spec.runtime == Runtime::custom) HEARTH_TRY(check_bootstrap(files));
  return std::move(spec);
}

Result<FunctionSpec> load_function(const std::string& folder, ManifestChoice choice) {
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0) {
    return Error{Code::io_failed,
                 fmt::format("{} can't be read: {}", folder, std::strerror(errno))};
  }
  if (!S_ISDIR(info.st_mode))
    return bad(fmt::format("{} is not a folder; a function is a folder with its code", folder));
  if (choice.default_name.empty()) choice.default_name = HEARTH_TRY(folder_name(folder));
  return load_function(FolderFiles(folder), choice);
}

}  // namespace hearth
