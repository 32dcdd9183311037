// Starting the spawner leaves the host process as it was; the probe says what a machine allows.
#include "sandbox/start.h"

#include <dirent.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "sandbox/blob.h"
#include "sandbox/probe.h"
#include "sandbox/test_rig.h"
#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

size_t open_descriptors() {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

}  // namespace

TEST_CASE("the image is an executable") {
  REQUIRE(spawner_image().size() > 100'000);
  CHECK(memcmp(spawner_image().data(),
               "\x7f"
               "ELF",
               4) == 0);
}

TEST_CASE("starting from a host with threads changes nothing of it") {
  std::atomic<bool> stop = false;
  std::thread busy([&] {
    while (!stop) std::this_thread::yield();
  });
  struct sigaction before {
  }, after{};
  sigaction(SIGCHLD, nullptr, &before);
  sigset_t mask_before{}, mask_after{};
  sigprocmask(SIG_SETMASK, nullptr, &mask_before);
  const size_t descriptors = open_descriptors();
  for (int round = 0; round < 3; ++round) {
    Rig rig(Mode::kOff, 1);
    rig.start();
    CHECK(rig.ready_error == "");
    TestWorker worker = rig.spawn(0);
    CHECK(worker.line() == "HELLO");
  }
  stop = true;
  busy.join();
  sigaction(SIGCHLD, nullptr, &after);
  sigprocmask(SIG_SETMASK, nullptr, &mask_after);
  CHECK(after.sa_handler == before.sa_handler);
  for (int number = 1; number < NSIG; ++number)
    CHECK(sigismember(&mask_before, number) == sigismember(&mask_after, number));
  CHECK(open_descriptors() == descriptors);
}

TEST_CASE("signals that the host blocks or ignores are ordinary in a worker") {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  sigprocmask(SIG_BLOCK, &blocked, &before);
  const auto old = signal(SIGUSR2, SIG_IGN);
  Rig rig(Mode::kOff, 2);
  rig.start();
  TestWorker first = rig.spawn(0), second = rig.spawn(1);
  REQUIRE(first.line() == "HELLO");
  REQUIRE(second.line() == "HELLO");
  first.send("signal " + std::to_string(SIGUSR1));
  ExitedMessage exited = rig.wait_exit();
  CHECK(WIFSIGNALED(exited.wait_status));
  CHECK(WTERMSIG(exited.wait_status) == SIGUSR1);
  second.send("signal " + std::to_string(SIGUSR2));
  exited = rig.wait_exit();
  CHECK(WIFSIGNALED(exited.wait_status));
  CHECK(WTERMSIG(exited.wait_status) == SIGUSR2);
  signal(SIGUSR2, old);
  sigprocmask(SIG_SETMASK, &before, nullptr);
}

TEST_CASE("the probe names every mode and chooses the strongest") {
  const size_t descriptors = open_descriptors();
  Result<ProbeReport> report = probe();
  REQUIRE(report);
  CHECK(open_descriptors() == descriptors);
  for (const char* name : {"mode strict", "mode user", "mode degraded", "user namespace",
                           "seccomp filter", "kernel"}) {
    CAPTURE(name);
    bool found = false;
    for (const ProbeItem& item : report->items) found = found || item.name == name;
    CHECK(found);
  }
  for (const ProbeItem& item : report->items)
    CHECK(item.fix.empty() == (item.available || item.name == "kernel"));
  CHECK(report->mode_works(report->best));
}

TEST_CASE("auto never takes degraded by itself") {
  ProbeReport report;
  report.items = {{"mode strict", false, "no root", "be root"},
                  {"mode user", false, "no namespaces", "allow them"},
                  {"mode degraded", true, "", ""}};
  report.best = Mode::kDegraded;
  const Result<Mode> refused = choose_mode(report, AllowDegraded::kNo);
  REQUIRE(!refused);
  CHECK(refused.error().code == Code::sandbox_unavailable);
  CHECK(refused.error().detail.find("allow them") != std::string::npos);
  CHECK(*choose_mode(report, AllowDegraded::kYes) == Mode::kDegraded);
  report.best = Mode::kUser;
  CHECK(*choose_mode(report, AllowDegraded::kNo) == Mode::kUser);
  report.best = Mode::kOff;
  CHECK(!choose_mode(report, AllowDegraded::kYes));
}

}  // namespace hearth::sandbox
