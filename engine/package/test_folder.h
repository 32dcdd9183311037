// A function's folder "hello" in a temporary one, for tests.
#pragma once
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "tests/catch.h"

namespace hearth {

struct TestFolder {
  TestFolder() {
    char pattern[] = "/tmp/hearth-package-XXXXXX";
    REQUIRE(::mkdtemp(pattern) != nullptr);
    root = pattern;
    path = root + "/hello";
    std::filesystem::create_directory(path);
  }
  ~TestFolder() { std::filesystem::remove_all(root); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  void write(const std::string& name, std::string_view text = "x") const {
    std::filesystem::create_directories(std::filesystem::path(path + "/" + name).parent_path());
    std::ofstream(path + "/" + name) << text;
  }
  std::string root, path;
};

}  // namespace hearth
