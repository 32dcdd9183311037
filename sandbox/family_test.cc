// Zygotes and what is forked from them, over the real protocol with the real spawner, in every mode
// that this machine allows; with honest zygotes and others.
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "sandbox/message.h"
#include "sandbox/probe.h"
#include "sandbox/test_rig.h"
#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

// A spawner with the test zygote as a runtime, and one zygote in slot 0.
struct FamilyRig : Rig {
  explicit FamilyRig(Mode mode, uint32_t slots = 8) : Rig(mode, slots) {
    const std::string program = folder.path() + "/prefix/bin/zygote";
    std::filesystem::copy_file(HEARTH_TEST_ZYGOTE, program);
    zygote_runtime = add_runtime("python3", program, {});
    start();
    REQUIRE(ready_error == "");
    zygote = spawn_zygote(0, zygote_runtime);
    CAPTURE(zygote.detail);
    REQUIRE(zygote.error == 0);
    REQUIRE(zygote.line() == "HELLO");
  }

  TestWorker child(uint32_t slot) {
    TestWorker worker = fork(zygote, slot, "fork good");
    REQUIRE(worker.error == 0);
    forked(worker);
    CAPTURE(worker.detail);
    REQUIRE(worker.error == 0);
    REQUIRE(worker.line().rfind("CHILD", 0) == 0);
    return worker;
  }

  // The spawner's words for a fork that must not go well.
  std::string refused(uint32_t slot, const std::string& command) {
    TestWorker worker = fork(zygote, slot, command);
    if (worker.error != 0) return worker.detail;
    forked(worker);
    CHECK(worker.error > 0);
    return worker.detail;
  }

  uint32_t zygote_runtime = 0;
  TestWorker zygote;
};

std::string uid_line(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("Uid:", 0) == 0) return line;
  return "";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

Mode any_mode() { return GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded, Mode::kOff); }

}  // namespace

TEST_CASE("a forked worker is an own slot with an own end") {
  const Mode mode = any_mode();
  CAPTURE(static_cast<int>(mode));
  if (!allowed(mode)) return;
  FamilyRig rig(mode);
  TestWorker first = rig.child(1), second = rig.child(2);
  const std::set<int> pids{rig.zygote.pid, first.pid, second.pid};
  CHECK(pids.size() == 3);
  CHECK(uid_line(first.pid) == uid_line(rig.zygote.pid));

  first.send("exit 7");
  ExitedMessage exited = rig.wait_exit();
  CHECK(exited.slot == 1);
  CHECK(exited.generation == first.generation);
  CHECK((WIFEXITED(exited.wait_status) && WEXITSTATUS(exited.wait_status) == 7));
  CHECK((exited.killed_by_request == 0 && exited.with_family == 0));
  second.send("signal 6");
  exited = rig.wait_exit();
  CHECK(exited.slot == 2);
  CHECK((WIFSIGNALED(exited.wait_status) && WTERMSIG(exited.wait_status) == SIGABRT));

  TestWorker third = rig.child(1);  // the slot is free again
  rig.zygote.send("exit 3");
  exited = rig.wait_exit();
  CHECK(exited.slot == 0);
  CHECK(WEXITSTATUS(exited.wait_status) == 3);
  third.send("orphans 1");
  CHECK(third.line() == "DONE");  // it outlives its zygote
  third.send("exit 4");
  exited = rig.wait_exit();
  CHECK(exited.slot == 1);
  CHECK(WEXITSTATUS(exited.wait_status) == 4);
}

TEST_CASE("a slot that a zygote has left is not given its family's uid") {
  if (!allowed(Mode::kStrict)) return;
  FamilyRig rig(Mode::kStrict, 2);
  TestWorker child = rig.child(1);
  rig.zygote.send("exit 0");
  CHECK(rig.wait_exit().slot == 0);
  const TestWorker other = rig.spawn(0);
  REQUIRE(other.error == 0);
  CHECK(uid_line(other.pid) != uid_line(child.pid));
  CHECK(rig.refused(1, "") == "the slot is in use: Device or resource busy");
}

