// The temporary folder of a run, and what happens to those of runs that were killed.
#include "store/temporary_state.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/unique_fd.h"
#include "tests/catch.h"
#include "tests/test_folder.h"

using namespace hearth;

namespace {

// $TMPDIR for one test.
struct Rig {
  hearth_test::TestFolder folder;
  std::string before = ::getenv("TMPDIR") != nullptr ? ::getenv("TMPDIR") : "";
  Rig() { ::setenv("TMPDIR", folder.path().c_str(), 1); }
  ~Rig() { before.empty() ? ::unsetenv("TMPDIR") : ::setenv("TMPDIR", before.c_str(), 1); }
  bool has(const std::string& name) const {
    return std::filesystem::exists(folder.path() + "/" + name);
  }
};

}  // namespace

TEST_CASE("a temporary state is private and goes with its owner") {
  const Rig rig;
  std::string path;
  {
    const auto state = TemporaryState::make();
    REQUIRE(state);
    path = state->path();
    CHECK(path.starts_with(rig.folder.path() + "/hearth-state-"));
    struct stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0700);
    std::ofstream(path + "/file") << "x";
    REQUIRE(TemporaryState::make());
    CHECK(std::filesystem::exists(path + "/file"));
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("where functions write to /tmp a temporary state lies elsewhere") {
  const Rig rig;
  std::filesystem::create_symlink("/tmp", rig.folder.path() + "/link");
  CHECK(TemporaryState::in_tmp("/tmp"));
  CHECK(TemporaryState::in_tmp("/tmp/not/there"));
  CHECK(TemporaryState::in_tmp(rig.folder.path() + "/link/x"));
  CHECK_FALSE(TemporaryState::in_tmp("/tmpx"));
  CHECK_FALSE(TemporaryState::in_tmp("/var/tmp/x"));
  CHECK_FALSE(TemporaryState::in_tmp("/"));
  ::setenv("TMPDIR", "/tmp", 1);
  const auto state = TemporaryState::make(TemporaryState::Place::not_in_tmp);
  REQUIRE(state);
  CHECK(state->path().starts_with("/var/tmp/hearth-state-"));
  const hearth_test::TestFolder outside("/var/tmp");
  ::setenv("TMPDIR", outside.path().c_str(), 1);
  const auto chosen = TemporaryState::make(TemporaryState::Place::not_in_tmp);
  REQUIRE(chosen);
  CHECK(chosen->path().starts_with(outside.path()));
}

TEST_CASE("a temporary state that nobody holds is swept and one in use is not") {
  const Rig rig;
  for (const char* name : {"hearth-state-killed", "hearth-state-in_use"}) {
    rig.folder.write(std::string(name) + "/temporary", "");
    rig.folder.write(std::string(name) + "/lock", "1");
  }
  rig.folder.write("hearth-state-start1/temporary", "");
  const UniqueFd lock(::open((rig.folder.path() + "/hearth-state-in_use/lock").c_str(), O_RDWR));
  REQUIRE(::flock(lock.get(), LOCK_EX | LOCK_NB) == 0);
  REQUIRE(TemporaryState::make());
  CHECK_FALSE(rig.has("hearth-state-killed"));
  CHECK(rig.has("hearth-state-in_use"));
  CHECK(rig.has("hearth-state-start1"));
}

TEST_CASE("what was not made here is not swept, whatever its name") {
  const Rig rig;
  rig.folder.write("hearth-state-afile1", "no folder");
  rig.folder.write("hearth-state-daemon/lock", "1");
  rig.folder.write("hearth-state-of-a-user/lock", "1");
  rig.folder.write("hearth-state-of-a-user/temporary", "");
  REQUIRE(TemporaryState::make());
  CHECK(rig.has("hearth-state-afile1"));
  CHECK(rig.has("hearth-state-daemon/lock"));
  CHECK(rig.has("hearth-state-of-a-user/lock"));
}

TEST_CASE("a start sweeps no more than its number") {
  const Rig rig;
  for (size_t i = 0; i < TemporaryState::kSweptMax + 2; ++i) {
    const std::string name = "hearth-state-" + std::to_string(100'000 + i);
    rig.folder.write(name + "/temporary", "");
    rig.folder.write(name + "/lock", "1");
  }
  const auto left = [&] {
    return std::distance(std::filesystem::directory_iterator(rig.folder.path()), {});
  };
  REQUIRE(TemporaryState::make());
  CHECK(left() == 2);
  REQUIRE(TemporaryState::make());
  CHECK(left() == 0);
}

TEST_CASE("a place where nothing can be made is named") {
  const Rig rig;
  ::setenv("TMPDIR", "/nonexistent/place", 1);
  const auto state = TemporaryState::make();
  REQUIRE_FALSE(state);
  CHECK(state.error().code == Code::state_unusable);
  CHECK(state.error().detail.find("/nonexistent/place") != std::string::npos);
}
