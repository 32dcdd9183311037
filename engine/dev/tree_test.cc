// Which folders of a tree are functions.
#include "dev/tree.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/catch.h"
#include "tests/test_folder.h"

namespace hearth::dev {

using hearth_test::TestFolder;

TEST_CASE("a folder with a start file is one function and is not looked into") {
  const TestFolder folder;
  folder.write("app.py", "");
  folder.write("lib/app.py", "");
  const auto found = find_function_folders(folder.path());
  REQUIRE(found);
  CHECK(*found == std::vector<std::string>{folder.path()});
}

TEST_CASE("a tree holds the functions of its folders but not those of packages") {
  const TestFolder folder;
  folder.write("b/index.mjs", "");
  folder.write("group/a/function.yaml", "");
  folder.write("c/package.json", R"({"main": "src/run.js"})");
  folder.write("package.json", R"({"name": "all"})");
  folder.write("node_modules/x/index.js", "");
  folder.write(".git/app.py", "");
  folder.write("b/node_modules/y/index.js", "");
  folder.write("docs/readme.md", "");
  const auto found = find_function_folders(folder.path());
  REQUIRE(found);
  CHECK(*found == std::vector<std::string>{folder.path() + "/b", folder.path() + "/c",
                                           folder.path() + "/group/a"});
}

TEST_CASE("a tree that is too deep or not there yields nothing or an error") {
  const TestFolder folder;
  folder.write("1/2/3/4/5/6/7/app.py", "");
  const auto found = find_function_folders(folder.path());
  REQUIRE(found);
  CHECK(found->empty());
  CHECK_FALSE(find_function_folders(folder.path() + "/none"));
}

TEST_CASE("a tree with too many functions is refused") {
  const TestFolder folder;
  for (size_t i = 0; i <= kTreeFunctionsMax; ++i)
    folder.write("f" + std::to_string(i) + "/app.py", "");
  const auto found = find_function_folders(folder.path());
  REQUIRE_FALSE(found);
  CHECK(found.error().code == Code::invalid_parameter);
}

TEST_CASE("files of editors are told from the developer's") {
  for (const char* name : {".app.py.swp", "app.py~", "#app.py#", ".#app.py", "4913", "app.pyc"})
    CHECK(is_ignored_file(name));
  for (const char* name : {"app.py", ".env", "index.mjs", "function.yaml", "data.tmp"})
    CHECK_FALSE(is_ignored_file(name));
}

}  // namespace hearth::dev