TEST_CASE(
    "a kill takes one worker with its group, or the family; each slot hears of its end once") {
  const Mode mode = any_mode();
  CAPTURE(static_cast<int>(mode));
  if (!allowed(mode)) return;
  FamilyRig rig(mode);
  TestWorker first = rig.child(1), second = rig.child(2);
  first.send("leave a process");
  CHECK(first.line() == "DONE");
  const uint32_t victim = GENERATE(0u, 1u);
  rig.kill(victim == 0 ? rig.zygote : first);
  if (rig.ready.layers[static_cast<size_t>(Layer::kFreezer)].on != 0) {
    const ExitedMessage exited = rig.wait_exit();
    CHECK(exited.slot == victim);
    CHECK((exited.killed_by_request == 1 && exited.with_family == 0));
    CHECK(process_ends(victim == 0 ? rig.zygote.pid : first.pid));
    second.send("orphans 1");
    CHECK(second.line() == "DONE");
    const TestWorker next = rig.spawn(victim);  // in the group that the victim has left
    CHECK(next.error == 0);
    second.send("exit 4");
    CHECK(WEXITSTATUS(rig.wait_exit().wait_status) == 4);
    return;
  }
  std::set<uint32_t> ended;
  for (int i = 0; i < 3; ++i) {
    const ExitedMessage exited = rig.wait_exit();
    CHECK(ended.insert(exited.slot).second);
    CHECK((WIFSIGNALED(exited.wait_status) && WTERMSIG(exited.wait_status) == SIGKILL));
    CHECK(exited.killed_by_request == (exited.slot == victim));
    CHECK(exited.with_family == (exited.slot != victim));
  }
  CHECK(ended == std::set<uint32_t>{0, 1, 2});
  for (const int pid : {rig.zygote.pid, first.pid, second.pid}) CHECK(process_ends(pid));
  CHECK(rig.spawn(0).error == 0);
  CHECK(rig.spawn(1).error == 0);
}

TEST_CASE("reports that are not a child's word fail the fork and nothing else") {
  const Mode mode = any_mode();
  CAPTURE(static_cast<int>(mode));
  if (!allowed(mode)) return;
  FamilyRig rig(mode);
  CHECK(has(rig.refused(1, "fork itself"), "a worker already"));
  CHECK(has(rig.refused(1, "fork own child"), "no child of the sandbox's init"));
  CHECK(has(rig.refused(1, "fork short"), "another form"));
  CHECK(has(rig.refused(1, "fork other kind"), "another form"));
  CHECK(has(rig.refused(1, "fork failed"), "another form"));
  CHECK(has(rig.refused(1, "no fork at all"), "did not fork"));
  rig.zygote.line();  // DONE of the last
  TestWorker good = rig.child(1);
  good.send("exit 0");
  CHECK(rig.wait_exit().slot == 1);
}

TEST_CASE("of two children that report, one is the worker") {
  if (!allowed(Mode::kStrict)) return;
  FamilyRig rig(Mode::kStrict);
  TestWorker worker = rig.fork(rig.zygote, 1, "fork two");
  rig.forked(worker);
  REQUIRE(worker.error == 0);
  CHECK(worker.line() == "CHILD");
  rig.kill(worker);
  rig.kill(rig.zygote);
  std::set<uint32_t> ended{rig.wait_exit().slot, rig.wait_exit().slot};
  CHECK(ended == std::set<uint32_t>{0, 1});
}

TEST_CASE("descriptors on a report are not taken") {
  if (!allowed(Mode::kStrict)) return;
  FamilyRig rig(Mode::kStrict);
  const auto open_files = [&] {
    namespace fs = std::filesystem;
    const fs::path folder = "/proc/" + std::to_string(rig.spawner_pid()) + "/fd";
    return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
  };
  rig.child(1).send("exit 0");
  rig.wait_exit();
  const auto before = open_files();
  for (int i = 0; i < 20; ++i) {
    TestWorker worker = rig.fork(rig.zygote, 1, "fork with a descriptor");
    rig.forked(worker);
    REQUIRE(worker.error == 0);
    CHECK(worker.line().rfind("CHILD", 0) == 0);
    worker.send("exit 0");
    CHECK(rig.wait_exit().slot == 1);
  }
  CHECK(open_files() == before);
}

