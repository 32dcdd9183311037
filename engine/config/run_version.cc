#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/unique_fd.h"
#include "config/runtimes.h"

namespace hearth {
namespace {

constexpr size_t kOutputMax = 256;

struct Spawned {
  pid_t pid = -1;
  UniqueFd output;
};

class SpawnActions {
 public:
  SpawnActions() { ::posix_spawn_file_actions_init(&actions_); }
  ~SpawnActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

// A session of its own, so that a kill reaches whatever it starts, and signals as a new program
// expects them.
int spawn(const std::string& program, int output, pid_t& pid) {
  SpawnActions actions;
  ::posix_spawn_file_actions_addopen(actions.get(), 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(actions.get(), output, 1);
  ::posix_spawn_file_actions_addopen(actions.get(), 2, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addchdir_np(actions.get(), "/");
  ::posix_spawn_file_actions_addclosefrom_np(actions.get(), 3);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t set;
  sigemptyset(&set);
  ::posix_spawnattr_setsigmask(&attributes, &set);
  sigfillset(&set);
  ::posix_spawnattr_setsigdefault(&attributes, &set);
  ::posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::string argument = "--version";
  std::string name = program;
  char* argv[] = {name.data(), argument.data(), nullptr};
  char* environment[] = {nullptr};
  const int error =
      ::posix_spawn(&pid, program.c_str(), actions.get(), &attributes, argv, environment);
  ::posix_spawnattr_destroy(&attributes);
  return error;
}

// Reads to the end of file. False when the time is over first.
bool read_all(int fd, Deadline deadline, const Clock& clock, std::string& out) {
  char buffer[512];
  for (;;) {
    const int64_t left = to_ms(deadline - clock.now());
    if (left <= 0) return false;
    pollfd waiting{fd, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return true;
    if (out.size() < kOutputMax) out.append(buffer, static_cast<size_t>(n));
  }
}

// The status, or -1 when the host collects children itself (SIGCHLD ignored).
int reap(pid_t pid) {
  int status = 0;
  pid_t got;
  do {
    got = ::waitpid(pid, &status, 0);
  } while (got < 0 && errno == EINTR);
  return got == pid ? status : -1;
}

}  // namespace

Result<std::string> run_version(const std::string& program, milliseconds timeout) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return Error{Code::io_failed, fmt::format("pipe: {}", std::strerror(errno))};
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  pid_t pid = -1;
  if (const int error = spawn(program, writer.get(), pid)) {
    return Error{Code::io_failed,
                 fmt::format("{} can't be run: {}", program, std::strerror(error))};
  }
  writer.reset();
  const SystemClock clock;
  std::string output;
  const bool ended = read_all(reader.get(), clock.now() + timeout, clock, output);
  // Not reaped yet, so the group's id can't be anybody else's. A program that closed its output and
  // lives on is killed as well.
  ::kill(-pid, SIGKILL);
  const int status = reap(pid);
  if (!ended)
    return Error{Code::io_failed,
                 fmt::format("{} --version did not end within {} ms", program, timeout.count())};
  const bool failed = status != -1 && WIFEXITED(status) && WEXITSTATUS(status) != 0;
  if (failed)
    return Error{Code::io_failed,
                 fmt::format("{} --version ended with {}", program, WEXITSTATUS(status))};
  output = output.substr(0, std::min(output.find('\n'), kOutputMax));
  if (output.empty())
    return Error{Code::io_failed, fmt::format("{} --version printed nothing", program)};
  return output;
}

}  // namespace hearth
