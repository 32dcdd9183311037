#include "sandbox/start.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/blob.h"

namespace hearth::sandbox {
namespace {

// ThreadSanitizer keeps its state of the calling thread in memory, and loses it when a child shares
// that memory: its builds pay for a copy. (A failed exec is then told by the missing kReady only.)
#ifdef __SANITIZE_THREAD__
constexpr int kShareMemory = 0;
#else
constexpr int kShareMemory = CLONE_VM;
#endif

constexpr size_t kChildStack = 64 << 10;
constexpr int kFirstFd = 3;
constexpr int kParkFd = 10;  // the child moves what it keeps above the numbers that it fills
#ifndef MFD_EXEC
constexpr unsigned kMfdExec = 0x10U;
#else
constexpr unsigned kMfdExec = MFD_EXEC;
#endif

Error failed(const char* what) {
  return Error{Code::io_failed, std::string(what) + ": " + strerror(errno)};
}

// Sealed: nobody who gets hold of the descriptor can change the program under us.
Result<UniqueFd> make_image(const Image& image) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  // Before Linux 6.3 the flag is unknown and a memfd may always be executed.
  UniqueFd fd(memfd_create(image.name, kFlags | kMfdExec));
  if (!fd.valid() && errno == EINVAL) fd.reset(memfd_create(image.name, kFlags));
  if (!fd.valid()) return failed("memfd_create for a program");
  std::span<const std::byte> rest = image.bytes;
  while (!rest.empty()) {
    const ssize_t n = write(fd.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return failed("write a program");
    rest = rest.subspan(static_cast<size_t>(n));
  }
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
    return failed("seal a program");
  return fd;
}

struct ChildPlan {
  int image;
  const int* fds;
  int fds_count;
  const char* name;
  const char* argument;
  int error;  // written by the child: it shares our memory until its exec
};

// Gives up every descriptor but stderr, the image (whose number is returned, -1: failed) and what
// the program is to have. At once: a host that is killed meanwhile must not live on in the locks
// and the pipes that its child still holds.
__attribute__((no_sanitize("address"))) int keep_only(const ChildPlan& plan) {
  const int image = fcntl(plan.image, F_DUPFD_CLOEXEC, kParkFd);
  if (image < 0) return -1;
  int parked[kImageFdsMax];
  for (int i = 0; i < plan.fds_count; ++i) {
    parked[i] = fcntl(plan.fds[i], F_DUPFD_CLOEXEC, kParkFd);
    if (parked[i] < 0) return -1;
  }
  for (int i = 0; i < plan.fds_count; ++i)
    if (dup2(parked[i], kFirstFd + i) != kFirstFd + i) return -1;
  const int first = kFirstFd + plan.fds_count;
  syscall(SYS_close_range, static_cast<unsigned>(first), static_cast<unsigned>(image - 1), 0U);
  syscall(SYS_close_range, static_cast<unsigned>(image + 1), ~0U, 0U);
  const int null = open("/dev/null", O_RDWR);
  if (null < 0 || dup2(null, 0) != 0 || dup2(null, 1) != 1) return -1;
  if (null > 2) close(null);
  return image;
}

// Runs on a borrowed stack in shared memory: system calls only. It never returns, so marks that
// AddressSanitizer put on the stack would stay behind in whatever is mapped there next.
__attribute__((no_sanitize("address"))) int child_main(void* context) {
  ChildPlan& plan = *static_cast<ChildPlan*>(context);
  const int image = keep_only(plan);
  // Handlers would run in the host's memory, and what the host ignores must not stay ignored in the
  // workers.
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) sigaction(number, &standard, nullptr);
  // Ctrl-C in the host's terminal is for the host, which then drains.
  setsid();
  if (image >= 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    const char* argv[] = {plan.name, plan.argument, nullptr};
    const char* envp[] = {nullptr};
    syscall(SYS_execveat, image, "", argv, envp, AT_EMPTY_PATH);
  }
  plan.error = errno;
  _exit(127);
}

}  // namespace

Result<ImageProcess> run_image(const Image& program, const char* argument,
                               std::span<const int> fds) {
  HEARTH_ASSERT(fds.size() <= kImageFdsMax);
  UniqueFd image = HEARTH_TRY(make_image(program));
  void* stack = mmap(nullptr, kChildStack, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return failed("stack for a program's start");
  ChildPlan plan{image.get(), fds.data(), static_cast<int>(fds.size()), program.name, argument, 0};
  // No signal may reach the child while it shares our memory.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  const int pid = clone(child_main, static_cast<char*>(stack) + kChildStack,
                        kShareMemory | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &plan, &pidfd);
  const int clone_error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  munmap(stack, kChildStack);
  errno = clone_error;
  if (pid < 0) return failed("clone for a program");
  ImageProcess process{pid, UniqueFd(pidfd)};
  if (plan.error == 0) return process;
  siginfo_t info;
  waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd), &info, WEXITED);
  errno = plan.error;
  return failed("exec a sealed program (is /proc/sys/vm/memfd_noexec set?)");
}

Result<ImageProcess> run_image(const char* argument, int fd3, int fd4) {
  const int fds[] = {fd3, fd4};
  const size_t count = fd3 < 0 ? 0 : fd4 < 0 ? 1 : 2;
  return run_image({"hearth-spawner", spawner_image()}, argument, {fds, count});
}

Result<SpawnerProcess> start_spawner(const SpawnerConfig& config) {
  int control[2], lifeline[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) != 0)
    return failed("control socket");
  UniqueFd control_here(control[0]), control_there(control[1]);
  if (pipe2(lifeline, O_CLOEXEC) != 0) return failed("lifeline");
  UniqueFd lifeline_there(lifeline[0]), lifeline_here(lifeline[1]);
  ImageProcess process = HEARTH_TRY(run_image(nullptr, control_there.get(), lifeline_there.get()));
  SpawnerProcess spawner{std::move(control_here), std::move(lifeline_here),
                         std::move(process.pidfd), process.pid};
  SpawnerConfig message = config;
  message.header = {kSpawnerMagic, MessageType::kConfig};
  if (send(spawner.control.get(), &message, sizeof message, MSG_NOSIGNAL) !=
      static_cast<ssize_t>(sizeof message))
    return failed("send the configuration to the spawner");
  return spawner;
}

Result<ReadyMessage> wait_ready(const SpawnerProcess& spawner, std::chrono::milliseconds timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  pollfd fd{spawner.control.get(), POLLIN, 0};
  int ready;
  do {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    ready = poll(&fd, 1, left.count() > 0 ? static_cast<int>(left.count()) : 0);
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) return failed("wait for the spawner");
  if (ready == 0) return Error{Code::spawner_lost, "it did not get ready in time"};
  ReadyMessage message;
  const ssize_t n = recv(spawner.control.get(), &message, sizeof message, MSG_DONTWAIT);
  if (n != static_cast<ssize_t>(sizeof message) || message.header.magic != kSpawnerMagic ||
      message.header.type != MessageType::kReady)
    return Error{Code::spawner_lost, "it ended before it was ready"};
  message.detail[kDetailMax - 1] = '\0';
  if (message.error != 0) return Error{Code::sandbox_unavailable, message.detail};
  return message;
}

}  // namespace hearth::sandbox
