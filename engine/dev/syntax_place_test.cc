// Where a module's syntax error is; needs /usr/bin/node, as the runtime tests do.
#include "dev/syntax_place.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tests/catch.h"
#include "tests/test_folder.h"

namespace hearth::dev {

using hearth_test::TestFolder;

TEST_CASE("a syntax error without a place is told from one with it") {
  CHECK(lacks_place("Runtime.UserCodeSyntaxError: SyntaxError: Unexpected token"));
  CHECK_FALSE(lacks_place("Runtime.UserCodeSyntaxError: SyntaxError: no (/var/task/a.cjs:2)"));
  CHECK_FALSE(lacks_place("Error: no"));
}

TEST_CASE("the syntax error of the file that was saved last has file and line") {
  if (::access("/usr/bin/node", X_OK) != 0) return;
  const TestFolder folder;
  folder.write("index.mjs", "import './part.mjs';\n");
  std::filesystem::last_write_time(
      folder.path() + "/index.mjs",
      std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  folder.write("part.mjs", "const a = 1;\nconst b = ;\n");
  CHECK(find_syntax_error("/usr/bin/node", folder.path())
            .starts_with(folder.path() + "/part.mjs:2\nconst b = ;"));
  folder.write("part.mjs", "const a = 1;\n");
  CHECK(find_syntax_error("/usr/bin/node", folder.path()).empty());
}

TEST_CASE("what parses has no privileges no network no environment and nothing to write") {
  const TestFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  const std::string program = folder.path() + "/node";
  folder.write("index.mjs", "the source\n");
  folder.write("node",
               "#!/bin/sh\n"
               "exec 1>&2\n"
               "echo \"[stdin]:1 $@ $(cat)\"\n"
               "(: >/dev/shm/hearth-parser-$$) && echo can write\n"
               "grep -E '^(NoNewPrivs|CapEff|Groups)' /proc/self/status\n"
               "echo uid $(id -u) in $(pwd) with $(env | grep -vc -e ^PWD= -e ^_= -e ^SHLVL=)\n"
               "echo net $(ls /sys/class/net | wc -l) $(readlink /proc/self/ns/net)\n");
  std::filesystem::permissions(program, std::filesystem::perms(0755));
  const std::string said = find_syntax_error(program, folder.path());
  INFO(said);
  CHECK(said.starts_with(folder.path() + "/index.mjs:1 --check --input-type=module - the source"));
  CHECK(said.find("can write") == std::string::npos);
  CHECK(said.find("NoNewPrivs:\t1") != std::string::npos);
  CHECK(said.find(" in / with 0") != std::string::npos);
  const std::string own = std::filesystem::read_symlink("/proc/self/ns/net");
  if (::geteuid() == 0) {
    CHECK(said.find("uid 65534") != std::string::npos);
    CHECK(said.find("CapEff:\t0000000000000000") != std::string::npos);
    CHECK(said.find(own) == std::string::npos);
  }
}

TEST_CASE("a pipe with the name of a module is not waited for") {
  const TestFolder folder;
  REQUIRE(::mkfifo((folder.path() + "/index.mjs").c_str(), 0600) == 0);
  CHECK(find_syntax_error("/usr/bin/node", folder.path()).empty());
}

TEST_CASE("without node or without files there is no place") {
  const TestFolder folder;
  CHECK(find_syntax_error("/nonexistent/node", folder.path()).empty());
  folder.write("index.mjs", "const b = ;\n");
  CHECK(find_syntax_error("/nonexistent/node", folder.path()).empty());
  CHECK(find_syntax_error("", folder.path()).empty());
}

}  // namespace hearth::dev