TEST_CASE("a fork that is killed before its report is over at once") {
  const Mode mode = any_mode();
  CAPTURE(static_cast<int>(mode));
  if (!allowed(mode)) return;
  FamilyRig rig(mode);
  TestWorker worker = rig.fork(rig.zygote, 1, "fork silent");
  REQUIRE(worker.error == 0);
  rig.kill(worker);
  rig.forked(worker);
  CHECK(worker.error == ECANCELED);
  TestWorker good = rig.child(1);
  rig.zygote.send("exit 0");
  CHECK(rig.wait_exit().slot == 0);
  // The child of the first fork still sits there: it goes with the sandbox.
  good.send("exit 0");
  CHECK(rig.wait_exit().slot == 1);
  CHECK(rig.spawn(1).error == 0);
}

TEST_CASE("a zygote that ends while its fork has not reported") {
  const Mode mode = any_mode();
  CAPTURE(static_cast<int>(mode));
  if (!allowed(mode)) return;
  FamilyRig rig(mode);
  TestWorker worker = rig.fork(rig.zygote, 1, "fork silent");
  REQUIRE(worker.error == 0);
  rig.zygote.send("exit 5");
  CHECK(WEXITSTATUS(rig.wait_exit().wait_status) == 5);
  rig.kill(worker);  // the last of its family: answered when all of it is gone
  rig.forked(worker);
  // With a group, what the zygote has left in it was killed with its end.
  const bool grouped = rig.ready.layers[static_cast<size_t>(Layer::kFreezer)].on != 0;
  CHECK((worker.error == ECANCELED || (grouped && worker.error == EPROTO)));
  CHECK(rig.spawn(0).error == 0);
  CHECK(rig.spawn(1).error == 0);
}

TEST_CASE("requests for a fork that can't be met") {
  if (!allowed(Mode::kStrict)) return;
  FamilyRig rig(Mode::kStrict);
  const TestWorker plain = rig.spawn(3);
  CHECK(rig.fork(plain, 1, "").error == ESTALE);  // no zygote
  CHECK(rig.fork(rig.zygote, 3, "").error == EBUSY);
  CHECK(rig.fork(rig.zygote, rig.config.slots_max, "").error == EINVAL);
  TestWorker stale{0, rig.zygote.generation + 1, 0, 0, "", {}, {}, {}};
  CHECK(rig.fork(stale, 1, "").error == ESTALE);
  stale.slot = rig.config.slots_max;
  CHECK(rig.fork(stale, 1, "").error == EINVAL);
  TestWorker child = rig.child(1);
  CHECK(rig.fork(child, 2, "").error == ESTALE);  // a worker is no zygote
  CHECK(rig.assign(child, code_hash('a')).error == EALREADY);
}

TEST_CASE("a storm of orphans hides no worker's end") {
  if (!allowed(Mode::kStrict)) return;
  FamilyRig rig(Mode::kStrict);
  TestWorker first = rig.child(1), second = rig.child(2);
  // The spawner stands still: init's pipe holds 8,192 ends, and these are more.
  REQUIRE(kill(rig.spawner_pid(), SIGSTOP) == 0);
  second.send("orphans 8500");
  CHECK(second.line() == "DONE");
  first.send("exit 7");
  CHECK(process_ends(first.pid));
  REQUIRE(kill(rig.spawner_pid(), SIGCONT) == 0);
  const ExitedMessage exited = rig.wait_exit();
  CHECK(exited.slot == 1);
  // Its own status, or SIGKILL: init had no room left to tell it.
  const bool untold = WIFSIGNALED(exited.wait_status) && WTERMSIG(exited.wait_status) == SIGKILL;
  CHECK((untold || WEXITSTATUS(exited.wait_status) == 7));
  second.send("exit 2");
  CHECK(WEXITSTATUS(rig.wait_exit().wait_status) == 2);
}

TEST_CASE("a family has a bound") {
  if (!allowed(Mode::kStrict)) return;
  FamilyRig rig(Mode::kStrict, kFamilyMembersMax + 2);
  std::vector<TestWorker> workers;
  for (uint32_t i = 1; i <= kFamilyMembersMax; ++i) workers.push_back(rig.child(i));
  CHECK(rig.fork(rig.zygote, kFamilyMembersMax + 1, "fork good").error == EAGAIN);
  workers.front().send("exit 0");
  CHECK(rig.wait_exit().slot == 1);
  rig.child(1);
}

}  // namespace hearth::sandbox
