// What is a save, and what is not. inotify tells of an event before the system call that made it
// returns, so that nothing here waits.
#include "dev/watcher.h"

#include <unistd.h>

#include "tests/catch.h"
#include "tests/test_folder.h"

namespace hearth::dev {
namespace {

using hearth_test::TestFolder;

using Paths = std::vector<std::string>;

struct Rig {
  TestFolder folder;
  Watcher watcher;
  explicit Rig(const char* first = "app.py") : watcher(open(first)) {}
  Watcher open(const char* first) {
    folder.write(first, "1");
    auto opened = Watcher::open(folder.path());
    REQUIRE(opened);
    return *std::move(opened);
  }
  std::string path(const std::string& name) const { return folder.path() + "/" + name; }
};

}  // namespace

TEST_CASE("a write and a rename over a file are one save each") {
  Rig rig;
  rig.folder.write("app.py", "2");
  CHECK(rig.watcher.read().paths == Paths{rig.path("app.py")});
  rig.folder.write(".app.py.swp", "3");
  std::filesystem::rename(rig.path(".app.py.swp"), rig.path("app.py"));
  CHECK(rig.watcher.read().paths == Paths{rig.path("app.py")});
  CHECK(rig.watcher.read().paths.empty());
}

TEST_CASE("what editors interpreters and version control write is quiet") {
  Rig rig("node_modules/x/index.js");
  std::filesystem::create_directories(rig.path(".git/objects"));
  std::filesystem::create_directories(rig.path("__pycache__"));
  rig.folder.write(".git/HEAD", "");
  rig.folder.write("__pycache__/app.cpython-311.pyc", "");
  rig.folder.write("node_modules/x/index.js", "");
  rig.folder.write("app.py~", "");
  rig.folder.write("4913", "");
  CHECK(rig.watcher.read().paths.empty());
  CHECK(rig.watcher.folders() == 1);
}

TEST_CASE("a folder that comes is watched and one that goes is forgotten") {
  Rig rig;
  std::filesystem::create_directories(rig.path("a/b"));
  CHECK_FALSE(rig.watcher.read().paths.empty());
  rig.folder.write("a/b/c.py", "1");
  CHECK(rig.watcher.read().paths == Paths{rig.path("a/b/c.py")});
  std::filesystem::rename(rig.path("a"), rig.path("z"));
  static_cast<void>(rig.watcher.read());
  rig.folder.write("z/b/c.py", "2");
  CHECK(rig.watcher.read().paths == Paths{rig.path("z/b/c.py")});
  std::filesystem::remove_all(rig.path("z"));
  CHECK_FALSE(rig.watcher.read().paths.empty());
  static_cast<void>(rig.watcher.read());
  CHECK(rig.watcher.folders() == 1);
}

TEST_CASE("a link and a deletion are changes") {
  Rig rig;
  REQUIRE(::symlink("app.py", rig.path("other.py").c_str()) == 0);
  CHECK(rig.watcher.read().paths == Paths{rig.path("other.py")});
  std::filesystem::remove(rig.path("other.py"));
  CHECK(rig.watcher.read().paths == Paths{rig.path("other.py")});
}

TEST_CASE("one file elsewhere is watched without its neighbours") {
  Rig rig;
  const TestFolder elsewhere;
  REQUIRE(rig.watcher.add_file(elsewhere.path() + "/dev.env"));
  elsewhere.write("other", "");
  CHECK(rig.watcher.read().paths.empty());
  elsewhere.write("dev.env", "A=1");
  CHECK(rig.watcher.read().paths == Paths{elsewhere.path() + "/dev.env"});
}

TEST_CASE("a root that goes and comes back is watched again") {
  const TestFolder above;
  above.write("root/app.py", "1");
  const std::string root = above.path() + "/root";
  auto watcher = Watcher::open(root);
  REQUIRE(watcher);
  std::filesystem::rename(root, above.path() + "/away");
  CHECK(watcher->read().everything);
  CHECK(watcher->folders() == 0);
  above.write("away/app.py", "2");
  above.write("beside", "");
  CHECK(watcher->read().paths.empty());
  std::filesystem::create_directory(root);
  CHECK(watcher->read().everything);
  above.write("root/app.py", "3");
  CHECK(watcher->read().paths == Paths{root + "/app.py"});
}

TEST_CASE("a folder that is not there is watched as nothing") {
  const auto watcher = Watcher::open("/nonexistent/folder");
  REQUIRE(watcher);
  CHECK(watcher->folders() == 0);
}

}  // namespace hearth::dev
