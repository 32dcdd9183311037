// The spawner's start: configuration, policies, the template root, one trial sandbox, and the
// answer.
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>

#include "sandbox/landlock.h"
#include "sandbox/root.h"
#include "sandbox/spawner.h"
#include "sandbox/spawner_tags.h"

namespace hearth::sandbox {
namespace {

constexpr int kTrialTimeoutMs = 10'000;
constexpr rlim_t kFdsPerSlot = 4;       // status, mount namespace, pidfd, a family's status
constexpr rlim_t kFdsPerStarting = 13;  // report, kForkFds, the API's, and four for an agent
constexpr rlim_t kFdsFixed = 64;        // and what one launch needs for a moment

bool may_choose_uids() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  return (data[0].effective & (1u << CAP_SETUID)) != 0 &&
         (data[0].effective & (1u << CAP_SETGID)) != 0;
}

const char* fix_for(const Failure& failure) {
  if (strcmp(failure.step, "unshare the user namespace") == 0)
    return "; allow unprivileged user namespaces (sysctl user.max_user_namespaces, "
           "kernel.unprivileged_userns_clone=1, "
           "kernel.apparmor_restrict_unprivileged_userns=0)";
  if (strcmp(failure.step, "unshare the mount namespace") == 0)
    return "; strict mode needs root with CAP_SYS_ADMIN: run as root, or use mode user";
  return "";
}

// What the trial says of itself until its end. Its text lives until the next trial.
Failure trial_report(int report_fd) {
  static Report report;
  static char step[sizeof report.step];
  Failure failure{"the worker did not get to its exec", EPROTO};
  pollfd poll_fd{report_fd, POLLIN, 0};
  while (true) {
    if (poll(&poll_fd, 1, kTrialTimeoutMs) <= 0) {
      failure = {"the trial sandbox did not start in time", ETIMEDOUT};
      break;
    }
    if (recv(report_fd, &report, sizeof report, 0) != sizeof report) break;
    if (report.kind == Report::Kind::kWorker) failure = {};
    if (report.kind != Report::Kind::kFailed) continue;
    copy_text(step, report.step);
    failure = {step, report.error};
  }
  return failure;
}

}  // namespace

Spawner::Spawner(int control, int lifeline) : control_(control), lifeline_(lifeline) {}

Failure Spawner::watch(int fd, uint64_t tag, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0 ? Failure{}
                                                                 : Failure::at("epoll_ctl");
}

bool Spawner::receive_config(SpawnerConfig& config) {
  static std::byte buffer[sizeof(SpawnerConfig) + 1];
  pollfd fds[2] = {{control_.get(), POLLIN, 0}, {lifeline_.get(), POLLIN, 0}};
  while (poll(fds, 2, -1) < 0)
    if (errno != EINTR) return false;
  if (fds[1].revents != 0) return false;
  const ssize_t n = recv(control_.get(), buffer, sizeof buffer, 0);
  if (n <= 0) return false;
  Failure failure = check_config({buffer, static_cast<size_t>(n)}, config);
  if (!failure) return true;
  ReadyMessage ready{};
  ready.header = {kSpawnerMagic, MessageType::kReady};
  ready.error = failure.error;
  copy_text(ready.detail, failure.step);
  send(control_.get(), &ready, sizeof ready, MSG_NOSIGNAL);
  return false;
}

bool Spawner::start() {
  static SpawnerConfig config;
  static ReadyMessage ready;
  if (!receive_config(config)) return false;
  const bool good = set_up(config, ready);
  return send(control_.get(), &ready, sizeof ready, MSG_NOSIGNAL) == sizeof ready && good;
}

bool Spawner::set_up(const SpawnerConfig& config, ReadyMessage& ready) {
  config_ = config;
  ready = {};
  ready.header = {kSpawnerMagic, MessageType::kReady};
  ready.mode = config_.mode;
  if (Failure failure = prepare(ready.detail)) {
    ready.error = failure.error;
    if (ready.detail[0] == '\0')
      snprintf(ready.detail, sizeof ready.detail, "%s: %s%s", failure.step, strerror(failure.error),
               fix_for(failure));
    return false;
  }
  facts_.as_root = as_root_;
  facts_.cgroups = &cgroups_;
  ready.egress.on = egress_.available();
  copy_text(ready.egress.reason, egress_.reason());
  ready.zygote.on = zygotes_.available();
  copy_text(ready.zygote.reason, zygotes_.reason());
  describe_layers(config_.mode, facts_, ready.layers);
  return true;
}

Failure Spawner::raise_descriptor_limit() const {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return Failure::at("read the descriptor limit");
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) return Failure::at("raise the descriptor limit");
  const rlim_t starting = std::min(config_.slots_max, kStartingMax);
  if (limit.rlim_max < kFdsPerSlot * config_.slots_max + kFdsPerStarting * starting + kFdsFixed)
    return {"too few descriptors for slots_max: raise the hard RLIMIT_NOFILE", EMFILE};
  return {};
}

