// What doctor says about machines of every kind: for each thing that is missing its reason and its
// fix.
#include "cli/advice.h"

#include "tests/catch.h"

using namespace hearth;
using namespace hearth::cli;
using Catch::Matchers::Contains;

namespace {

// A machine on which everything works; the tests take away.
Trial good_trial(const char* mode) {
  Trial trial;
  for (const char* name : {"mode strict", "mode user", "mode degraded", "user namespace",
                           "seccomp filter", "close_range", "mount_setattr"})
    trial.items.push_back({name, true, "works", ""});
  for (const Runtime runtime : {Runtime::python3, Runtime::nodejs, Runtime::native}) {
    RuntimeInfo info;
    info.runtime = runtime;
    info.name = runtime_name(runtime);
    trial.runtimes.push_back(info);
  }
  trial.mode = mode;
  return trial;
}

void lose(Trial& trial, std::string_view name, const char* detail = "not here") {
  for (sandbox::ProbeItem& item : trial.items) {
    if (item.name == name) item = {item.name, false, detail, "needs another machine"};
  }
}

constexpr MachineSwitches kRoot{.root = true};
constexpr MachineSwitches kPlain{};

}  // namespace

TEST_CASE("a machine that has everything lacks nothing") {
  Trial trial = good_trial("strict");
  trial.layers = {{"user namespace", false, "not needed: each slot has a uid of its own"},
                  {"seccomp filter", true, ""}};
  CHECK(what_is_missing(trial, {}, kRoot).empty());
}

