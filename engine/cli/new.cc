// hearth new: a function's folder made from a template.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/unique_fd.h"
#include "cli/commands.h"
#include "config/nearest.h"
#include "core/function_spec.h"
#include "kit/kit.h"

namespace hearth::cli {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

Exit list_templates(const NewOptions& options, Output& output) {
  json all = json::array();
  std::vector<std::vector<std::string>> rows = {{"TEMPLATE", "RUNTIME", "WHAT IT DOES"}};
  for (const kit::Template& t : kit::templates()) {
    json files = json::array();
    for (const kit::TemplateFile& file : t.files) files.push_back(file.path);
    all.push_back(
        {{"name", t.name}, {"runtime", t.runtime}, {"description", t.help}, {"files", files}});
    rows.push_back({std::string(t.name), std::string(t.runtime), std::string(t.help)});
  }
  output.out(options.json ? all.dump(2) + "\n" : table(rows));
  return Exit::ok;
}

// The folder's own name, also for "." and "a/b/".
std::string name_of(const std::string& folder) {
  std::error_code error;
  fs::path path = fs::absolute(folder, error).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.filename();
}

// A name that is allowed, as like `name` as possible.
std::string allowed_name(std::string name) {
  for (char& c : name) {
    if (!valid_function_name(std::string_view(&c, 1))) c = '-';
  }
  name.resize(std::min(name.size(), kFunctionNameMax));
  return name.find_first_not_of('-') == std::string::npos ? "hello" : name;
}

// For a line that is to be typed.
std::string shell_word(const std::string& text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c >= 128 || std::isalnum(c) != 0 ||
           std::string_view("/._-+,:@%").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (plain) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

std::string with_name(const kit::Template& t, const kit::TemplateFile& file,
                      const std::string& name) {
  std::string text(file.bytes);
  if (file.path != "README.md" && file.path != "function.yaml") return text;
  for (size_t at = 0; (at = text.find(t.name, at)) != std::string::npos; at += name.size())
    text.replace(at, t.name.size(), name);
  return text;
}

// Makes the folder and its files; takes back what it made when it can't go on.
class Writer {
 public:
  explicit Writer(std::string folder) : folder_(std::move(folder)) {}

  Status write(const kit::Template& t, const std::string& name) {
    Status done = make(t, name);
    if (!done) take_back();
    return done;
  }

 private:
  static Error failed(const std::string& path) {
    return Error{Code::io_failed, fmt::format("{}: {}", path, std::strerror(errno))};
  }

  Status make_folder() {
    fs::path below;
    for (const fs::path& part : fs::path(folder_)) {
      below /= part;
      if (below.native().empty() || ::mkdir(below.c_str(), 0777) == 0) {
        if (!below.native().empty()) made_.push_back(below);
      } else if (errno != EEXIST) {
        return failed(below);
      }
    }
    return ok();
  }

  Status make(const kit::Template& t, const std::string& name) {
    HEARTH_TRY(make_folder());
    for (const kit::TemplateFile& file : t.files) {
      const std::string path = fmt::format("{}/{}", folder_, file.path);
      const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                               file.executable ? 0777 : 0666));
      if (!fd.valid()) return failed(path);
      made_.push_back(path);
      const std::string text = with_name(t, file, name);
      errno = ENOSPC;  // a short write sets none
      if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return failed(path);
    }
    return ok();
  }

  void take_back() {
    std::error_code ignored;
    for (auto path = made_.rbegin(); path != made_.rend(); ++path) fs::remove(*path, ignored);
  }

  std::string folder_;
  std::vector<fs::path> made_;  // in order
};

std::vector<std::string> next_commands(const kit::Template& t, const std::string& name,
                                       const std::string& folder) {
  const std::string word = shell_word(folder);
  std::vector<std::string> commands;
  if (t.built) commands.push_back(fmt::format("make -C {}", word));
  commands.push_back(fmt::format("hearth dev {}", word));
  commands.push_back(fmt::format("hearth deploy {}", word));
  commands.push_back(t.http ? fmt::format("curl '{}/fn/{}/?name=you'", kDefaultServer, name)
                            : fmt::format("hearth invoke {} --data {}", name,
                                          shell_word("@" + folder + "/event.json")));
  return commands;
}

void print_made(const kit::Template& t, const std::string& name, const std::string& folder,
                bool as_json, Output& output) {
  const std::vector<std::string> next = next_commands(t, name, folder);
  if (as_json) {
    json files = json::array();
    for (const kit::TemplateFile& file : t.files) files.push_back(file.path);
    const json made{{"name", name},   {"template", t.name}, {"folder", folder},
                    {"files", files}, {"test", t.test},     {"next", next}};
    output.out(made.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
    return;
  }
  std::string text = fmt::format("{}  made from {} in {}\n", name, t.name, shown(output, folder));
  for (const kit::TemplateFile& file : t.files) text += fmt::format("  {}\n", file.path);
  text += "next:\n";
  for (const std::string& command : next) text += fmt::format("  {}\n", shown(output, command));
  text += fmt::format("its tests, in the folder:\n  {}\n", t.test);
  output.out(text);
}

// What is wrong with the folder, or an empty `what`.
Failure check_folder(const std::string& chosen, const std::string& folder,
                     const std::string& name) {
  Failure failure;
  struct stat info {};
  std::error_code error;
  if (!valid_function_name(name)) {
    failure.what = fmt::format("'{}' can't be a function's name", name);
    failure.why = fmt::format(
        "the function is named after its folder, and names are 1 to {} letters, digits, '-' and "
        "'_'",
        kFunctionNameMax);
    const fs::path better = fs::path(folder).lexically_normal().parent_path();
    failure.todo = fmt::format("hearth new {} {}", chosen, shell_word(better / allowed_name(name)));
  } else if (::stat(folder.c_str(), &info) != 0) {
    return failure;  // it is to be made; if it can't be, that tells why
  } else if (!S_ISDIR(info.st_mode)) {
    failure.what = fmt::format("{} is not a folder", folder);
    failure.why = "there is a file of this name";
    failure.todo = "name a folder that is not there yet";
  } else if (!fs::is_empty(folder, error)) {
    failure.what = fmt::format("{} can't be used", folder);
    failure.why = error ? error.message() : "there are files in it, and none is ever overwritten";
    failure.todo = "name a folder that is empty, or not there yet";
  }
  return failure;
}

}  // namespace

Exit run_new(const NewOptions& options, Output& output) {
  if (options.list) return list_templates(options, output);
  const kit::Template* chosen = kit::find_template(options.name);
  if (chosen == nullptr) {
    std::vector<std::string_view> names;
    for (const kit::Template& known : kit::templates()) names.push_back(known.name);
    return report(output,
                  Failure{Exit::usage, fmt::format("'{}' is not a template", options.name), "",
                          fmt::format("did you mean `{}`? `hearth new --list` shows all",
                                      nearest(options.name, names))});
  }
  std::string folder = options.folder;
  while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  const std::string name = name_of(folder);
  const Failure unusable = check_folder(options.name, folder, name);
  if (!unusable.what.empty()) return report(output, unusable);
  if (const Status written = Writer(folder).write(*chosen, name); !written) {
    return report(output,
                  Failure{Exit::usage, fmt::format("can't make {}", folder), written.error().detail,
                          "name a folder that you may write to, on a disk with room"});
  }
  print_made(*chosen, name, folder, options.json, output);
  return Exit::ok;
}

}  // namespace hearth::cli
