// Interpreter discovery against folders made for the test, and against programs that misbehave.
#include "config/runtimes.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/catch.h"

using namespace hearth;
using Catch::Matchers::Contains;

namespace {

struct Folder {
  Folder() {
    char pattern[] = "/var/tmp/hearth-runtimes-XXXXXX";
    REQUIRE(::mkdtemp(pattern) != nullptr);
    path = pattern;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string script(const std::string& name, std::string_view text) const {
    const std::string file = path + "/" + name;
    std::ofstream(file) << text;
    ::chmod(file.c_str(), 0755);
    return file;
  }
  std::string path;
};

}  // namespace

TEST_CASE("an interpreter that is nowhere is named with the key that sets it") {
  Folder folder;
  const RuntimeInfo info = find_runtime(Runtime::nodejs, "", {.folders = {folder.path}});
  CHECK_FALSE(info.usable());
  CHECK_THAT(info.problem,
             Contains("node") && Contains(folder.path) && Contains("runtimes.nodejs.path"));
}

TEST_CASE("a link is followed to the real path") {
  Folder folder;
  std::filesystem::copy_file("/bin/true", folder.path + "/python3.99");
  std::filesystem::create_symlink("python3.99", folder.path + "/python3");
  const RuntimeInfo info =
      find_runtime(Runtime::python3, "", {.folders = {"/nonexistent", folder.path}});
  CHECK(info.path == folder.path + "/python3");
  CHECK(info.real_path == folder.path + "/python3.99");
}

TEST_CASE("scripts, files without the executable bit and broken links are refused") {
  Folder folder;
  const std::string shim = folder.script("shim", "#!/bin/sh\nexec python3 \"$@\"\n");
  CHECK_THAT(find_runtime(Runtime::python3, shim).problem, Contains(shim) && Contains("script"));
  std::ofstream(folder.path + "/plain") << "x";
  CHECK_THAT(find_runtime(Runtime::python3, folder.path + "/plain").problem,
             Contains("not executable"));
  CHECK_THAT(find_runtime(Runtime::python3, folder.path).problem, Contains("not a regular file"));
  CHECK_THAT(find_runtime(Runtime::python3, folder.path + "/gone").problem, Contains("gone"));
}

TEST_CASE("an interpreter that a sandbox can't see is refused") {
  char path[] = "/tmp/hearth-runtimes-XXXXXX";
  REQUIRE(::mkdtemp(path) != nullptr);
  std::filesystem::copy_file("/bin/true", std::string(path) + "/python3");
  CHECK_THAT(find_runtime(Runtime::python3, std::string(path) + "/python3").problem,
             Contains("/tmp") && Contains("runtimes.python3.path"));
  std::filesystem::remove_all(path);
}

TEST_CASE("a program that is too old, silent, failing or hanging has a problem") {
  Folder folder;
  const auto run = [&](std::string_view body) {
    return run_version(folder.script("program", std::string("#!/bin/sh\n") + std::string(body)),
                       milliseconds(300));
  };
  CHECK(*run("echo Python 3.1.2; echo more") == "Python 3.1.2");
  CHECK_THAT(run("exit 3").error().detail, Contains("ended with 3"));
  CHECK_THAT(run("true").error().detail, Contains("nothing"));
  CHECK_THAT(run("sleep 60").error().detail, Contains("300 ms"));
  CHECK_THAT(run("sleep 60 & sleep 60").error().detail, Contains("300 ms"));
  CHECK(run("while :; do echo xxxxxxxxxxxxxxxx; done").error().code == Code::io_failed);
  CHECK(run_version("/nonexistent/program", milliseconds(300)).error().code == Code::io_failed);
}

TEST_CASE("an interpreter need not be run to be found") {
  const RuntimeInfo info = find_runtime(Runtime::python3, "/usr/bin/false", {.ask_version = false});
  CHECK(info.usable());
  CHECK(info.version.empty());
}

TEST_CASE("the environment of the program is empty") {
  Folder folder;
  ::setenv("HEARTH_TEST_SECRET", "x", 1);
  const std::string program =
      folder.script("program", "#!/bin/sh\necho \"v1.0${HEARTH_TEST_SECRET}\"\n");
  CHECK(*run_version(program, seconds(5)) == "v1.0");
}

TEST_CASE("interpreters of other versions are found beside the first, newest Python first") {
  Folder folder;
  const auto copy = [&](const std::string& name) {
    std::filesystem::copy_file("/bin/true", folder.path + "/" + name);
  };
  for (const char* name : {"python3.9", "python3.13", "python3.11", "python3.11-config", "node"})
    copy(name);
  std::filesystem::create_symlink("python3.11", folder.path + "/python3");
  folder.script("python3.12", "#!/bin/sh\n");  // a shim: no interpreter
  RuntimesConfig config;
  config.nodejs.others = {folder.path + "/gone"};
  const auto found = find_runtimes(config, {.folders = {folder.path}, .ask_version = false});
  const auto at = [&](Runtime runtime, uint8_t number) {
    for (const RuntimeInfo& info : found)
      if (info.runtime == runtime && info.number == number) return info;
    return RuntimeInfo{.number = 99};
  };
  CHECK(at(Runtime::python3, 0).real_path == folder.path + "/python3.11");
  CHECK(at(Runtime::python3, 1).real_path == folder.path + "/python3.13");
  CHECK(at(Runtime::python3, 2).real_path == folder.path + "/python3.9");
  CHECK(at(Runtime::python3, 3).number == 99);
  CHECK(at(Runtime::nodejs, 0).usable());
  CHECK_THAT(at(Runtime::nodejs, 1).problem, Contains("gone"));  // it was named: that is told
  CHECK(interpreters(found).size() == 4);
}

TEST_CASE("without a python3 the newest python3.N is the first") {
  Folder folder;
  for (const char* name : {"python3.9", "python3.13"})
    std::filesystem::copy_file("/bin/true", folder.path + "/" + name);
  const auto found = find_runtimes({}, {.folders = {folder.path}, .ask_version = false});
  CHECK(found[0].real_path == folder.path + "/python3.13");
  CHECK(found[0].number == 0);
  REQUIRE(found.size() == 5);
  CHECK(found[4].real_path == folder.path + "/python3.9");
  CHECK(found[4].number == 1);
}

TEST_CASE("a runtime has four interpreters at most") {
  Folder folder;
  for (int i = 6; i < 16; ++i)
    std::filesystem::copy_file("/bin/true", folder.path + "/python3." + std::to_string(i));
  const auto found = find_runtimes({}, {.folders = {folder.path}, .ask_version = false});
  CHECK(interpreters(found).size() == kInterpretersMax);
}

TEST_CASE("the machine's own interpreters are found, native and custom need none") {
  const auto runtimes = find_runtimes({});
  REQUIRE(runtimes.size() >= kWorkerRuntimeCount);
  CHECK(runtimes[0].name == "python3");
  CHECK(runtimes[2].usable());
  CHECK(runtimes[3].usable());
  for (const RuntimeInfo& info : runtimes) {
    if (!info.usable() || !has_interpreter(info.runtime)) continue;
    CHECK(info.real_path.starts_with("/usr/"));
    CHECK_FALSE(info.version.empty());
  }
}