TEST_CASE("each switch against user namespaces has its command") {
  Trial trial = good_trial("");
  for (const char* name : {"mode strict", "mode user", "user namespace"}) lose(trial, name);
  const struct {
    MachineSwitches switches;
    const char* why;
    const char* command;
  } cases[] = {{{.max_user_namespaces = 0},
                "max_user_namespaces is 0",
                "sysctl -w user.max_user_namespaces="},
               {{.max_user_namespaces = 100, .userns_clone = 0},
                "unprivileged_userns_clone is 0",
                "sysctl -w kernel.unprivileged_userns_clone=1"},
               {{.userns_clone = 1, .apparmor_restricts = 1},
                "AppArmor",
                "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
               {{.max_user_namespaces = 100}, "not here", "seccomp=unconfined"}};
  for (const auto& c : cases) {
    INFO(c.why);
    const auto missing = what_is_missing(trial, {}, c.switches);
    REQUIRE(missing.size() == 1);
    CHECK(missing[0].fatal);
    CHECK_THAT(missing[0].why, Contains(c.why));
    CHECK_THAT(missing[0].command, Contains(c.command));
    CHECK_THAT(missing[0].config, Contains("allow_degraded: true"));
    CHECK_THAT(missing[0].means, Contains("refuses to start"));
  }
  lose(trial, "mode degraded");
  CHECK(what_is_missing(trial, {}, kPlain)[0].config.empty());
}

TEST_CASE("a mode that hearth yaml asks for and the machine has not is told with a way out") {
  Trial trial = good_trial("");
  lose(trial, "mode strict", "no CAP_SYS_ADMIN");
  SandboxConfig config;
  config.mode = SandboxMode::strict;
  const auto plain = what_is_missing(trial, config, kPlain);
  REQUIRE(plain.size() == 1);
  CHECK_THAT(plain[0].why, Contains("no CAP_SYS_ADMIN"));
  CHECK(plain[0].command == "sudo hearth serve");
  CHECK(plain[0].config == "sandbox: {mode: user}");
  CHECK_THAT(what_is_missing(trial, config, kRoot)[0].command, Contains("--privileged"));
  config.mode = SandboxMode::degraded;
  CHECK_THAT(what_is_missing(trial, config, kPlain)[0].config,
             Contains("mode: degraded, allow_degraded: true"));
}

TEST_CASE("an old kernel is told by what it lacks") {
  Trial trial = good_trial("");
  lose(trial, "mode user");
  lose(trial, "mount_setattr", "Function not implemented");
  const auto missing = what_is_missing(trial, {}, kPlain);
  REQUIRE(missing.size() == 1);
  CHECK(missing[0].name == "mount_setattr");
  CHECK(missing[0].fatal);
  CHECK_THAT(missing[0].why, Contains("not implemented"));
}

TEST_CASE("a probe that failed is told in its own words") {
  Trial trial = good_trial("");
  trial.items.clear();
  trial.mode_problem = "the probe ended without a result";
  CHECK(what_is_missing(trial, {}, kPlain)[0].why == trial.mode_problem);
}

TEST_CASE("degraded mode without Landlock is told as what it is") {
  for (const char* mode : {"degraded", "user"}) {
    Trial trial = good_trial(mode);
    trial.layers = {{"landlock", false, "not switched on"}};
    const auto missing = what_is_missing(trial, {}, kPlain);
    REQUIRE(missing.size() == 1);
    CHECK((missing[0].means.find("state folder") != std::string::npos) ==
          (std::string_view(mode) == "degraded"));
  }
}

TEST_CASE("layers that are off for one reason are one entry with every consequence") {
  Trial trial = good_trial("degraded");
  lose(trial, "mode user");
  trial.layers = {{"pid namespace", false, "no namespaces"},
                  {"seccomp filter", true, ""},
                  {"uid of its own", false, "workers run as the engine's uid"},
                  {"private /tmp", false, "no namespaces"}};
  const auto missing = what_is_missing(trial, {}, {.max_user_namespaces = 0});
  REQUIRE(missing.size() == 2);
  CHECK(missing[0].name == "pid namespace, private /tmp");
  CHECK_THAT(missing[0].means, Contains("processes") && Contains("; ") && Contains("shares /tmp"));
  CHECK_THAT(missing[0].command, Contains("sysctl"));
  CHECK(missing[1].name == "uid of its own");
  CHECK_FALSE(missing[0].fatal);
}

TEST_CASE("user mode names the way to uids of their own, and off the way back") {
  Trial trial = good_trial("user");
  trial.layers = {{"uid of its own", false, "workers have the engine's uid outside"}};
  lose(trial, "mode strict");
  CHECK(what_is_missing(trial, {}, kPlain)[0].command == "sudo hearth serve");
  trial.mode = "off";
  trial.layers = {{"seccomp filter", false, "mode off: no confinement at all"}};
  const auto off = what_is_missing(trial, {}, kPlain);
  CHECK(off[0].config == "sandbox: {mode: auto}");
  CHECK_THAT(off[0].means, Contains("system call"));
}

TEST_CASE("what strict mode lacks is the machine's to give") {
  Trial trial = good_trial("strict");
  trial.layers = {{"cgroup: io", false, "shares of I/O need cgroup version 2"},
                  {"cgroup: memory", false, "no cgroup can be made"},
                  {"landlock", false, "this kernel has none"}};
  const auto all = what_is_missing(trial, {}, kRoot);
  REQUIRE(all.size() == 3);
  CHECK_THAT(all[0].command, Contains("unified_cgroup_hierarchy=1"));
  CHECK_THAT(all[1].command, Contains("mount -t cgroup2") && Contains("--privileged"));
  CHECK_THAT(all[2].command, Contains("lsm="));
}

TEST_CASE("an interpreter that is missing is fatal only when there is no other") {
  Trial trial = good_trial("user");
  trial.runtimes[1].problem = "node is not in /usr/bin";
  auto missing = what_is_missing(trial, {}, kPlain);
  REQUIRE(missing.size() == 1);
  CHECK_FALSE(missing[0].fatal);
  CHECK(missing[0].command == "sudo apt-get install nodejs");
  CHECK(missing[0].config == "runtimes: {nodejs: {path: /path/to/node}}");
  trial.runtimes[0].problem = "python3 is not in /usr/bin";
  missing = what_is_missing(trial, {}, kPlain);
  CHECK((missing.size() == 2 && missing[0].fatal && missing[1].fatal));
}
