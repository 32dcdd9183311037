#include "sandbox/root.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/unique_fd.h"

namespace hearth::sandbox {
namespace {

// Where the new tree is put together; hidden again by pivoting. It exists on every machine and is
// not needed by the spawner itself.
constexpr const char* kStage = "/usr";
constexpr size_t kPrefixesMax = kRuntimesMax;
constexpr size_t kCopiedFileMax = 1 << 20;

Failure write_file(int dir, const char* path, const char* text, size_t length) {
  UniqueFd fd(openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd.valid()) return Failure::at("create a file of the root");
  while (length > 0) {
    const ssize_t n = write(fd.get(), text, length);
    if (n < 0) return Failure::at("write a file of the root");
    text += n;
    length -= static_cast<size_t>(n);
  }
  return {};
}

Failure write_file(int dir, const char* path, const char* text) {
  return write_file(dir, path, text, strlen(text));
}

Failure write_proc(const char* path, const char* text) {
  UniqueFd fd(open(path, O_WRONLY | O_CLOEXEC));
  const size_t length = strlen(text);
  if (!fd.valid() || write(fd.get(), text, length) != static_cast<ssize_t>(length))
    return Failure::at(path);
  return {};
}

// A user namespace in which the caller's own uid and gid are 0, and nothing else is mapped.
Failure enter_outer_user_namespace() {
  const unsigned uid = geteuid();
  const unsigned gid = getegid();
  if (unshare(CLONE_NEWUSER) != 0) return Failure::at("unshare the user namespace");
  char map[32];
  // Some kernels lack the file; writing gid_map then fails by itself.
  if (Failure failure = write_proc("/proc/self/setgroups", "deny"))
    if (failure.error != ENOENT) return failure;
  snprintf(map, sizeof map, "0 %u 1\n", uid);
  if (Failure failure = write_proc("/proc/self/uid_map", map)) return failure;
  snprintf(map, sizeof map, "0 %u 1\n", gid);
  return write_proc("/proc/self/gid_map", map);
}

// A detached copy of a mount of the host, to be attached in the new tree.
struct Source {
  const char* path;
  const char* target;   // relative to the stage
  uint64_t attributes;  // set on the copy and all below it
  bool required;
  bool file;  // a file; else a folder
};

constexpr uint64_t kPlain = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
constexpr uint64_t kDevice = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;

constexpr Source kHostSources[] = {
    {"/proc", "proc", 0, true, false},
    {"/usr", "template/usr", kPlain, true, false},
    {"/etc/ssl", "template/etc/ssl", kPlain, false, false},
    {"/etc/alternatives", "template/etc/alternatives", kPlain, false, false},
    {"/dev/null", "template/dev/null", kDevice, true, true},
    {"/dev/zero", "template/dev/zero", kDevice, true, true},
    {"/dev/full", "template/dev/full", kDevice, true, true},
    {"/dev/random", "template/dev/random", kDevice, true, true},
    {"/dev/urandom", "template/dev/urandom", kDevice, true, true},
};
constexpr size_t kHostSourcesCount = sizeof kHostSources / sizeof *kHostSources;

// Small files that are copied: a mount each would make every sandbox slower.
constexpr const char* kCopiedFiles[] = {"ld.so.cache", "localtime", "services", "protocols",
                                        "mime.types"};
// Debian's OpenJDK N has its configuration in /etc/java-N-openjdk, and doesn't start without it.
constexpr int kJavaFirst = 8, kJavaLast = 40;
constexpr size_t kJavaMax = 4;
constexpr const char* kHostNameFiles[] = {"resolv.conf", "hosts"};
constexpr const char* kTopFolders[] = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"};

class TemplateBuilder {
 public:
  explicit TemplateBuilder(const SpawnerConfig& config) : config_(config) {}

