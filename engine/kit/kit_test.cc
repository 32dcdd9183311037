// The embedded templates and events against the files of this folder.
#include "kit/kit.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "tests/catch.h"

using namespace hearth::kit;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const fs::path kSource = HEARTH_SOURCE_FOLDER;
const fs::path kFolder = kSource / "engine/kit";

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

std::string_view file_of(const Template& t, std::string_view path) {
  for (const TemplateFile& file : t.files)
    if (file.path == path) return file.bytes;
  return {};
}

bool is_header_of_the_library(std::string_view path) { return path.starts_with("hearth_worker"); }

}  // namespace

TEST_CASE("every template is a folder here, file by file and byte by byte") {
  std::set<std::string> known;
  for (const Template& t : templates()) {
    known.insert(std::string(t.name));
    // What a test run or a build left behind is no part of the template.
    std::set<std::string> files = names_in(kFolder / "templates" / t.name);
    for (const char* left : {"__pycache__", "app", "test_reply"}) files.erase(left);
    for (const TemplateFile& file : t.files) {
      INFO(t.name << "/" << file.path);
      const fs::path path = is_header_of_the_library(file.path)
                                ? kSource / "runtimes/custom" / file.path
                                : kFolder / "templates" / t.name / file.path;
      CHECK(file.bytes == read_file(path));
      CHECK(!file.bytes.empty());
      const bool executable =
          (fs::status(path).permissions() & fs::perms::owner_exec) != fs::perms::none;
      CHECK(file.executable == executable);
      if (!is_header_of_the_library(file.path)) CHECK(files.erase(std::string(file.path)) == 1);
    }
    INFO(t.name);
    CHECK(files.empty());  // those that files.list forgets
    CHECK(find_template(t.name) == &t);
  }
  CHECK(known == names_in(kFolder / "templates"));
  CHECK(find_template("http") == nullptr);
}

TEST_CASE("every template has what a function's folder is to have") {
  for (const Template& t : templates()) {
    INFO(t.name);
    const std::string_view manifest = file_of(t, "function.yaml");
    CHECK(manifest.find("name: " + std::string(t.name) + "\n") != std::string_view::npos);
    CHECK(manifest.find("runtime: " + std::string(t.runtime) + "\n") != std::string_view::npos);
    const std::string_view readme = file_of(t, "README.md");
    CHECK(std::count(readme.begin(), readme.end(), '\n') == 10);
    CHECK(readme.find(t.test) != std::string_view::npos);
    CHECK(std::any_of(t.files.begin(), t.files.end(), [](const TemplateFile& file) {
      return file.path.find("test") != std::string_view::npos;
    }));
    CHECK(file_of(t, "event.json") ==
          find_sample_event(t.http ? "api-gateway-v2" : "cloudevent")->json);
    CHECK(t.built == !file_of(t, "Makefile").empty());
    for (const TemplateFile& file : t.files) CHECK(file.path.find("..") == std::string_view::npos);
  }
  CHECK(file_of(*find_template("http-c"), "json_find.h") ==
        file_of(*find_template("event-c"), "json_find.h"));
}

TEST_CASE("every event is a file here, is json, and has fields that exist") {
  std::set<std::string> known;
  for (const SampleEvent& event : sample_events()) {
    INFO(event.name);
    known.insert(std::string(event.name) + ".json");
    CHECK(event.json == read_file(kFolder / "events" / (std::string(event.name) + ".json")));
    CHECK(json::parse(event.json, nullptr, false).is_object());
    CHECK(event.json.ends_with("}\n"));
    CHECK(find_sample_event(event.name) == &event);
    for (const std::string_view name : event.fields) {
      const auto fields = event_fields();
      CHECK(std::any_of(fields.begin(), fields.end(),
                        [&](const EventField& field) { return field.name == name; }));
    }
  }
  CHECK(known == names_in(kFolder / "events"));
  CHECK(find_sample_event("kafk") == nullptr);
}
