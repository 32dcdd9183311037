// Temporary folders for tests of every module; gone at the end of the test.
#pragma once
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "tests/catch.h"

namespace hearth_test {

class TestFolder {
 public:
  TestFolder() : TestFolder(std::filesystem::temp_directory_path()) {}
  explicit TestFolder(const std::filesystem::path& in) {
    std::string text = (in / "hearth-test-XXXXXX").string();
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
    const std::filesystem::path file = path_ + "/" + name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

 private:
  std::string path_;
};

// A function's folder, named "hello", in a temporary one, which has room for its neighbours.
struct FunctionFolder {
  FunctionFolder() { std::filesystem::create_directory(path); }
  void write(const std::string& name, std::string_view text = "x") const {
    outer.write("hello/" + name, text);
  }
  const TestFolder outer;
  const std::string root = outer.path();
  const std::string path = root + "/hello";
};

}  // namespace hearth_test