  Failure build() {
    if (config_.mode == Mode::kUser && geteuid() == 0) {
      // Root's own uid must not be the workers': what root owns on the host would be theirs. The
      // copies are taken first, since the other uid may not be able to walk to the code store.
      if (Failure failure = enter_mount_namespace()) return failure;
      if (Failure failure = collect()) return failure;
      if (Failure failure = become(config_.uid_base)) return failure;
    }
    if (config_.mode == Mode::kUser)
      if (Failure failure = enter_outer_user_namespace()) return failure;
    if (Failure failure = enter_mount_namespace()) return failure;
    if (sources_count_ == 0)
      if (Failure failure = collect()) return failure;
    if (Failure failure = make_stage()) return failure;
    if (Failure failure = make_tree()) return failure;
    for (size_t i = 0; i < sources_count_; ++i)
      if (Failure failure = attach(i)) return failure;
    return finish();
  }

 private:
  static Failure enter_mount_namespace() {
    if (unshare(CLONE_NEWNS) != 0) return Failure::at("unshare the mount namespace");
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      return Failure::at("make the mounts private");
    return {};
  }

  static Failure become(uint32_t uid) {
    if (syscall(SYS_setgroups, 0, nullptr) != 0) return Failure::at("drop the groups of root");
    if (sys::set_gids(uid, uid, uid) != 0 || sys::set_uids(uid, uid, uid) != 0)
      return Failure::at("take a uid other than root's");
    // A changed uid makes a process non-dumpable, and its /proc files root's: the maps must be
    // written first.
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 ? Failure{} : Failure::at("become dumpable");
  }

  // All copies are taken before the stage hides anything.
  Failure collect() {
    for (const Source& source : kHostSources)
      if (Failure failure = take(source)) return failure;
    if (Failure failure = take({config_.code_dir, "code", kPlain, true, false})) return failure;
    if (Failure failure = take({config_.shim_dir, "template/var/runtime", kPlain, true, false}))
      return failure;
    for (const char* name : kTopFolders)
      if (Failure failure = take_top_folder(name)) return failure;
    for (size_t i = 0; i < config_.runtimes_count; ++i)
      if (Failure failure = take_prefix(config_.runtimes[i].path)) return failure;
    if (Failure failure = take_java()) return failure;
    etc_.reset(open("/etc", O_PATH | O_DIRECTORY | O_CLOEXEC));
    return etc_.valid() ? Failure{} : Failure::at("open /etc");
  }

  Failure take_java() {
    for (int version = kJavaFirst; version <= kJavaLast && javas_count_ < kJavaMax; ++version) {
      Java& java = javas_[javas_count_];
      snprintf(java.path, sizeof java.path, "/etc/java-%d-openjdk", version);
      if (access(java.path, F_OK) != 0) continue;
      snprintf(java.target, sizeof java.target, "template%s", java.path);
      ++javas_count_;
      if (Failure failure = take({java.path, java.target, kPlain, false, false})) return failure;
    }
    return {};
  }

