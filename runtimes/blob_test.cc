// The embedded shims against the files that they were made of.
#include "runtimes/blob.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/catch.h"

namespace {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool has(std::string_view path) {
  const auto files = hearth::runtimes::embedded_files();
  return std::any_of(files.begin(), files.end(),
                     [&](const auto& file) { return file.path == path; });
}

}  // namespace

TEST_CASE("embedded shims are the files of this folder") {
  REQUIRE(!hearth::runtimes::embedded_files().empty());
  for (const hearth::runtimes::EmbeddedFile& file : hearth::runtimes::embedded_files()) {
    INFO(file.path);
    CHECK(!file.bytes.empty());
    CHECK(file.bytes == read_file(HEARTH_RUNTIMES_FOLDER "/" + std::string(file.path)));
  }
}

TEST_CASE("embedded shims hold the entry of each runtime and no tests") {
  CHECK(has("python/bootstrap.py"));
  CHECK(has("node/bootstrap.cjs"));
  CHECK(!has("python/test_worker.py"));
}
