// A temporary folder for the tests of this module; gone at the end.
#pragma once
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "tests/catch.h"

namespace hearth::dev {

class TestFolder {
 public:
  TestFolder() {
    std::string text = (std::filesystem::temp_directory_path() / "hearth-test-XXXXXX").string();
    REQUIRE(::mkdtemp(text.data()) != nullptr);
    path_ = text;
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::string& path() const { return path_; }
  // Makes the folders above it too.
  void write(const std::string& name, std::string_view text) const {
    const std::filesystem::path path = path_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }

 private:
  std::string path_;
};

}  // namespace hearth::dev