  Failure take(const Source& source) {
    if (sources_count_ == kSourcesMax) return {"too many mounts", E2BIG};
    UniqueFd tree(
        open_tree(AT_FDCWD, source.path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
    if (!tree.valid()) {
      if (!source.required && errno == ENOENT) return {};
      return Failure::at(source.path);
    }
    if (source.attributes != 0) {
      mount_attr attributes{};
      attributes.attr_set = source.attributes;
      if (mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
                        sizeof attributes) != 0)
        return Failure::at("mount_setattr");
    }
    sources_[sources_count_] = source;
    trees_[sources_count_++] = std::move(tree);
    return {};
  }

  // /bin and the like are links into /usr on most machines and folders on others.
  Failure take_top_folder(const char* name) {
    char path[16];
    snprintf(path, sizeof path, "/%.12s", name);
    char(&link)[64] = links_[links_count_].target;
    const ssize_t length = readlink(path, link, sizeof link - 1);
    if (length > 0) {
      link[length] = '\0';
      links_[links_count_++].name = name;
      return {};
    }
    if (errno != EINVAL) return {};
    char* kept = folder_paths_[folders_count_++];
    snprintf(kept, sizeof folder_paths_[0], "%s", path);
    char* target = folder_paths_[folders_count_++];
    snprintf(target, sizeof folder_paths_[0], "template%s", path);
    return take({kept, target, kPlain, true, false});
  }

  // /opt/python/bin/python3 needs /opt/python; what lies in /usr is there already.
  Failure take_prefix(const char* interpreter) {
    if (interpreter[0] == '\0' || strncmp(interpreter, "/usr/", 5) == 0) return {};
    for (const char* name : kTopFolders) {
      const size_t length = strlen(name);
      if (strncmp(interpreter + 1, name, length) == 0 && interpreter[1 + length] == '/') return {};
    }
    if (strncmp(interpreter, "/tmp/", 5) == 0)
      return {"an interpreter in /tmp can't be seen in a sandbox", EINVAL};
    char* prefix = prefixes_[prefixes_count_].path;
    copy_text(prefixes_[prefixes_count_].path, interpreter);
    for (int up = 0; up < 2; ++up) {
      char* slash = strrchr(prefix, '/');
      if (slash == nullptr || slash == prefix)
        return {"the interpreter must lie in /usr or in a bin folder of its own prefix", EINVAL};
      *slash = '\0';
    }
    for (size_t i = 0; i < prefixes_count_; ++i)
      if (strcmp(prefixes_[i].path, prefix) == 0) return {};
    Prefix& entry = prefixes_[prefixes_count_++];
    memcpy(entry.target, "template", 8);
    memcpy(entry.target + 8, entry.path, sizeof entry.path);
    return take({entry.path, entry.target, kPlain, true, false});
  }

  Failure make_stage() {
    if (mount("hearth", kStage, "tmpfs", MS_NOSUID | MS_NODEV, "size=4m,nr_inodes=64,mode=0755") !=
        0)
      return Failure::at("mount the stage");
    if (chdir(kStage) != 0) return Failure::at("enter the stage");
    if (mkdir("template", 0755) != 0) return Failure::at("mkdir template");
    if (mount("hearth", "template", "tmpfs", MS_NOSUID | MS_NODEV,
              "size=8m,nr_inodes=1024,mode=0755") != 0)
      return Failure::at("mount the root");
    return {};
  }

  // mkdir -p for a path of our own making, relative to the stage.
  static Failure make_folders(const char* path) {
    char partial[kPathMax + 8];
    copy_text(partial, path);
    for (char* at = partial; *at != '\0'; ++at) {
      if (*at != '/' || at == partial) continue;
      *at = '\0';
      if (mkdir(partial, 0755) != 0 && errno != EEXIST) return Failure::at("mkdir in the root");
      *at = '/';
    }
    if (mkdir(partial, 0755) != 0 && errno != EEXIST) return Failure::at("mkdir in the root");
    return {};
  }

  Failure make_tree() {
    for (const char* path :
         {"template/etc", "template/dev/shm", "template/proc", "template/tmp", "template/var/task",
          "template/var/tmp", "template/run", "template/home", "template/root"})
      if (Failure failure = make_folders(path)) return failure;
    for (size_t i = 0; i < links_count_; ++i) {
      char path[32];
      snprintf(path, sizeof path, "template/%s", links_[i].name);
      if (symlink(links_[i].target, path) != 0) return Failure::at("symlink in the root");
    }
    const char* const devices[][2] = {{"/proc/self/fd", "template/dev/fd"},
                                      {"/proc/self/fd/0", "template/dev/stdin"},
                                      {"/proc/self/fd/1", "template/dev/stdout"},
                                      {"/proc/self/fd/2", "template/dev/stderr"}};
    for (const auto& device : devices)
      if (symlink(device[0], device[1]) != 0) return Failure::at("symlink in /dev");
    UniqueFd etc(open("template/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!etc.valid()) return Failure::at("open the new /etc");
    for (const char* name : kCopiedFiles)
      if (Failure failure = copy_file(name, etc.get())) return failure;
    if (Failure failure = copy_host_names()) return failure;
    if (Failure failure = write_accounts(etc.get())) return failure;
    if (Failure failure = write_file(etc.get(), "hosts", "127.0.0.1 localhost\n::1 localhost\n"))
      return failure;
    if (Failure failure = write_file(etc.get(), "resolv.conf", "nameserver 127.0.0.1\n"))
      return failure;
    return write_file(etc.get(), "nsswitch.conf",
                      "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n"
                      "protocols: files\n");
  }

  Failure copy_host_names() {
    if (config_.allow_host_network == 0) return {};
    if (mkdir("host", 0755) != 0) return Failure::at("mkdir host");
    UniqueFd host(open("host", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!host.valid()) return Failure::at("open the folder of the host's names");
    for (const char* name : kHostNameFiles)
      if (Failure failure = copy_file(name, host.get())) return failure;
    return {};
  }

  Failure copy_file(const char* name, int to) {
    UniqueFd from(openat(etc_.get(), name, O_RDONLY | O_CLOEXEC));
    struct stat status;
    if (!from.valid() || fstat(from.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
        status.st_size > static_cast<off_t>(kCopiedFileMax))
      return {};  // optional: a program that misses it says so
    UniqueFd fd(openat(to, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    if (!fd.valid()) return Failure::at("create a copied file");
    char buffer[16384];
    ssize_t n;
    while ((n = read(from.get(), buffer, sizeof buffer)) > 0)
      if (write(fd.get(), buffer, static_cast<size_t>(n)) != n) return Failure::at("copy a file");
    return n == 0 ? Failure{} : Failure::at("read a file to copy");
  }

  // os.userInfo() of Node fails for a uid without a name, so every slot's uid has one.
  Failure write_accounts(int etc) {
    const bool strict = config_.mode == Mode::kStrict;
    const size_t count = strict ? config_.slots_max : 1;
    const size_t room = 128 + count * 64;
    char* text = static_cast<char*>(malloc(room));
    if (text == nullptr) return Failure::at("memory for the accounts");
    size_t users = static_cast<size_t>(snprintf(text, room, "root:x:0:0::/:/usr/sbin/nologin\n"));
    for (size_t i = 0; i < count; ++i) {
      const unsigned uid =
          strict ? config_.uid_base + static_cast<unsigned>(i) : kWorkerUidInUserNs;
      users += static_cast<size_t>(snprintf(
          text + users, room - users, "worker%zu:x:%u:%u::/tmp:/usr/sbin/nologin\n", i, uid, uid));
    }
    Failure failure = write_file(etc, "passwd", text, users);
    size_t groups = static_cast<size_t>(snprintf(text, room, "root:x:0:\n"));
    for (size_t i = 0; i < count; ++i) {
      const unsigned gid =
          strict ? config_.uid_base + static_cast<unsigned>(i) : kWorkerUidInUserNs;
      groups +=
          static_cast<size_t>(snprintf(text + groups, room - groups, "worker%zu:x:%u:\n", i, gid));
    }
    if (!failure) failure = write_file(etc, "group", text, groups);
    free(text);
    return failure;
  }

  Failure attach(size_t index) {
    const Source& source = sources_[index];
    if (source.file) {
      UniqueFd fd(open(source.target, O_WRONLY | O_CREAT | O_CLOEXEC, 0444));
      if (!fd.valid()) return Failure::at(source.path);
    } else if (Failure failure = make_folders(source.target)) {
      return failure;
    }
    if (move_mount(trees_[index].get(), "", AT_FDCWD, source.target, MOVE_MOUNT_F_EMPTY_PATH) != 0)
      return Failure::at("move_mount");
    trees_[index].reset();
    return {};
  }

  static Failure finish() {
    mount_attr attributes{};
    attributes.attr_set = kPlain;
    if (mount_setattr(AT_FDCWD, "template", 0, &attributes, sizeof attributes) != 0)
      return Failure::at("make the root read-only");
    if (sys::pivot_root(".", ".") != 0) return Failure::at("pivot_root of the spawner");
    if (umount2(".", MNT_DETACH) != 0) return Failure::at("drop the host's tree");
    return chdir("/") == 0 ? Failure{} : Failure::at("chdir /");
  }

  struct Link {
    const char* name;
    char target[64];
  };
  struct Prefix {
    char path[kPathMax];
    char target[kPathMax + 8];
  };
  struct Java {
    char path[32];
    char target[40];
  };
  static constexpr size_t kTopCount = sizeof kTopFolders / sizeof *kTopFolders;
  static constexpr size_t kSourcesMax = kHostSourcesCount + 2 + kTopCount + kPrefixesMax + kJavaMax;

  const SpawnerConfig& config_;
  Source sources_[kSourcesMax];
  UniqueFd trees_[kSourcesMax];
  size_t sources_count_ = 0;
  Link links_[kTopCount + 1];
  size_t links_count_ = 0;
  char folder_paths_[2 * kTopCount][32];
  size_t folders_count_ = 0;
  Prefix prefixes_[kPrefixesMax];
  size_t prefixes_count_ = 0;
  Java javas_[kJavaMax];
  size_t javas_count_ = 0;
  UniqueFd etc_;
};

}  // namespace

Failure build_template(const SpawnerConfig& config) {
  // Static: 30 KiB are too much for a small stack, and there is one spawner a process.
  static TemplateBuilder builder(config);
  return builder.build();
}

namespace {

// The names that the host's own resolver knows and the name servers that it asks: what is missing
// stays as in the template.
Failure mount_host_names() {
  for (const char* name : kHostNameFiles) {
    char from[32], to[32];
    snprintf(from, sizeof from, "/host/%s", name);
    snprintf(to, sizeof to, "etc/%s", name);
    UniqueFd tree(open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    if (!tree.valid() && errno == ENOENT) continue;
    if (!tree.valid()) return Failure::at("open a file of the host's names");
    mount_attr attributes{};
    attributes.attr_set = kPlain | MOUNT_ATTR_NOEXEC;
    if (mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0 ||
        move_mount(tree.get(), "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) != 0)
      return Failure::at("mount a file of the host's names");
  }
  return {};
}

}  // namespace

Failure enter_sandbox_root(const SandboxMounts& mounts) {
  char options[96];
  // An inode costs about 1 KiB of kernel memory: one for 8 KiB of space, within bounds.
  uint64_t inodes = mounts.tmp_bytes / 8192;
  if (inodes < 1024) inodes = 1024;
  if (inodes > 65536) inodes = 65536;
  snprintf(options, sizeof options, "size=%llu,nr_inodes=%llu,mode=1777",
           static_cast<unsigned long long>(mounts.tmp_bytes),
           static_cast<unsigned long long>(inodes));
  if (chdir("/template") != 0) return Failure::at("enter the new root");
  if (mount("tmp", "tmp", "tmpfs", MS_NOSUID | MS_NODEV, options) != 0)
    return Failure::at("mount /tmp");
  snprintf(options, sizeof options, "size=%llu,nr_inodes=1024,mode=1777",
           static_cast<unsigned long long>(shm_bytes(mounts.tmp_bytes)));
  if (mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) != 0)
    return Failure::at("mount /dev/shm");
  if (mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2,subset=pid") != 0)
    return Failure::at("mount /proc");
  if (mounts.host_network)
    if (Failure failure = mount_host_names()) return failure;
  if (mounts.code != nullptr) {
    char path[8 + kSha256Hex];
    snprintf(path, sizeof path, "/code/%s", mounts.code);
    UniqueFd tree(
        open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW));
    if (!tree.valid()) return Failure::at("open the code folder");
    if (move_mount(tree.get(), "", AT_FDCWD, "var/task", MOVE_MOUNT_F_EMPTY_PATH) != 0)
      return Failure::at("mount the code folder");
  }
  if (sys::pivot_root(".", ".") != 0) return Failure::at("pivot_root");
  if (umount2(".", MNT_DETACH) != 0) return Failure::at("drop the old root");
  return chdir("/") == 0 ? Failure{} : Failure::at("chdir /");
}

Failure mount_code_late(int own_ns, int sandbox_ns, const char* code) {
  char path[8 + kSha256Hex];
  snprintf(path, sizeof path, "/code/%s", code);
  UniqueFd tree(
      open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW));
  if (!tree.valid()) return Failure::at("open the code folder");
  if (setns(sandbox_ns, CLONE_NEWNS) != 0)
    return Failure::at("enter the sandbox's mount namespace");
  Failure failure;
  if (move_mount(tree.get(), "", AT_FDCWD, kTaskDir, MOVE_MOUNT_F_EMPTY_PATH) != 0)
    failure = Failure::at("mount the code folder");
  if (setns(own_ns, CLONE_NEWNS) != 0) return Failure::at(kLostOwnMounts);
  return failure;
}

}  // namespace hearth::sandbox
