// The unpacker's process: what comes out of archives through it, that it is confined before it
// reads one, and that its crash, kill, hang or lack of memory ends one run with nothing left
// behind.
#include "store/unpack_process.h"

#include <dirent.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <atomic>
#include <cstring>
#include <map>
#include <random>
#include <sstream>
#include <thread>

#include "store/folder_check.h"
#include "store/test_rig.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::test;

namespace {

struct Run {
  TempFolder folder;
  UniqueFd into = folder.open();
  Result<UnpackProcess> start(const UniqueFd& archive, const UnpackOptions& options = {},
                              int stop = -1) {
    REQUIRE(::fchmod(into.get(), 0755) == 0);
    return UnpackProcess::start(archive.get(), into.get(), options, stop);
  }
};

Result<Unpacked> run_all(Run& run, const UniqueFd& archive, const UnpackOptions& options = {}) {
  auto process = run.start(archive, options);
  if (!process) return process.error();
  const auto hash = process->hash();
  if (!hash) return hash.error();
  return process->unpack(run.into.get());
}

std::map<std::string, std::string> status_of(int pid) {
  std::map<std::string, std::string> fields;
  std::istringstream in(read_file("/proc/" + std::to_string(pid) + "/status"));
  for (std::string line; std::getline(in, line);) {
    const size_t colon = line.find(":\t");
    if (colon != line.npos) fields[line.substr(0, colon)] = line.substr(colon + 2);
  }
  return fields;
}

std::string digest_of(const UniqueFd& archive) {
  std::string bytes(1 << 20, '\0');
  const ssize_t n = ::pread(archive.get(), bytes.data(), bytes.size(), 0);
  Sha256 hash;
  hash.update({bytes.data(), static_cast<size_t>(n)});
  return to_hex(hash.finish());
}

bool is_gone(int pid) { return ::kill(pid, 0) != 0 && errno == ESRCH; }

// Deflated zeros: some time's work in few bytes.
UniqueFd long_work() {
  ZipMaker zip;
  for (int i = 0; i < 40; ++i) {
    ZipEntry entry;
    entry.name = "d/" + std::to_string(i);
    entry.data = std::string(2'000'000, static_cast<char>('a' + i % 26)) + std::to_string(i);
    entry.deflated = true;
    zip.add(entry);
  }
  return zip.file();
}

UnpackOptions generous() {
  UnpackOptions options;
  options.limits.ratio_max = 10'000;
  return options;
}

}  // namespace

TEST_CASE("the unpacker's process hashes and unpacks") {
  Run run;
  const UniqueFd zip = ZipMaker().add("app.py", "x = 1\n").add("bin/tool", "#!", 0100755).file();
  auto process = run.start(zip);
  REQUIRE(process);
  const auto hash = process->hash();
  REQUIRE(hash);
  CHECK(to_hex(*hash) == digest_of(zip));
  const int pid = process->pid();
  const auto unpacked = process->unpack(run.into.get());
  REQUIRE(unpacked);
  CHECK((unpacked->files == 3 && unpacked->bytes == 8));
  CHECK(read_file(run.folder.path() + "/app.py") == "x = 1\n");
  CHECK(is_gone(pid));
}

TEST_CASE("the unpacker is confined before it knows anything of the archive") {
  Run run;
  auto process = run.start(python_zip());
  REQUIRE(process);
  REQUIRE(process->hash());  // now it waits for the word to go on
  CHECK(unpack_confined(process->layers()));
  const auto status = status_of(process->pid());
  CHECK(status.at("Seccomp") == "2");
  CHECK(status.at("NoNewPrivs") == "1");
  for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapAmb"})
    CHECK(status.at(set) == "0000000000000000");
  CHECK(status.at("Threads") == "1");
  CHECK(status.at("SigCgt") == "0000000010000000");  // SIGIO alone
  if (::geteuid() != 0) return;  // the rest is open to root only: the process is not dumpable
  const std::string proc = "/proc/" + std::to_string(process->pid());
  std::map<int, std::string> open;
  for (const auto& entry : std::filesystem::directory_iterator(proc + "/fd")) {
    open[std::stoi(entry.path().filename())] = std::filesystem::read_symlink(entry.path());
  }
  CHECK(open.size() == 7);
  for (const int fd : {0, 1, 2}) CHECK(open[fd] == "/dev/null");
  CHECK(open[kFolderFd] == run.folder.path());
  CHECK(open[kReportFd].starts_with("pipe:"));
  CHECK(open[kLifelineFd].starts_with("socket:"));
  if ((process->layers() & kUnpackChroot) != 0)
    CHECK(std::filesystem::read_symlink(proc + "/root") == run.folder.path());
  CHECK(read_file(proc + "/environ").empty());
  CHECK(read_file(proc + "/limits").find("Max processes             0 ") != std::string::npos);
}

