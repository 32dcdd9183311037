// Packing a folder: the same bytes each time, the right files, and clear refusals.
#include "package/archive.h"

#include <minizip/unzip.h>
#include <sys/stat.h>

#include "tests/catch.h"
#include "tests/test_folder.h"

using namespace hearth;
using Catch::Matchers::Contains;
using hearth_test::FunctionFolder;

namespace {

struct Member {
  std::string text;
  unsigned mode = 0;
};

// Reads an archive back, in its own order.
std::vector<std::pair<std::string, Member>> members(const std::string& zip,
                                                    const FunctionFolder& folder) {
  const std::string file = folder.root + "/read.zip";
  std::ofstream(file, std::ios::binary) << zip;
  unzFile in = unzOpen64(file.c_str());
  REQUIRE(in != nullptr);
  std::vector<std::pair<std::string, Member>> all;
  for (int more = unzGoToFirstFile(in); more == UNZ_OK; more = unzGoToNextFile(in)) {
    char name[512];
    unz_file_info64 info;
    REQUIRE(unzGetCurrentFileInfo64(in, &info, name, sizeof name, nullptr, 0, nullptr, 0) ==
            UNZ_OK);
    REQUIRE(unzOpenCurrentFile(in) == UNZ_OK);
    Member member{std::string(info.uncompressed_size, '\0'),
                  static_cast<unsigned>(info.external_fa >> 16)};
    CHECK(unzReadCurrentFile(in, member.text.data(), static_cast<unsigned>(member.text.size())) ==
          static_cast<int>(member.text.size()));
    CHECK(unzCloseCurrentFile(in) == UNZ_OK);
    all.emplace_back(name, member);
  }
  unzClose(in);
  return all;
}

std::vector<std::string> names(const std::string& zip, const FunctionFolder& folder) {
  std::vector<std::string> all;
  for (const auto& [name, member] : members(zip, folder)) all.push_back(name);
  return all;
}

std::string problem(const FunctionFolder& folder, const ArchiveLimits& limits = {}) {
  const auto archive = pack_folder(folder.path, limits);
  REQUIRE_FALSE(archive);
  CHECK(archive.error().code == Code::archive_invalid);
  return archive.error().detail;
}

}  // namespace

TEST_CASE("the same files make the same bytes, whenever and in whatever order they were written") {
  FunctionFolder a;
  a.write("b.py", "two");
  a.write("a.py", "one");
  a.write("lib/c.py", std::string(300'000, 'c'));
  FunctionFolder b;
  b.write("lib/c.py", std::string(300'000, 'c'));
  b.write("a.py", "one");
  b.write("b.py", "two");
  std::filesystem::last_write_time(
      b.path + "/a.py", std::filesystem::file_time_type::clock::now() - std::chrono::hours(1'000));
  REQUIRE(::chmod((b.path + "/a.py").c_str(), 0600) == 0);
  const auto first = pack_folder(a.path);
  const auto second = pack_folder(b.path + "/");
  REQUIRE((first && second));
  CHECK(first->zip == second->zip);
  CHECK(first->files == 3);
  CHECK(first->unpacked_bytes == 300'006);
  CHECK(names(first->zip, a) == std::vector<std::string>{"a.py", "b.py", "lib/c.py"});
}

TEST_CASE("contents and the executable bit survive") {
  FunctionFolder folder;
  folder.write("run", std::string("\0\1\2\xff", 4));
  folder.write("empty", "");
  REQUIRE(::chmod((folder.path + "/run").c_str(), 0700) == 0);
  const auto archive = pack_folder(folder.path);
  REQUIRE(archive);
  const auto all = members(archive->zip, folder);
  REQUIRE(all.size() == 2);
  CHECK(all[0].second.text.empty());
  CHECK(all[0].second.mode == (S_IFREG | 0644u));
  CHECK(all[1].second.text == std::string("\0\1\2\xff", 4));
  CHECK(all[1].second.mode == (S_IFREG | 0755u));
}

TEST_CASE("what no function needs is left out") {
  FunctionFolder folder;
  for (const char* name :
       {"app.py", "node_modules/a/index.js", "sub/.gitignore", ".git/HEAD",
        "__pycache__/app.cpython-311.pyc", "lib/x.pyc", "node_modules/.cache/big", "sub/.DS_Store",
        "sub/node_modules/.cache/x", ".cache/kept"}) {
    folder.write(name);
  }
  const auto archive = pack_folder(folder.path);
  REQUIRE(archive);
  CHECK(names(archive->zip, folder) == std::vector<std::string>{".cache/kept", "app.py",
                                                                "node_modules/a/index.js",
                                                                "sub/.gitignore"});
}

TEST_CASE("links are followed inside of the folder only") {
  FunctionFolder folder;
  folder.write("real/a.txt", "text");
  std::filesystem::create_symlink("real/a.txt", folder.path + "/link.txt");
  std::filesystem::create_symlink("real", folder.path + "/also");
  const auto archive = pack_folder(folder.path);
  REQUIRE(archive);
  CHECK(names(archive->zip, folder) ==
        std::vector<std::string>{"also/a.txt", "link.txt", "real/a.txt"});

  const auto refuses = [&](const char* target, const char* says) {
    std::filesystem::create_symlink(target, folder.path + "/bad");
    CHECK_THAT(problem(folder), Contains("/bad") && Contains(says));
    std::filesystem::remove(folder.path + "/bad");
  };
  refuses("/etc/passwd", "out of the folder");
  refuses("..", "out of the folder");
  refuses("../hello-other", "nowhere");
  refuses(".", "folder around it");
  std::filesystem::create_directory(folder.root + "/hello-other");
  refuses("../hello-other", "out of the folder");
}

TEST_CASE("limits and odd files are named") {
  FunctionFolder folder;
  CHECK_THAT(problem(folder), Contains("no file"));
  folder.write("a");
  folder.write("b");
  CHECK_THAT(problem(folder, {.files_max = 1}),
             Contains("more than 1 files") && Contains("limits.code_files"));
  CHECK_THAT(problem(folder, {.unpacked_max = 1}), Contains("limits.code_unpacked"));
  CHECK_THAT(problem(folder, {.archive_max = 10}),
             Contains("limits.code_upload") && Contains("largest file"));
  folder.write("d/d/d/d");
  CHECK_THAT(problem(folder, {.depth_max = 2}), Contains("2 folders inside each other"));
  REQUIRE(::mkfifo((folder.path + "/pipe").c_str(), 0600) == 0);
  CHECK_THAT(problem(folder), Contains("/pipe") && Contains("neither"));
  CHECK(pack_folder(folder.root + "/gone").error().code == Code::io_failed);
}
