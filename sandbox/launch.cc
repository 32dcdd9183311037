#include "sandbox/launch.h"

#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/unique_fd.h"
#include "sandbox/confine.h"
#include "sandbox/egress/hook.h"
#include "sandbox/environment.h"
#include "sandbox/landlock.h"
#include "sandbox/root.h"
#include "sandbox/tree.h"

namespace hearth::sandbox {

const char* const kWorkerEnvironment[] = {"PATH=/usr/local/bin:/usr/bin:/bin",
                                          "LANG=C.UTF-8",
                                          "TZ=:UTC",
                                          "HOME=/tmp",
                                          "TMPDIR=/tmp",
                                          "PYTHONDONTWRITEBYTECODE=1",
                                          "MALLOC_ARENA_MAX=2",
                                          nullptr};

namespace {

constexpr uint64_t kNamespaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS;
constexpr int kSetupFailed =
    125;  // exit status of init and of a worker that never came to its exec
constexpr int kChannelFd = 3;
constexpr int kReportFd = 4;    // of a worker until its exec
constexpr int kScratchFd = 64;  // descriptors are parked above this while 0..4 are put in place

constexpr int kGoTimeoutMs = 10'000;

[[noreturn]] void fail(const Launch& l, const Failure& failure) {
  Report report{Report::Kind::kFailed, failure.error, {}};
  copy_text(report.step, failure.step);
  // MSG_NOSIGNAL: the spawner may be gone, then there is nobody to tell.
  [[maybe_unused]] const ssize_t sent = send(l.report, &report, sizeof report, MSG_NOSIGNAL);
  _exit(kSetupFailed);
}

// When nobody listens to reports any more: the worker's stderr is all there is.
[[noreturn]] void fail_late(const Failure& failure) {
  char text[128];
  const int length =
      snprintf(text, sizeof text, "hearth: %s: %s\n", failure.step, strerror(failure.error));
  [[maybe_unused]] const ssize_t n = write(STDERR_FILENO, text, static_cast<size_t>(length));
  _exit(kSetupFailed);
}

void must(const Launch& l, const Failure& failure) {
  if (failure) fail(l, failure);
}

Failure loopback_up() {
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Failure::at("socket for the loopback");
  ifreq request{};
  copy_text(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  return ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0 ? Failure{}
                                                      : Failure::at("bring the loopback up");
}

Failure send_descriptor(int report_fd, Report::Kind kind, int fd) {
  Report report{kind, 0, {}};
  iovec data{&report, sizeof report};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return sendmsg(report_fd, &message, MSG_NOSIGNAL) > 0 ? Failure{}
                                                        : Failure::at("send a descriptor");
}

Failure send_namespace(int report_fd, Report::Kind kind, const char* path) {
  UniqueFd ns(open(path, O_RDONLY | O_CLOEXEC));
  if (!ns.valid()) return Failure::at("open a namespace");
  return send_descriptor(report_fd, kind, ns.get());
}

// The name server's socket: the agent is in another network namespace and has no rights here.
Failure send_stub(int report_fd) {
  UniqueFd stub;
  if (Failure f = egress::open_stub_socket(stub)) return f;
  return send_descriptor(report_fd, Report::Kind::kStub, stub.get());
}

// There is no network to be fair to inside: reno never paces and does the least work a segment.
// Where this can't be set, the system's own does as well, only slower.
void prefer_reno() {
  UniqueFd fd(open("/proc/sys/net/ipv4/tcp_congestion_control", O_WRONLY | O_CLOEXEC));
  [[maybe_unused]] const ssize_t n = fd.valid() ? write(fd.get(), "reno", 4) : 0;
}

// Whoever connects to it is in this network namespace, whoever accepts.
Failure send_api_listener(int report_fd) {
  constexpr int kBacklog = 128;
  prefer_reno();
  UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Failure::at("socket for the API");
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kApiPort);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return Failure::at("bind the API's socket");
  if (listen(fd.get(), kBacklog) != 0) return Failure::at("listen for the API");
  return send_descriptor(report_fd, Report::Kind::kApi, fd.get());
}

// From here on, what the filter notifies waits for the agent.
Failure load_filter_and_send_listener(const Launch& l) {
  UniqueFd listener;
  if (Failure f = egress::load_filter_with_listener(*l.filter, listener)) return f;
  return send_descriptor(l.report, Report::Kind::kListener, listener.get());
}

Failure place_descriptors(Launch& l) {
  int* const wanted[] = {&l.channel, &l.out, &l.err, &l.report};
  for (int* fd : wanted) {
    *fd = fcntl(*fd, F_DUPFD_CLOEXEC, kScratchFd);
    if (*fd < 0) return Failure::at("move a descriptor");
  }
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0) return Failure::at("open /dev/null");
  if ((null != 0 && dup2(null, 0) < 0) || dup2(l.out, 1) < 0 || dup2(l.err, 2) < 0 ||
      dup2(l.channel, 3) < 0 || dup3(l.report, kReportFd, O_CLOEXEC) < 0)
    return Failure::at("place a descriptor");
  if (null == 0 && fcntl(0, F_SETFD, 0) != 0) return Failure::at("keep descriptor 0");
  l.report = kReportFd;
  if (sys::close_range_from(kReportFd + 1, ~0u) != 0)
    return Failure::at("close the other descriptors");
  return {};
}

// What stands for a number in an interpreter's argument: the worker's memory, the part of it for a
// heap (3/4), and the size of a young generation (1/32, 4 to 16).
struct Placeholder {
  const char* name;
  unsigned long long mib;
};

// One argument of the interpreter, with what stands for something in it replaced.
void expand_argument(const Launch& l, const char* from, char* to, size_t room) {
  const unsigned long long memory = l.memory_bytes >> 20;
  const unsigned long long young = memory / 32 < 4 ? 4 : memory / 32 > 16 ? 16 : memory / 32;
  const Placeholder placeholders[] = {
      {"{memory_mb}", memory}, {"{heap_mb}", memory * 3 / 4}, {"{young_mb}", young}};
  const size_t runtime_length = strlen(kRuntimeDir);
  const char* prefix = "";
  if (!has_namespaces(l.config->mode) && strncmp(from, kRuntimeDir, runtime_length) == 0 &&
      from[runtime_length] == '/') {
    prefix = l.config->shim_dir;
    from += runtime_length;
  }
  for (const Placeholder& p : placeholders) {
    const char* at = strstr(from, p.name);
    if (at == nullptr) continue;
    snprintf(to, room, "%s%.*s%llu%s", prefix, static_cast<int>(at - from), from, p.mib,
             at + strlen(p.name));
    return;
  }
  snprintf(to, room, "%s%s", prefix, from);
}

void load_final_filter(const Launch& l) {
  if (l.network != Network::kNone)
    must(l, load_filter_and_send_listener(l));
  else if (l.filter != nullptr)
    must(l, load_filter(*l.filter));
}

[[noreturn]] void exec_worker(const Launch& l) {
  static char path[2 * kPathMax + kSha256Hex];
  static char texts[kArgsMax][kPathMax + sizeof(RuntimeEntry{}.args[0]) + 24];
  const char* argv[kArgsMax + 2] = {path};
  const RuntimeEntry& runtime = *l.runtime;
  if (runtime.path[0] != '\0')
    snprintf(path, sizeof path, "%s", runtime.path);
  else if (has_namespaces(l.config->mode))
    snprintf(path, sizeof path, "%s/%s", kTaskDir, l.entry);
  else
    snprintf(path, sizeof path, "%s/%s/%s", l.config->code_dir, l.code, l.entry);
  const size_t skipped = l.own_environment ? runtime.environment_skips : 0;
  for (size_t i = skipped; i < runtime.args_count; ++i) {
    expand_argument(l, runtime.args[i], texts[i], sizeof texts[i]);
    argv[i + 1 - skipped] = texts[i];
  }
  load_final_filter(l);
  const char* const* environment = kWorkerEnvironment;
  if (l.own_environment) {
    // Its end tells the spawner that the sandbox is made, and starts the agent if there is one.
    close(l.report);
    if (const Failure failure = read_environment(kChannelFd, kWorkerEnvironment, environment))
      fail_late(failure);
  }
  if (runtime.api == 1) close(kChannelFd);
  execve(path, const_cast<char* const*>(argv), const_cast<char* const*>(environment));
  if (l.own_environment) fail_late(Failure::at("exec the worker"));
  fail(l, Failure::at("exec the worker"));
}

bool forked_warm(const Launch& l) { return l.own_mounts >= 0; }

// What an exec would have done to the process that goes on without one.
Failure look_executed(const Launch& l) {
  const char* const slash = strrchr(l.runtime->path, '/');
  if (prctl(PR_SET_NAME, slash == nullptr ? l.runtime->path : slash + 1, 0, 0, 0) != 0)
    return Failure::at("take the interpreter's name");
  // As after an exec: its files in /proc are its own, and an agent can look at its calls.
  return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 ? Failure{} : Failure::at("become dumpable");
}

// Returns only in a worker that was forked warm.
void run_worker(Launch l, pid_t init) {
  const Mode mode = l.config->mode;
  if (setsid() < 0) fail(l, Failure::at("setsid"));
  must(l, place_descriptors(l));  // before the limit on descriptors
  if (mode == Mode::kUser) must(l, enter_own_user_namespace());
  if (mode == Mode::kUser && l.network != Network::kNone)
    must(l, send_namespace(l.report, Report::Kind::kUserNamespace, "/proc/self/ns/user"));
  if (mode != Mode::kOff) must(l, drop_privileges(l.uid));
  if (mode != Mode::kOff && l.landlock > 0)
    must(l, restrict_files({l.config, l.runtime, l.code, l.landlock}));
  const SpawnerConfig& config = *l.config;
  must(l, set_limits({.data_bytes = l.data_bytes,
                      .file_bytes = file_limit(l.data_bytes, l.tmp_bytes),
                      .nofile = config.nofile,
                      .nproc = l.nproc}));
  must(l, die_with_parent(SIGKILL));
  if (getppid() != init) _exit(kSetupFailed);  // it died before the line above
  umask(022);
  // Where Lambda starts a bootstrap; the others' shims go where their functions are.
  const bool in_task = l.runtime != nullptr && l.runtime->api == 1;
  if (chdir(in_task ? kTaskDir : "/tmp") != 0) fail(l, Failure::at("chdir"));
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const Report report{Report::Kind::kWorker, 0, {}};
  if (send(l.report, &report, sizeof report, MSG_NOSIGNAL) != sizeof report) _exit(kSetupFailed);
  if (forked_warm(l)) {
    must(l, look_executed(l));
    load_final_filter(l);
    close(l.report);
    return;
  }
  if (l.runtime != nullptr) exec_worker(l);
  if (l.filter != nullptr) must(l, load_filter(*l.filter));
  _exit(0);
}

// Without a pid namespace, init's death frees the others: it kills them first.
void kill_all_below() {
  while (true) {
    kill_descendants(getpid());
    while (true) {
      const pid_t pid = static_cast<pid_t>(syscall(SYS_wait4, -1, nullptr, WNOHANG, nullptr));
      if (pid < 0) return;
      if (pid == 0) break;
    }
    poll(nullptr, 0, 1);
  }
}

[[noreturn]] void end_init(const Launch& l, int exit_code) {
  if (!has_namespaces(l.config->mode)) kill_all_below();
  _exit(exit_code);
}

void reap(const Launch& l, pid_t worker) {
  while (true) {
    int status = 0;
    // wait4 itself, not waitpid: the call that the policy names.
    const pid_t pid = static_cast<pid_t>(syscall(SYS_wait4, -1, &status, WNOHANG, nullptr));
    if (pid <= 0) return;
    if (l.family) {
      // If the pipe is full the spawner will see by itself that a worker has gone.
      const ProcessEnd end{pid, status};
      [[maybe_unused]] const ssize_t n = write(l.status, &end, sizeof end);
      continue;
    }
    if (pid != worker) continue;
    if (!has_namespaces(l.config->mode)) kill_all_below();
    [[maybe_unused]] const ssize_t n = write(l.status, &status, sizeof status);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
}

[[noreturn]] void watch_worker(const Launch& l, int signals, pid_t worker) {
  pollfd fds[2] = {{l.lifeline, POLLIN, 0}, {signals, POLLIN, 0}};
  reap(l, worker);  // forget_handlers() has also forgotten a SIGCHLD that had come by then
  while (true) {
    if (poll(fds, 2, -1) < 0 && errno != EINTR) end_init(l, kSetupFailed);
    if (fds[0].revents != 0) end_init(l, kSetupFailed);
    if (fds[1].revents == 0) continue;
    signalfd_siginfo info;
    if (read(signals, &info, sizeof info) == sizeof info && info.ssi_signo == SIGTERM)
      end_init(l, kSetupFailed);
    reap(l, worker);
  }
}

// Moves what init keeps to 0.., and closes all else.
Failure keep_init_descriptors(Launch& l, int& signals) {
  int* const kept[] = {&l.lifeline, &l.status, &l.report, &signals};
  int next = 0;
  for (int* fd : kept)
    if ((*fd = fcntl(*fd, F_DUPFD_CLOEXEC, kScratchFd)) < 0)
      return Failure::at("move a descriptor of init");
  for (int* fd : kept) {
    if (dup3(*fd, next, O_CLOEXEC) < 0) return Failure::at("place a descriptor of init");
    *fd = next++;
  }
  if (sys::close_range_from(static_cast<unsigned>(next), ~0u) != 0)
    return Failure::at("close the other descriptors of init");
  return {};
}

// Until the spawner has put us into our cgroups; the namespace made then begins there.
Failure wait_for_go(const Launch& l) {
  pollfd poll_fd{l.report, POLLIN, 0};
  char byte;
  if (poll(&poll_fd, 1, kGoTimeoutMs) <= 0 || recv(l.report, &byte, sizeof byte, 0) != sizeof byte)
    return {"wait for the spawner", ETIMEDOUT};
  if (has_namespaces(l.config->mode) && unshare(CLONE_NEWCGROUP) != 0)
    return Failure::at("unshare the cgroup namespace");
  return {};
}

// A clone of the generic zygote: says that it is there, since nobody knows its pid yet.
Failure report_init(const Launch& l) {
  const Report report{Report::Kind::kInit, 0, {}};
  return send(l.report, &report, sizeof report, MSG_NOSIGNAL) == sizeof report
             ? Failure{}
             : Failure::at("report as init");
}

// The clone left out the mount namespace: it is to be a copy of the spawner's, not the zygote's.
Failure copy_own_mounts(const Launch& l) {
  if (setns(l.own_mounts, CLONE_NEWNS) != 0)
    return Failure::at("enter the spawner's mount namespace");
  return unshare(CLONE_NEWNS) == 0 ? Failure{} : Failure::at("unshare the mount namespace of init");
}

// Handlers of the interpreter that it was cloned from are not init's.
void forget_handlers() {
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) sigaction(number, &standard, nullptr);
}

// Returns only in a worker that was forked warm.
void run_init(Launch l) {
  const bool namespaces = has_namespaces(l.config->mode);
  const int death_signal = namespaces ? SIGKILL : SIGTERM;
  must(l, die_with_parent(death_signal));
  prctl(PR_SET_NAME, "hearth-init", 0, 0, 0);
  if (setsid() < 0) fail(l, Failure::at("setsid of init"));
  if (forked_warm(l)) must(l, report_init(l));
  must(l, wait_for_go(l));
  if (forked_warm(l)) must(l, copy_own_mounts(l));
  if (namespaces) {
    if (sethostname("hearth", 6) != 0) fail(l, Failure::at("set the host name"));
    if (l.network != Network::kHost) must(l, loopback_up());
    if (l.network == Network::kEgress) must(l, send_stub(l.report));
    if (l.runtime != nullptr && l.runtime->api == 1) must(l, send_api_listener(l.report));
    must(l, send_namespace(l.report, Report::Kind::kMounts, "/proc/self/ns/mnt"));
    must(l, enter_sandbox_root({l.tmp_bytes, l.code, l.network == Network::kHost}));
  } else if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
    fail(l, Failure::at("become a subreaper"));
  }
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  sigaddset(&watched, SIGTERM);
  sigprocmask(SIG_SETMASK, &watched, nullptr);
  int signals = signalfd(-1, &watched, SFD_CLOEXEC);
  if (signals < 0) fail(l, Failure::at("signalfd of init"));
  const pid_t init = getpid();
  const pid_t worker = fork();
  if (worker < 0) fail(l, Failure::at("fork the worker"));
  if (worker == 0) return run_worker(l, init);
  forget_handlers();
  must(l, keep_init_descriptors(l, signals));
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) fail(l, Failure::at("make init non-dumpable"));
  if (l.config->mode != Mode::kOff) must(l, drop_privileges(l.uid));
  must(l, die_with_parent(death_signal));
  close(l.report);
  if (namespaces && load_filter(*l.init_filter)) _exit(kSetupFailed);
  watch_worker(l, signals, worker);
}

}  // namespace

pid_t launch(const Launch& l) {
  const uint64_t network = l.network == Network::kHost ? 0 : CLONE_NEWNET;
  uint64_t flags = has_namespaces(l.config->mode) ? kNamespaces | network : 0;
  if (forked_warm(l)) flags = (flags & ~uint64_t{CLONE_NEWNS}) | CLONE_PARENT;
  const pid_t pid = sys::clone3(flags, l.cgroup);
  if (pid == 0) run_init(l);
  return pid;
}

}  // namespace hearth::sandbox
