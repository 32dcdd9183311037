// Where a module's syntax error is; needs /usr/bin/node, as the runtime tests do.
#include "dev/syntax_place.h"

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

TEST_CASE("without node or without files there is no place") {
  const TestFolder folder;
  CHECK(find_syntax_error("/nonexistent/node", folder.path()).empty());
  folder.write("index.mjs", "const b = ;\n");
  CHECK(find_syntax_error("/nonexistent/node", folder.path()).empty());
  CHECK(find_syntax_error("", folder.path()).empty());
}

}  // namespace hearth::dev