// Without mounts, a worker with a uid of its own must be able to walk to its code.
Failure Spawner::check_degraded_paths(char (&detail)[kDetailMax]) const {
  if (config_.mode != Mode::kDegraded || !as_root_) return {};
  for (const char* path : {config_.code_dir, config_.shim_dir}) {
    char partial[kPathMax];
    copy_text(partial, path);
    for (char* at = partial + 1;; ++at) {
      if (*at != '/' && *at != '\0') continue;
      const char kept = *at;
      *at = '\0';
      struct stat status;
      if (stat(partial, &status) != 0) return Failure::at("stat a folder of the configuration");
      if ((status.st_mode & S_IXOTH) == 0) {
        snprintf(detail, sizeof detail,
                 "degraded mode as root gives workers uids of their own, which can't pass %.100s; "
                 "chmod o+x it",
                 partial);
        return {"check the folders", EACCES};
      }
      *at = kept;
      if (kept == '\0') break;
    }
  }
  return {};
}

Failure Spawner::prepare(char (&detail)[kDetailMax]) {
  if (Failure f = raise_descriptor_limit()) return f;
  if (Failure f = filters_.compile(config_, detail)) return f;
  as_root_ = may_choose_uids();
  facts_.landlock_abi = landlock_abi();
  facts_.landlock_error = errno;
  if (Failure f = check_degraded_paths(detail)) return f;
  if (config_.mode == Mode::kStrict && !as_root_)
    return {"strict mode needs root with CAP_SETUID and CAP_SETGID: run as root, or use mode user",
            EPERM};
  open_cgroups();
  zygotes_.choose(config_);
  if (has_namespaces(config_.mode)) {
    if (Failure f = build_template(config_)) return f;
    own_mounts_.reset(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
    if (!own_mounts_.valid()) return Failure::at("open the own mount namespace");
  } else if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) {
    return Failure::at("become a subreaper");
  }
  egress_.prepare(config_.mode, filters_.of_agent());
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return Failure::at("become non-dumpable");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Failure::at("the lifeline of the sandboxes");
  init_lifeline_read_.reset(ends[0]);
  init_lifeline_write_.reset(ends[1]);
  if (Failure f = zygotes_.prepare(filters_, facts_.landlock_abi, own_mounts_.get(),
                                   init_lifeline_read_.get()))
    return f;
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGCHLD);
  if (sigprocmask(SIG_BLOCK, &blocked, nullptr) != 0) return Failure::at("block SIGCHLD");
  if (Failure f = run_trial_or_without_cgroups()) {
    snprintf(detail, sizeof detail, "a trial sandbox failed at: %.100s: %s", f.step,
             strerror(f.error));
    return f;
  }
  slots_ = std::make_unique<Slot[]>(config_.slots_max);
  families_ = std::make_unique<Family[]>(config_.slots_max);
  warm_ = std::make_unique<WarmStart[]>(kStartingMax);
  // Requests are not read while anything waits here, so it holds one answer and one exit a slot at
  // most.
  outgoing_max_ = 2 * size_t{config_.slots_max} + 2;
  outgoing_ = std::make_unique<Outgoing[]>(outgoing_max_);
  signals_.reset(signalfd(-1, &blocked, SFD_CLOEXEC | SFD_NONBLOCK));
  epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!signals_.valid() || !epoll_.valid()) return Failure::at("signalfd or epoll");
  if (!control_.valid()) return {};
  if (Failure f = watch(control_.get(), kTagControl, EPOLLIN | EPOLLRDHUP)) return f;
  if (Failure f = watch(lifeline_.get(), kTagLifeline, EPOLLIN)) return f;
  if (Failure f = watch(signals_.get(), kTagSignals, EPOLLIN)) return f;
  zygotes_.open(epoll_.get());
  return {};
}

// One whole sandbox, up to the exec that it leaves out: what can't be done shows here, not at the
// first call.
Failure Spawner::run_trial() {
  int report_fds[2], status_fds[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, report_fds) != 0)
    return Failure::at("socketpair");
  UniqueFd report_here(report_fds[0]), report_there(report_fds[1]);
  if (pipe2(status_fds, O_CLOEXEC) != 0) return Failure::at("pipe");
  UniqueFd status_here(status_fds[0]), status_there(status_fds[1]);
  const int null =
      open(has_namespaces(config_.mode) ? "/template/dev/null" : "/dev/null", O_RDWR | O_CLOEXEC);
  UniqueFd null_fd(null);
  Request request{};
  request.memory_bytes = config_.memory_max;
  const CgroupLimits limits = group_limits(request, 0, config_.tmp_bytes);
  UniqueFd clone_into;
  if (Failure f = cgroups_.prepare(0, limits, clone_into)) return f;
  const Launch trial{&config_,
                     nullptr,
                     filters_.of_runtime(0),
                     filters_.of_init(),
                     uid_of(0),
                     config_.memory_max,
                     data_limit(request, 0, config_.tmp_bytes),
                     nproc_limit(0),
                     config_.tmp_bytes,
                     nullptr,
                     "",
                     null,
                     null,
                     null,
                     report_there.get(),
                     status_there.get(),
                     init_lifeline_read_.get(),
                     facts_.landlock_abi,
                     Network::kNone,
                     clone_into.get()};
  const pid_t pid = launch(trial);
  if (pid < 0) return Failure::at("clone with new namespaces");
  if (Failure f = start_in_cgroup(0, pid, report_here.get())) return f;
  report_there.reset();
  const Failure failure = trial_report(report_here.get());
  // The worker exits by itself; the wait shows that a filter for the whole life works.
  int status = 0;
  if (failure) kill(pid, SIGKILL);
  if (waitpid(pid, &status, 0) != pid) return Failure::at("wait for the trial");
  if (!failure && status != 0) return {"the trial sandbox did not end well", EPROTO};
  return failure;
}

}  // namespace hearth::sandbox