TEST_CASE("refusals come through the process with their code and text") {
  const std::pair<UniqueFd, const char*> cases[] = {
      {ZipMaker().add("../x", "1").file(), "'..'"},
      {ZipMaker().add("/etc/x", "1").file(), "absolute"},
      {ZipMaker().add("l", "/etc/passwd", 0120777).file(), "symbolic link"},
      {ZipMaker().add("dev", "", 0060666).file(), "device"},
      {ZipMaker().add("su", "", 0104755).file(), "setuid"},
      {ZipMaker().add("a", "1").add("A", "2").file(), "case only"},
      {ZipMaker().add("a", "1").add("a", "2").file(), "there twice"},
      {ZipMaker().add("caf\xE9", "1").file(), "not UTF-8"},
      {ZipMaker::file_of("no zip"), "not a zip archive"},
  };
  for (const auto& [zip, why] : cases) {
    Run run;
    const auto result = run_all(run, zip);
    CAPTURE(why);
    REQUIRE_FALSE(result);
    CAPTURE(result.error().detail);
    CHECK(result.error().code == Code::archive_invalid);
    CHECK(result.error().detail.find(why) != std::string::npos);
  }
}

TEST_CASE("an archive of 65,535 files is refused") {
  ZipMaker zip;
  for (int i = 0; i < 65'535; ++i) zip.add(std::to_string(i), "");
  Run run;
  const auto result = run_all(run, zip.file());
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Code::archive_invalid);
  CHECK(result.error().detail.find("limits.code_files") != std::string::npos);
  CHECK(entries_in(run.folder.path()) == 0);
}

TEST_CASE("an unpacker that is killed is an error of its run") {
  for (const int step : {0, 1}) {
    Run run;
    auto process = run.start(long_work(), generous());
    REQUIRE(process);
    if (step == 1) REQUIRE(process->hash());  // it waits for the word to go on
    REQUIRE(::kill(process->pid(), SIGKILL) == 0);
    const int pid = process->pid();
    auto result = step == 0 ? Result<Unpacked>(Unpacked{}) : process->unpack(run.into.get());
    if (step == 0) {
      // It may have said the hash before the signal came.
      const auto hash = process->hash();
      result = hash ? process->unpack(run.into.get()) : Result<Unpacked>(hash.error());
    }
    REQUIRE_FALSE(result);
    CAPTURE(step, result.error().detail);
    CHECK(result.error().code == Code::unpack_failed);
    CHECK(result.error().detail.find("signal 9") != std::string::npos);
    CHECK(is_gone(pid));
  }
}

TEST_CASE("an unpacker that hangs is ended at its time") {
  Run run;
  UnpackOptions options;
  options.time_max = milliseconds(300);
  auto process = run.start(python_zip(), options);
  REQUIRE(process);
  REQUIRE(process->hash());
  const int pid = process->pid();
  REQUIRE(::kill(pid, SIGSTOP) == 0);
  {
    UnpackProcess mine = std::move(*process);
    const auto result = mine.unpack(run.into.get());
    REQUIRE_FALSE(result);
    CHECK(result.error().code == Code::unpack_failed);
    CHECK(result.error().detail.find("limits.code_unpack_time") != std::string::npos);
  }
  CHECK(is_gone(pid));
}

TEST_CASE("an unpacker without memory says so") {
  ZipMaker zip;
  for (int i = 0; i < 20'000; ++i) zip.add(std::string(200, 'n') + std::to_string(i), "");
  Run run;
  UnpackOptions options;
  options.memory_max = mebibytes(6);
  const auto result = run_all(run, zip.file(), options);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Code::unpack_failed);
  CHECK(result.error().detail.find("out of memory") != std::string::npos);
}

