// Migrations: every older version of the schema is brought to the newest one, and a newer one is
// left alone.
#include "store/database.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "store/state_folder.h"
#include "store/test_rig.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::test;

namespace {

Database open(const TempFolder& folder) {
  return ServiceRig::take(Database::open(folder.path() + "/test.db"));
}

int64_t version_of(Database& database) { return ServiceRig::take(schema_version(database)); }

}  // namespace

TEST_CASE("a database of each older version is brought to the newest") {
  const auto steps = schema_steps();
  for (size_t old = 0; old <= steps.size(); ++old) {
    const TempFolder folder;
    {
      Database database = open(folder);
      REQUIRE(migrate(database, steps.first(old)));
      CHECK(version_of(database) == static_cast<int64_t>(old));
    }
    Database database = open(folder);
    REQUIRE(migrate(database));
    CHECK(version_of(database) == static_cast<int64_t>(steps.size()));
    CHECK(database.run("SELECT name, revision_id FROM functions"));
    REQUIRE(database.check());
  }
}

TEST_CASE("a step that fails leaves the version before it") {
  const TempFolder folder;
  Database database = open(folder);
  const char* const steps[] = {"CREATE TABLE a (x INTEGER) STRICT",
                               "CREATE TABLE b (x INTEGER) STRICT; nonsense"};
  CHECK_FALSE(migrate(database, steps));
  CHECK(version_of(database) == 1);
  CHECK(database.run("SELECT x FROM a"));
  CHECK_FALSE(database.run("SELECT x FROM b"));
}

TEST_CASE("a database that is newer than the program is refused and left alone") {
  const TempFolder folder;
  Database database = open(folder);
  REQUIRE(migrate(database));
  REQUIRE(database.run("INSERT INTO schema_version (version) VALUES (?)", 4711));
  const auto status = migrate(database);
  REQUIRE_FALSE(status);
  CHECK(status.error().code == Code::state_unusable);
  CHECK(status.error().detail.find("4711") != std::string::npos);
  CHECK(version_of(database) == 4711);
}

TEST_CASE("what is not a database is state unusable") {
  const TempFolder folder;
  std::ofstream(folder.path() + "/test.db") << std::string(8'192, 'x');
  const auto opened = Database::open(folder.path() + "/test.db");
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == Code::state_unusable);
}

TEST_CASE("text with zero bytes and empty text come back as they were") {
  const TempFolder folder;
  Database database = open(folder);
  REQUIRE(database.execute("CREATE TABLE t (x TEXT NOT NULL) STRICT"));
  const std::string zero("a\0b", 3);
  REQUIRE(database.run("INSERT INTO t (x) VALUES (?)", zero));
  REQUIRE(database.run("INSERT INTO t (x) VALUES (?)", std::string_view()));
  Statement rows = ServiceRig::take(database.query("SELECT x FROM t"));
  REQUIRE(ServiceRig::take(rows.step()));
  CHECK(rows.text(0) == zero);
  REQUIRE(ServiceRig::take(rows.step()));
  CHECK(rows.text(0).empty());
}

TEST_CASE("a state folder that others may pass shows them nothing") {
  const TempFolder folder;
  const std::string path = folder.path() + "/state";
  const auto mode_of = [](const std::string& of) {
    struct stat status {};
    REQUIRE(::stat(of.c_str(), &status) == 0);
    return status.st_mode & 0777;
  };
  std::filesystem::create_directories(path);
  for (const char* name : {"/hearth.db", "/hearth.db-wal"}) {
    std::ofstream(path + name).flush();
    std::filesystem::permissions(path + name, std::filesystem::perms(0644));
  }
  auto lock = StateLock::take(path);
  REQUIRE(lock);
  CHECK(mode_of(path) == 0700);
  REQUIRE(lock->let_others_pass());
  CHECK(mode_of(path) == 0711);
  CHECK(mode_of(path + "/code") == 0711);
  const auto state = StateFolder::open(*std::move(lock));
  REQUIRE(state);
  CHECK(mode_of(path) == 0711);
  auto database = Database::open(state->database_path());
  REQUIRE(database);
  REQUIRE(database->execute("CREATE TABLE t (x)"));
  for (const char* name : {"/hearth.db", "/hearth.db-wal", "/hearth.db-shm", "/lock"})
    CHECK(mode_of(path + name) == 0600);
  for (const char* name : {"/archives", "/staging", "/logs"}) CHECK(mode_of(path + name) == 0700);
}

TEST_CASE("the state folder is private and one daemon's") {
  const TempFolder folder;
  const std::string path = folder.path() + "/deep/er/state";
  std::filesystem::create_directories(path);
  std::filesystem::permissions(path, std::filesystem::perms(0755));
  auto first = StateFolder::open(path);
  REQUIRE(first);
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0700);
  std::filesystem::permissions(path, std::filesystem::perms(0750));
  const auto second = StateFolder::open(path + "/");
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Code::state_unusable);
  CHECK(second.error().detail.find(std::to_string(::getpid())) != std::string::npos);
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0750);  // the second one has changed nothing
  REQUIRE(::stat((path + "/code").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0711);
  first = Error{Code::internal, {}};
  CHECK(StateFolder::open(path));
  std::filesystem::create_hard_link(path + "/lock", folder.path() + "/other");
  CHECK(StateFolder::open(path).error().code == Code::state_unusable);
  CHECK(StateFolder::open("/proc/nowhere/state").error().code == Code::state_unusable);
}
