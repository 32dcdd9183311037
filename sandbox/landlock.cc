#include "sandbox/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/unique_fd.h"
#include "sandbox/launch.h"
#include "sandbox/root.h"

namespace hearth::sandbox {
namespace {

// Rights that headers of older kernels lack.
constexpr uint64_t kRefer = 1ull << 13;     // ABI 2
constexpr uint64_t kTruncate = 1ull << 14;  // ABI 3
constexpr uint64_t kIoctlDev = 1ull << 15;  // ABI 5
constexpr uint64_t kFirstAbi = (1ull << 13) - 1;

constexpr uint64_t kScopeAbstractSocket = 1ull << 0;
constexpr uint64_t kScopeSignal = 1ull << 1;

struct RulesetAttributes {
  uint64_t handled_fs, handled_net, scoped;
};

constexpr uint64_t kList = LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kRun = kRead | LANDLOCK_ACCESS_FS_EXECUTE;
constexpr uint64_t kReadWrite = kRead | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate;
constexpr uint64_t kDevice = kReadWrite | kIoctlDev;
constexpr uint64_t kOwn = (kFirstAbi | kRefer | kTruncate) &
                          ~uint64_t{LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK};
// What may stand in a rule on a file.
constexpr uint64_t kOfFiles = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                              LANDLOCK_ACCESS_FS_READ_FILE | kTruncate | kIoctlDev;

struct Rule {
  const char* path;
  uint64_t access;
};

constexpr Rule kSandboxRules[] = {
    {"/", kList},    {"/usr", kRun},        {"/bin", kRun},   {"/sbin", kRun},
    {"/lib", kRun},  {"/lib32", kRun},      {"/lib64", kRun}, {"/libx32", kRun},
    {"/etc", kRead}, {"/proc", kReadWrite}, {"/var", kRun},   {"/dev", kDevice},
    {"/tmp", kOwn},  {"/dev/shm", kOwn},
};

// Of /etc only what a sandbox's root has too; no rule on / or on /dev/shm, which are the host's.
constexpr Rule kHostRules[] = {
    {"/usr", kRun},
    {"/bin", kRun},
    {"/sbin", kRun},
    {"/lib", kRun},
    {"/lib32", kRun},
    {"/lib64", kRun},
    {"/libx32", kRun},
    {"/etc/ssl", kRead},
    {"/etc/alternatives", kRead},
    {"/etc/ld.so.cache", kRead},
    {"/etc/localtime", kRead},
    {"/etc/services", kRead},
    {"/etc/protocols", kRead},
    {"/etc/mime.types", kRead},
    {"/etc/passwd", kRead},
    {"/etc/group", kRead},
    {"/etc/hosts", kRead},
    {"/etc/resolv.conf", kRead},
    {"/etc/nsswitch.conf", kRead},
    {"/proc", kReadWrite},
    {"/dev/null", kDevice},
    {"/dev/zero", kDevice},
    {"/dev/full", kDevice},
    {"/dev/random", kDevice},
    {"/dev/urandom", kDevice},
    {"/tmp", kOwn},
};
// Debian's sitecustomize.py of Python 3.N is a link to /etc/python3.N/; if it can't be read, every
// start prints an error.
constexpr int kPythonMinorFirst = 8, kPythonMinorLast = 20;
constexpr int kJavaFirst = 8, kJavaLast = 40;  // as in root.cc

uint64_t handled(int abi) {
  uint64_t rights = kFirstAbi;
  if (abi >= 2) rights |= kRefer;
  if (abi >= 3) rights |= kTruncate;
  if (abi >= 5) rights |= kIoctlDev;
  return rights;
}

class Ruleset {
 public:
  explicit Ruleset(int abi) : handled_(handled(abi)) {
    RulesetAttributes attributes{handled_, 0, 0};
    size_t size = sizeof attributes.handled_fs;
    if (abi >= kLandlockScopesAbi) {
      attributes.scoped = kScopeAbstractSocket | kScopeSignal;
      size = sizeof attributes;
    }
    fd_.reset(static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, size, 0)));
  }

  bool valid() const { return fd_.valid(); }

  // A path that isn't there, or can't be reached, needs no rule.
  Failure add(const char* path, uint64_t access) {
    UniqueFd at(open(path, O_PATH | O_CLOEXEC));
    if (!at.valid())
      return errno == ENOENT || errno == EACCES ? Failure{} : Failure::at("open a path of a rule");
    struct stat status;
    if (fstat(at.get(), &status) != 0) return Failure::at("stat a path of a rule");
    if (!S_ISDIR(status.st_mode)) access &= kOfFiles;
    const landlock_path_beneath_attr rule{access & handled_, at.get()};
    if (syscall(SYS_landlock_add_rule, fd_.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
      return Failure::at("add a Landlock rule");
    return {};
  }

  Failure enforce() {
    if (syscall(SYS_landlock_restrict_self, fd_.get(), 0) != 0)
      return Failure::at("enforce the Landlock rules");
    return {};
  }

 private:
  uint64_t handled_;
  UniqueFd fd_;
};

// The folder above an interpreter's bin folder.
Failure add_prefix(Ruleset& rules, const RuntimeEntry* runtime) {
  if (runtime == nullptr || runtime->path[0] == '\0') return {};
  char prefix[kPathMax];
  copy_text(prefix, runtime->path);
  for (int up = 0; up < 2; ++up) {
    char* slash = strrchr(prefix, '/');
    // In a folder of the root itself: that one has a rule, or the file alone gets one.
    if (slash == nullptr || slash == prefix) return rules.add(runtime->path, kRun);
    *slash = '\0';
  }
  return rules.add(prefix, kRun);
}

Failure add_host_rules(Ruleset& rules, const LandlockPlan& plan) {
  for (const Rule& rule : kHostRules)
    if (Failure f = rules.add(rule.path, rule.access)) return f;
  char path[kPathMax + kSha256Hex + 2];
  for (int minor = kPythonMinorFirst; minor <= kPythonMinorLast; ++minor) {
    snprintf(path, sizeof path, "/etc/python3.%d", minor);
    if (Failure f = rules.add(path, kRead)) return f;
  }
  for (int version = kJavaFirst; version <= kJavaLast; ++version) {
    snprintf(path, sizeof path, "/etc/java-%d-openjdk", version);
    if (Failure f = rules.add(path, kRead)) return f;
  }
  if (Failure f = rules.add(plan.config->shim_dir, kRun)) return f;
  snprintf(path, sizeof path, "%s/%s", plan.config->code_dir,
           plan.code == nullptr ? "" : plan.code);
  return rules.add(path, kRun);
}

}  // namespace

int landlock_abi() {
  const long abi =
      syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return abi > 0 ? static_cast<int>(abi) : 0;
}

Failure restrict_files(const LandlockPlan& plan) {
  Ruleset rules(plan.abi);
  if (!rules.valid()) return Failure::at("make a Landlock ruleset");
  if (has_namespaces(plan.config->mode)) {
    for (const Rule& rule : kSandboxRules)
      if (Failure f = rules.add(rule.path, rule.access)) return f;
  } else if (Failure f = add_host_rules(rules, plan)) {
    return f;
  }
  if (Failure f = add_prefix(rules, plan.runtime)) return f;
  return rules.enforce();
}

}  // namespace hearth::sandbox
