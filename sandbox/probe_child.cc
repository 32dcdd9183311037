#include "sandbox/probe_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/landlock.h"
#include "sandbox/spawner.h"

namespace hearth::sandbox {
namespace {

constexpr const char* kUserNsFix =
    "allow unprivileged user namespaces: sysctl user.max_user_namespaces=65536 (Debian, older: "
    "kernel.unprivileged_userns_clone=1; "
    "Ubuntu: kernel.apparmor_restrict_unprivileged_userns=0)";

void put(int fd, const char* name, bool available, const char* detail, const char* fix) {
  ProbeLine line{};
  copy_text(line.name, name);
  copy_text(line.detail, detail);
  copy_text(line.fix, available ? "" : fix);
  line.available = available;
  [[maybe_unused]] const ssize_t n = write(fd, &line, sizeof line);
}

// Runs `trial` in a child; its result is an errno, 0 = it works.
int in_child(int (*trial)()) {
  const pid_t pid = fork();
  if (pid < 0) return errno;
  if (pid == 0) _exit(trial() & 0xff);
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) return errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : EPROTO;
}

struct Trial {
  const char* name;
  int (*run)();
  const char* fix;
};

template <int flags>
int try_unshare() {
  return unshare(flags) == 0 ? 0 : errno;
}
int try_user_ns_with_mounts() {
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return errno;
  return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 ? 0 : errno;
}
int try_seccomp() {
  const uint32_t action = SECCOMP_RET_KILL_PROCESS;
  return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0 ? 0 : errno;
}
int try_close_range() { return sys::close_range_from(~0u, ~0u) == 0 ? 0 : errno; }
int try_mount_api() {
  // A bad flag: EINVAL = the kernel has the call.
  syscall(SYS_mount_setattr, -1, "", ~0u, nullptr, 0);
  return errno == ENOSYS ? ENOSYS : 0;
}

// Makes and removes the groups that a spawner of this user would have.
void probe_cgroups(int fd) {
  constexpr struct {
    Controller controller;
    const char* name;
  } kItems[] = {{Controller::kMemory, "cgroup: memory"},
                {Controller::kCpu, "cgroup: cpu"},
                {Controller::kPids, "cgroup: processes"},
                {Controller::kIo, "cgroup: io"},
                {Controller::kFreezer, "cgroup: freezer"}};
  Cgroups cgroups;
  cgroups.open();
  for (const auto& item : kItems) {
    const bool has = cgroups.has(item.controller);
    put(fd, item.name, has, has ? "works" : cgroups.why_not(item.controller),
        "run as root, or give the daemon a group of its own (systemd: Delegate=yes)");
  }
}

void probe_features(int fd) {
  const Trial trials[] = {
      {"user namespace", try_user_ns_with_mounts, kUserNsFix},
      {"mount namespace as is", try_unshare<CLONE_NEWNS>,
       "needs root with CAP_SYS_ADMIN (mode strict)"},
      {"network namespace as is", try_unshare<CLONE_NEWNET>,
       "needs root with CAP_SYS_ADMIN (mode strict)"},
      {"seccomp filter", try_seccomp, "needs a kernel with CONFIG_SECCOMP_FILTER (4.14 or later)"},
      {"close_range", try_close_range, "needs Linux 5.9 or later"},
      {"mount_setattr", try_mount_api, "needs Linux 5.12 or later"},
  };
  for (const Trial& trial : trials) {
    const int error = in_child(trial.run);
    put(fd, trial.name, error == 0, error == 0 ? "works" : strerror(error), trial.fix);
  }
  probe_cgroups(fd);
  const int landlock = landlock_abi();
  char text[64];
  if (landlock > 0)
    snprintf(text, sizeof text, "ABI %d", landlock);
  else
    copy_text(text, strerror(errno));
  put(fd, "landlock", landlock > 0, text,
      "needs Linux 5.13 or later, and landlock in the lsm= parameter of the kernel");
  utsname name;
  if (uname(&name) == 0) put(fd, "kernel", true, name.release, "");
}

void fill_config(SpawnerConfig& config, Mode mode) {
  config = {};
  config.header = {kSpawnerMagic, MessageType::kConfig};
  config.mode = mode;
  config.uid_base = 0x70000000;
  config.slots_max = 1;
  config.memory_max = 128u << 20;
  config.tmp_bytes = config.tmp_max = 1 << 20;
  config.nofile = 64;
  config.nproc = 16;
  copy_text(config.code_dir, "/usr");
  copy_text(config.shim_dir, "/usr");
  config.runtimes_count = 1;
  copy_text(config.runtimes[0].name, "native");
}

// The whole setup of a mode, with one trial sandbox, in a child that is then gone with all of it.
void probe_mode(int fd, Mode mode, const char* name, const char* fix) {
  const pid_t pid = fork();
  if (pid == 0) {
    static SpawnerConfig config;
    static ReadyMessage ready;
    fill_config(config, mode);
    bool good;
    {
      Spawner spawner(-1, -1);  // its end takes its cgroups away
      good = spawner.set_up(config, ready);
    }
    put(fd, name, good, good ? "a trial sandbox was started" : ready.detail, fix);
    _exit(0);
  }
  if (pid < 0 || waitpid(pid, nullptr, 0) != pid) put(fd, name, false, strerror(errno), "");
}

}  // namespace

int run_probe(int fd) {
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return 2;
  probe_mode(fd, Mode::kStrict, "mode strict",
             "run as root with CAP_SYS_ADMIN, SETUID, SETGID, SETPCAP, NET_ADMIN and SYS_CHROOT");
  probe_mode(fd, Mode::kUser, "mode user", kUserNsFix);
  probe_mode(fd, Mode::kDegraded, "mode degraded", "needs seccomp and no_new_privs");
  probe_features(fd);
  return 0;
}

}  // namespace hearth::sandbox
