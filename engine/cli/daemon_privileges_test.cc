// Giving up root, tried in a child process. What needs root is skipped without it.
#include "cli/daemon_privileges.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/test_daemon.h"
#include "tests/catch.h"
#include "tests/test_folder.h"

using namespace hearth;
using namespace hearth::cli;
using Catch::Matchers::Contains;
using hearth_test::FunctionFolder;

namespace {

// The exit code of `body` in a child.
template <class Body>
int in_child(Body body) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) ::_exit(body());
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("only root becomes somebody else, and never root") {
  if (::geteuid() != 0) {
    CHECK_FALSE(daemon_user("")->has_value());
    return;
  }
  const auto user = daemon_user("");
  REQUIRE(user);
  REQUIRE(user->has_value());
  CHECK((*user)->uid != 0);
  CHECK((*daemon_user("12345"))->uid == 12345);
  CHECK_THAT(daemon_user("root").error().detail, Contains("'root'"));
  CHECK_THAT(daemon_user("0").error().detail, Contains("'0'"));
  CHECK_THAT(daemon_user("nobody-of-this-name").error().detail, Contains("nobody-of-this-name"));
}

TEST_CASE("root that was given up can not be had back") {
  if (::geteuid() != 0) return;
  const DaemonUser user{kReservedUid, kReservedUid, "test"};
  CHECK(in_child([&] {
          if (!drop_privileges(user)) return 1;
          uid_t ids[3];
          gid_t groups[3];
          if (::getresuid(&ids[0], &ids[1], &ids[2]) != 0 ||
              ::getresgid(&groups[0], &groups[1], &groups[2]) != 0)
            return 2;
          for (int i = 0; i < 3; ++i) {
            if (ids[i] != kReservedUid || groups[i] != kReservedUid) return 3;
          }
          if (::getgroups(0, nullptr) != 0 || ::setuid(0) == 0) return 4;
          if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 5;
#if !defined(__SANITIZE_ADDRESS__)
          if (::prctl(PR_GET_DUMPABLE) != 0) return 6;
#endif
          return 0;
        }) == 0);
}

TEST_CASE("the state folder changes hands, links are not followed") {
  if (::geteuid() != 0) return;
  FunctionFolder folder;
  FunctionFolder outside;
  folder.write("a/b/c");
  outside.write("mine");
  std::filesystem::create_symlink(outside.path, folder.path + "/link");
  const DaemonUser user{kReservedUid, kReservedUid, "test"};
  REQUIRE(give_folder(folder.path, user));
  const auto owner = [](const std::string& path) {
    struct stat info {};
    REQUIRE(::lstat(path.c_str(), &info) == 0);
    return info.st_uid;
  };
  for (const char* name : {"", "/a", "/a/b", "/a/b/c", "/link"})
    CHECK(owner(folder.path + name) == kReservedUid);
  CHECK(owner(outside.path) == 0);
  CHECK(owner(outside.path + "/mine") == 0);
  CHECK(give_folder(folder.path + "/link", user).error().code == Code::state_unusable);
}
