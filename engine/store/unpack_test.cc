// The unpacker: what comes out of a good archive, and that each kind of hostile one is refused with
// a text that names the reason.
#include "store/unpack.h"

#include <sys/stat.h>

#include "store/test_rig.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::test;

namespace {

struct Outcome {
  Code code{};
  std::string detail;
  Unpacked unpacked;
};

Outcome unpack(const UniqueFd& archive, const TempFolder& folder, const UnpackLimits& limits = {}) {
  const UniqueFd into = folder.open();
  auto result = unpack_zip(archive.get(), into.get(), limits);
  if (!result) return {result.error().code, result.error().detail, {}};
  return {Code{}, {}, *result};
}

void refuses(const UniqueFd& archive, const std::string& why, const UnpackLimits& limits = {}) {
  const TempFolder folder;
  const Outcome outcome = unpack(archive, folder, limits);
  CAPTURE(why, outcome.detail);
  CHECK(outcome.code == Code::archive_invalid);
  CHECK(outcome.detail.find(why) != std::string::npos);
}

void refuses_name(const std::string& name, const std::string& why) {
  refuses(ZipMaker().add(name, "x").file(), why);
}

uint32_t mode_of(const std::string& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("a good archive comes out with its files and fixed modes") {
  const TempFolder folder;
  ZipEntry packed;
  packed.name = "lib/deep/data.txt";
  packed.data = std::string(100'000, 'a') + "end";
  packed.deflated = true;
  const UniqueFd zip = ZipMaker()
                           .add("app.py", "print(1)\n", 0100600)
                           .add("bin/", "", 040700)
                           .add("bin/tool", "#!/bin/sh\n", 0101777)
                           .add(packed)
                           .add("grüße.txt", "")
                           .file();
  const Outcome outcome = unpack(zip, folder);
  REQUIRE(outcome.detail == "");
  CHECK(outcome.unpacked.files == 7);
  CHECK(outcome.unpacked.bytes == 9 + 10 + 100'003);
  CHECK(read_file(folder.path() + "/lib/deep/data.txt") == packed.data);
  CHECK(mode_of(folder.path() + "/app.py") == 0644);
  CHECK(mode_of(folder.path() + "/bin/tool") == 0755);
  CHECK(mode_of(folder.path() + "/bin") == 0755);
  CHECK(mode_of(folder.path() + "/lib/deep") == 0755);
}

TEST_CASE("names that could lead out of the folder are refused") {
  refuses_name("/etc/passwd", "absolute");
  refuses_name("../x", "'..'");
  refuses_name("a/../../x", "'..'");
  refuses_name("a/..", "'..'");
  refuses_name("./x", "'.'");
  refuses_name("a//b", "empty component");
  refuses_name("//", "absolute");
  refuses_name("a\\b", "backslash");
  refuses_name(std::string("a\0b", 3), "control character");
  refuses_name("a\nb", "control character");
  refuses_name("caf\xE9", "not UTF-8");
  refuses_name("", "empty");
}

TEST_CASE("names beyond the limits are refused") {
  refuses_name(std::string(256, 'a'), "longer than 255 bytes");
  refuses_name(std::string(1'025, 'a'), "longer than 1024 bytes");
  std::string deep = "f";
  for (int i = 0; i < 64; ++i) deep = "d/" + deep;
  refuses_name(deep, "more than 64 components");
}

TEST_CASE("names that collide are refused") {
  refuses(ZipMaker().add("a", "1").add("a", "2").file(), "there twice");
  refuses(ZipMaker().add("App.py", "1").add("app.py", "2").file(), "case only");
  refuses(ZipMaker().add("Lib/a", "1").add("lib/b", "2").file(), "case only");
  refuses(ZipMaker().add("a", "1").add("a/b", "2").file(), "as a file and as a folder");
  refuses(ZipMaker().add("a/b", "1").add("a", "2").file(), "as a file and as a folder");
  refuses(ZipMaker().add("d/", "", 040755).add("d/", "", 040755).file(), "there twice");
}

TEST_CASE("entries that are not plain files or folders are refused") {
  refuses(ZipMaker().add("link", "/etc/passwd", 0120777).file(), "symbolic link");
  refuses(ZipMaker().add("dev", "", 0020666).file(), "device");
  refuses(ZipMaker().add("fifo", "", 0010666).file(), "device");
  refuses(ZipMaker().add("su", "x", 0104755).file(), "setuid");
  refuses(ZipMaker().add("sg", "x", 0102755).file(), "setgid");
  refuses(ZipMaker().add("su", "x", 04755).file(), "setuid");
  refuses(ZipMaker().add("dir", "", 0040755).file(), "folder with the name of a file");
  refuses(ZipMaker().add("file/", "x", 0100644).file(), "file with the name of a folder");
  ZipEntry secret;
  secret.name = "a";
  secret.flags = 1;
  refuses(ZipMaker().add(secret).file(), "encrypted");
  ZipEntry method;
  method.name = "a";
  method.method = 14;
  refuses(ZipMaker().add(method).file(), "method 14");
}

TEST_CASE("damaged archives are refused") {
  refuses(ZipMaker::file_of("this is no archive"), "not a zip archive");
  refuses(ZipMaker::file_of(""), "not a zip archive");
  refuses(ZipMaker().file(), "empty");
  ZipEntry crc;
  crc.name = "a";
  crc.data = "data";
  crc.crc_error = 1;
  refuses(ZipMaker().add(crc).file(), "checksum");
  ZipEntry longer;
  longer.name = "a";
  longer.data = std::string(1'000, 'x');
  longer.deflated = true;
  longer.announced = 2'000;
  refuses(ZipMaker().add(longer).file(), "entry 'a'");
  longer.announced = 10;
  refuses(ZipMaker().add(longer).file(), "entry 'a'");
  ZipEntry other;
  other.name = "a";
  other.local_name = "bb";
  refuses(ZipMaker().add(other).file(), "own header");
  const std::string whole = ZipMaker().add("a", "some data").bytes();
  for (size_t cut = 0; cut < whole.size(); ++cut) {
    const TempFolder folder;
    CHECK(unpack(ZipMaker::file_of(whole.substr(0, cut)), folder).code == Code::archive_invalid);
  }
}

TEST_CASE("bombs stop at the limits") {
  UnpackLimits limits;
  limits.bytes_max = 100'000;
  ZipEntry bomb;
  bomb.name = "bomb";
  bomb.data = std::string(200'000, '\0');
  bomb.deflated = true;
  refuses(ZipMaker().add(bomb).file(), "limits.code_unpacked", limits);
  // Lies about its size: stopped while it is read.
  bomb.announced = 10;
  refuses(ZipMaker().add(bomb).file(), "entry 'bomb'", limits);
  limits.bytes_max = 1 << 30;
  limits.ratio_from = 50'000;
  bomb.announced = -1;
  refuses(ZipMaker().add(bomb).file(), "250 times", limits);
  limits.files_max = 3;
  refuses(ZipMaker().add("a", "").add("b", "").add("c", "").add("d", "").file(),
          "limits.code_files", limits);
  refuses(ZipMaker().add("a/b/c/d", "").file(), "limits.code_files", limits);
}