TEST_CASE("the memory that the limits ask for is enough for the longest names") {
  ZipMaker zip;
  for (int i = 0; i < 6'000; ++i) {
    const std::string number = std::to_string(10'000 + i);
    zip.add(std::string(250, 'a') + number + "/" + std::string(250, 'b') + number, "");
  }
  Run run;
  UnpackOptions options;
  options.limits.files_max = 12'000;
  const auto result = run_all(run, zip.file(), options);
  if (!result) FAIL(result.error().detail);
  CHECK(result->files == 12'000);
}

TEST_CASE("a run is given up at once when it is told to stop") {
  const UniqueFd stop(::eventfd(1, EFD_CLOEXEC));
  Run run;
  const auto process = run.start(python_zip(), {}, stop.get());
  REQUIRE_FALSE(process);
  CHECK(process.error().code == Code::shutting_down);
}

TEST_CASE("the unpacker ends with its engine") {
  // The engine of this test is a child that starts one, tells its pid and is killed.
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd read_end(ends[0]);
  const TempFolder folder;
  const UniqueFd into = folder.open();
  const UniqueFd zip = python_zip();
  const pid_t engine = ::fork();
  REQUIRE(engine >= 0);
  if (engine == 0) {
    auto process = UnpackProcess::start(zip.get(), into.get(), {});
    int pid = process && process->hash() ? process->pid() : -1;
    if (::write(ends[1], &pid, sizeof pid) != sizeof pid) ::_exit(1);
    for (;;) ::pause();
  }
  ::close(ends[1]);
  int unpacker = -1;
  REQUIRE(::read(read_end.get(), &unpacker, sizeof unpacker) == sizeof unpacker);
  REQUIRE(unpacker > 0);
  const UniqueFd watch(static_cast<int>(::syscall(SYS_pidfd_open, unpacker, 0)));
  REQUIRE(watch.valid());
  REQUIRE(::kill(engine, SIGKILL) == 0);
  pollfd wait{watch.get(), POLLIN, 0};
  CHECK(::poll(&wait, 1, 10'000) == 1);
  int status = 0;
  REQUIRE(::waitpid(engine, &status, 0) == engine);
}

TEST_CASE("an unpacker that can't confine itself refuses unless that is permitted") {
  // As on a kernel without seccomp: the call is refused to a child of this test and to all below
  // it.
  enum : int { kAsExpected = 0, kNoFilter, kRefusalMissing, kRefusalWrong, kPermittedFailed };
  const UniqueFd zip = python_zip();
  const TempFolder folder;
  const UniqueFd into = folder.open();
  REQUIRE(::fchmod(into.get(), 0755) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{std::size(code), code};
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
      ::_exit(kNoFilter);
    UnpackOptions options;
    const auto refused = UnpackProcess::start(zip.get(), into.get(), options);
    if (refused) ::_exit(kRefusalMissing);
    if (refused.error().code != Code::sandbox_unavailable ||
        refused.error().detail.find("load the seccomp filter") == std::string::npos)
      ::_exit(kRefusalWrong);
    options.confined = false;
    auto permitted = UnpackProcess::start(zip.get(), into.get(), options);
    const bool good = permitted && permitted->hash() && permitted->unpack(into.get()) &&
                      (permitted->layers() & kUnpackSeccomp) == 0 &&
                      (permitted->layers() & kUnpackNoNewPrivs) != 0 &&
                      permitted->missing().find("seccomp") != std::string::npos;
    ::_exit(good ? kAsExpected : kPermittedFailed);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == kAsExpected);
}

TEST_CASE("hosts that ignore SIGCHLD or reap every child are served alike") {
  struct sigaction before {
  }, ignore{};
  ignore.sa_handler = SIG_IGN;
  REQUIRE(::sigaction(SIGCHLD, &ignore, &before) == 0);
  Run ignoring;
  const auto first = run_all(ignoring, python_zip());
  REQUIRE(::sigaction(SIGCHLD, &before, nullptr) == 0);
  CHECK(first);
  std::atomic<bool> stop = false;
  std::thread reaper([&] {
    while (!stop) {
      ::waitpid(-1, nullptr, WNOHANG);
      std::this_thread::yield();
    }
  });
  for (int i = 0; i < 5; ++i) {
    Run reaped;
    CHECK(run_all(reaped, python_zip()));
    Run refused;
    const auto result = run_all(refused, ZipMaker().add("..", "").file());
    CHECK((!result && result.error().code == Code::archive_invalid));
  }
  stop = true;
  reaper.join();
}

TEST_CASE("kills at random points of the work leave errors, never a wrong result") {
  const char* given = std::getenv("HEARTH_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  INFO("HEARTH_SEED=" << seed);
  std::mt19937_64 random(seed);
  const UniqueFd zip = long_work();
  int killed = 0;
  for (int round = 0; round < 20; ++round) {
    Run run;
    auto process = run.start(zip, generous());
    REQUIRE(process);
    const int pid = process->pid();
    const microseconds delay(random() % 60'000);
    std::thread killer([&] {
      std::this_thread::sleep_for(delay);
      ::kill(pid, SIGKILL);
    });
    Result<Unpacked> result = Unpacked{};
    const auto hash = process->hash();
    result = hash ? process->unpack(run.into.get()) : Result<Unpacked>(hash.error());
    killer.join();
    if (result) {
      CHECK(result->files == 41);
    } else {
      ++killed;
      CAPTURE(result.error().detail);
      CHECK(result.error().code == Code::unpack_failed);
    }
  }
  CHECK(killed > 0);
}
