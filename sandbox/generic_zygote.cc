#include "sandbox/generic_zygote.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <memory>
#include <span>

#include "sandbox/confine.h"
#include "sandbox/egress/hook.h"
#include "sandbox/launch.h"
#include "sandbox/root.h"

// The files of the zygote, in the spawner's own image: those of the state folder are the engine's
// to change.
#define HEARTH_ZYGOTE_FILES(X)       \
  X(bootstrap, "bootstrap.py")       \
  X(calls, "_hearth_calls.py")       \
  X(channel, "_hearth_channel.py")   \
  X(exercise, "_hearth_exercise.py") \
  X(generic, "_hearth_generic.py")   \
  X(logs, "_hearth_logs.py")         \
  X(module, "_hearth_fork.abi3.so")

extern "C" {
#define HEARTH_DECLARE(symbol, name) \
  extern const std::byte hearth_blob_zygote_##symbol##_begin[], hearth_blob_zygote_##symbol##_end[];
HEARTH_ZYGOTE_FILES(HEARTH_DECLARE)
#undef HEARTH_DECLARE
}

namespace hearth::sandbox {
namespace {

constexpr int kScratchFd = 64;  // as in launch.cc
constexpr int kPythonMinorFirst = 6, kPythonMinorLast = 40;
constexpr int kNotStarted = 125;
constexpr uint64_t kReadOnly = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

// What launch() does, and nothing beyond.
constexpr int kCapabilities[] = {CAP_SETGID,    CAP_SETUID,     CAP_SETPCAP,  CAP_NET_BIND_SERVICE,
                                 CAP_NET_ADMIN, CAP_SYS_CHROOT, CAP_SYS_ADMIN};

struct File {
  const char* name;
  const std::byte *begin, *end;
};
const File kFiles[] = {
#define HEARTH_FILE(symbol, name) \
  {name, hearth_blob_zygote_##symbol##_begin, hearth_blob_zygote_##symbol##_end},
    HEARTH_ZYGOTE_FILES(HEARTH_FILE)
#undef HEARTH_FILE
};

Failure make_read_only(const char* path) {
  mount_attr attributes{};
  attributes.attr_set = kReadOnly;
  return mount_setattr(AT_FDCWD, path, 0, &attributes, sizeof attributes) == 0
             ? Failure{}
             : Failure::at("make a folder of the zygote read-only");
}

Failure write_shims() {
  if (mount("shims", "var/runtime", "tmpfs", MS_NOSUID | MS_NODEV,
            "size=2m,nr_inodes=32,mode=0755") != 0)
    return Failure::at("mount the zygote's shims");
  if (mkdir("var/runtime/python", 0755) != 0) return Failure::at("mkdir for the zygote's shims");
  for (const File& file : kFiles) {
    char path[96];
    snprintf(path, sizeof path, "var/runtime/python/%s", file.name);
    UniqueFd fd(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
    const ssize_t size = file.end - file.begin;
    if (!fd.valid() || write(fd.get(), file.begin, static_cast<size_t>(size)) != size)
      return Failure::at("write the zygote's shims");
  }
  return make_read_only("var/runtime");
}

// Third-party packages may run code at an interpreter's start (*.pth). They are not there for the
// zygote; its workers catch up on them when they are confined.
Failure hide_packages(const char* folder) {
  struct stat status;
  if (lstat(folder, &status) != 0 || !S_ISDIR(status.st_mode)) return {};
  if (mount("none", folder, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
            "size=4k,nr_inodes=2,mode=0755") != 0)
    return Failure::at("hide third-party packages");
  return make_read_only(folder);
}

Failure hide_all_packages() {
  char path[96];
  for (const char* base : {"usr/lib", "usr/lib64", "usr/local/lib", "usr/local/lib64"})
    for (const char* name : {"dist-packages", "site-packages"}) {
      snprintf(path, sizeof path, "%s/python3/%s", base, name);
      if (Failure f = hide_packages(path)) return f;
      for (int minor = kPythonMinorFirst; minor <= kPythonMinorLast; ++minor) {
        snprintf(path, sizeof path, "%s/python3.%d/%s", base, minor, name);
        if (Failure f = hide_packages(path)) return f;
      }
    }
  return {};
}

Failure build_mounts(UniqueFd& mounts) {
  if (unshare(CLONE_NEWNS) != 0) return Failure::at("unshare the zygote's mount namespace");
  mounts.reset(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!mounts.valid()) return Failure::at("open the zygote's mount namespace");
  if (chdir("/template") != 0) return Failure::at("enter the zygote's root");
  if (Failure f = write_shims()) return f;
  if (Failure f = hide_all_packages()) return f;
  if (sys::pivot_root(".", ".") != 0) return Failure::at("pivot_root of the zygote");
  return umount2(".", MNT_DETACH) == 0 ? Failure{} : Failure::at("drop the zygote's old root");
}

// In mode user a worker makes its own user namespace, in which its parent's root is mapped.
bool kept(int capability, Mode mode) {
  if (capability == CAP_SETFCAP) return mode == Mode::kUser;
  for (const int k : kCapabilities)
    if (k == capability) return true;
  return false;
}

// Of the bounding set and, by the exec, of all others.
Failure keep_capabilities(Mode mode) {
  for (int capability = 0; capability < 64; ++capability) {
    if (kept(capability, mode) || prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;
    return Failure::at("drop the zygote's bounding set");
  }
  return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0
             ? Failure{}
             : Failure::at("clear the zygote's ambient set");
}

Failure place_zygote_descriptors(const ZygoteProcess& p) {
  const int wanted[] = {p.control, p.plan, p.own_mounts, p.lifeline};
  constexpr int kCount = kZygoteFdsEnd - kZygoteControl;
  int parked[kCount];
  for (int i = 0; i < kCount; ++i)
    if ((parked[i] = fcntl(wanted[i], F_DUPFD_CLOEXEC, kScratchFd)) < 0)
      return Failure::at("move a descriptor of the zygote");
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || dup2(null, 0) != 0 || dup2(null, 1) != 1)
    return Failure::at("open /dev/null for the zygote");
  for (int i = 0; i < kCount; ++i)
    if (dup2(parked[i], kZygoteControl + i) < 0)
      return Failure::at("place a descriptor of the zygote");
  return sys::close_range_from(kZygoteFdsEnd, ~0u) == 0
             ? Failure{}
             : Failure::at("close the zygote's other descriptors");
}

Failure become_zygote(const ZygoteProcess& p) {
  if (Failure f = die_with_parent(SIGKILL)) return f;
  if (setsid() < 0) return Failure::at("setsid of the zygote");
  if (setns(p.mounts, CLONE_NEWNS) != 0) return Failure::at("enter the zygote's mount namespace");
  if (unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
    return Failure::at("unshare the zygote's namespaces");
  if (Failure f = place_zygote_descriptors(p)) return f;
  if (Failure f = keep_capabilities(p.mode)) return f;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return Failure::at("set no_new_privs");
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const char* argv[kArgsMax + 2] = {p.runtime->path};
  for (size_t i = 0; i < p.runtime->args_count; ++i) argv[i + 1] = p.runtime->args[i];
  if (Failure f = load_filter(*p.filter)) return f;
  execve(p.runtime->path, const_cast<char* const*>(argv),
         const_cast<char* const*>(kWorkerEnvironment));
  return Failure::at("exec the zygote");
}

}  // namespace

Failure make_zygote_mounts(int own_mounts, UniqueFd& mounts) {
  const Failure failure = build_mounts(mounts);
  if (setns(own_mounts, CLONE_NEWNS) != 0) return Failure::at(kLostOwnMounts);
  if (failure) mounts.reset();
  return failure;
}

Failure check_interpreter(const SpawnerConfig& config, const RuntimeEntry& runtime) {
  if (strncmp(runtime.path, "/usr/", 5) != 0 || strstr(runtime.path, "/../") != nullptr)
    return {"the interpreter is not in /usr", EXDEV};
  if (config.mode != Mode::kStrict) return {};  // the zygote has no right that its user has not
  char path[kPathMax];
  copy_text(path, runtime.path);
  // Every folder of the way, and the file that a link leads to.
  for (char* end = path + strlen(path); end > path; end = strrchr(path, '/')) {
    *end = '\0';
    if (path[0] == '\0') break;
    struct stat status;
    if (stat(path, &status) != 0) return Failure::at("find the interpreter");
    const bool group_writes = (status.st_mode & S_IWGRP) != 0 && status.st_gid != 0;
    if (status.st_uid != 0 || group_writes || (status.st_mode & S_IWOTH) != 0)
      return {"the interpreter can be changed by others than root", EPERM};
  }
  return {};
}

Failure make_zygote_plan(const ZygoteImage& image, UniqueFd& fd) {
  static ZygotePlan plan;
  const sock_fprog* const filters[] = {image.filter, image.egress_filter, image.init_filter};
  plan = {kZygoteMagic, image.runtime, image.landlock, {}, *image.config};
  size_t size = sizeof plan;
  for (size_t i = 0; i < 3; ++i) {
    plan.filters[i] = filters[i]->len;
    size += filters[i]->len * sizeof(sock_filter);
  }
  // One buffer at the start of the spawner, which takes no memory later.
  const std::unique_ptr<std::byte[]> bytes(new std::byte[size]);
  memcpy(bytes.get(), &plan, sizeof plan);
  std::byte* at = bytes.get() + sizeof plan;
  for (const sock_fprog* filter : filters) {
    memcpy(at, filter->filter, filter->len * sizeof(sock_filter));
    at += filter->len * sizeof(sock_filter);
  }
  return egress::make_sealed("hearth-zygote", {bytes.get(), size}, fd);
}

pid_t start_zygote(const ZygoteProcess& process) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  const Failure failure = become_zygote(process);
  char text[160];
  const int length = snprintf(text, sizeof text, "hearth: no zygote for %s: %s: %s\n",
                              process.runtime->name, failure.step, strerror(failure.error));
  [[maybe_unused]] const ssize_t n = write(2, text, static_cast<size_t>(length));
  _exit(kNotStarted);
}

}  // namespace hearth::sandbox
