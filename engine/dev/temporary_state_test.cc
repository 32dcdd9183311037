// The temporary folder of a run, and what happens to those of runs that were killed.
#include "dev/temporary_state.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/unique_fd.h"
#include "tests/catch.h"
#include "tests/test_folder.h"

namespace hearth::dev {
namespace {

// $TMPDIR for one test.
struct Rig {
  hearth_test::TestFolder folder;
  std::string before = ::getenv("TMPDIR") != nullptr ? ::getenv("TMPDIR") : "";
  Rig() { ::setenv("TMPDIR", folder.path().c_str(), 1); }
  ~Rig() { before.empty() ? ::unsetenv("TMPDIR") : ::setenv("TMPDIR", before.c_str(), 1); }
};

}  // namespace

TEST_CASE("a temporary state is private and goes with its owner") {
  const Rig rig;
  std::string path;
  {
    const auto state = TemporaryState::make();
    REQUIRE(state);
    path = state->path();
    CHECK(path.starts_with(rig.folder.path() + "/hearth-dev-"));
    struct stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0700);
    std::ofstream(path + "/file") << "x";
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a temporary state that nobody holds is swept and one in use is not") {
  const Rig rig;
  rig.folder.write("hearth-dev-killed/lock", "1");
  rig.folder.write("hearth-dev-in-use/lock", "1");
  rig.folder.write("hearth-dev-file", "no folder");
  std::filesystem::create_directory(rig.folder.path() + "/hearth-dev-starting");
  const UniqueFd lock(::open((rig.folder.path() + "/hearth-dev-in-use/lock").c_str(), O_RDWR));
  REQUIRE(::flock(lock.get(), LOCK_EX | LOCK_NB) == 0);
  REQUIRE(TemporaryState::make());
  CHECK_FALSE(std::filesystem::exists(rig.folder.path() + "/hearth-dev-killed"));
  CHECK(std::filesystem::exists(rig.folder.path() + "/hearth-dev-in-use"));
  CHECK(std::filesystem::exists(rig.folder.path() + "/hearth-dev-file"));
  CHECK(std::filesystem::exists(rig.folder.path() + "/hearth-dev-starting"));
}

}  // namespace hearth::dev
