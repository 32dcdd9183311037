// The unpacker's seccomp policy, evaluated in user space as the kernel would: nothing but new plain
// files below one folder.
#include <fcntl.h>
#include <sys/syscall.h>

#include <array>
#include <string>

#include "sandbox/bpf_interpreter.h"
#include "sandbox/filter.h"
#include "sandbox/policy.h"
#include "store/unpack_message.h"
#include "tests/catch.h"

extern "C" const char hearth_blob_policy_unpack_begin[], hearth_blob_policy_unpack_end[];

using namespace hearth;

namespace {

constexpr int kNewFile = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
constexpr int kFolder = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

std::vector<sock_filter> filter() {
  sandbox::Policy policy;
  std::string error;
  const std::string_view text(
      hearth_blob_policy_unpack_begin,
      static_cast<size_t>(hearth_blob_policy_unpack_end - hearth_blob_policy_unpack_begin));
  const bool read = sandbox::parse_policy(
      text, [](std::string_view) { return std::string_view(); }, policy, error);
  INFO(error);
  REQUIRE(read);
  CHECK(policy.default_action.kind == sandbox::Action::Kind::kKill);
  return sandbox::compile_filter(policy);
}

bool allowed(int call, std::array<uint64_t, 6> args = {}) {
  static const std::vector<sock_filter> code = filter();
  seccomp_data data{};
  data.nr = call;
#if defined(__x86_64__)
  data.arch = 0xC000003E;
#else
  data.arch = 0xC00000B7;
#endif
  std::copy(args.begin(), args.end(), data.args);
  const auto verdict = sandbox::run_filter(code, data);
  REQUIRE(verdict);
  if (*verdict == SECCOMP_RET_ALLOW) return true;
  CHECK(*verdict == SECCOMP_RET_KILL_PROCESS);
  return false;
}

}  // namespace

TEST_CASE("the unpacker may make new plain files and folders") {
  CHECK(allowed(SYS_openat, {kFolderFd, 0, kNewFile, 0644}));
  CHECK(allowed(SYS_openat, {kFolderFd, 0, kNewFile, 0755}));
  CHECK(allowed(SYS_openat, {kFolderFd, 0, kFolder}));
  CHECK(allowed(SYS_mkdirat, {kFolderFd, 0, 0755}));
  CHECK(allowed(SYS_pread64, {kArchiveFd}));
  CHECK(allowed(SYS_read, {kLifelineFd}));
  CHECK(allowed(SYS_write, {kReportFd}));
  CHECK(allowed(SYS_write, {kLifelineFd + 1}));
  CHECK(allowed(SYS_mmap, {0, 4096, 3, 0x22}));
  CHECK(allowed(SYS_exit_group));
}

TEST_CASE("files are made nowhere else, in no other way and with no other rights") {
  CHECK_FALSE(allowed(SYS_openat, {static_cast<uint32_t>(AT_FDCWD), 0, kNewFile, 0644}));
  CHECK_FALSE(allowed(SYS_openat, {kFolderFd, 0, O_RDWR, 0644}));
  CHECK_FALSE(allowed(SYS_openat, {kFolderFd, 0, O_RDONLY, 0}));
  CHECK_FALSE(allowed(SYS_openat, {kFolderFd, 0, kNewFile & ~O_EXCL, 0644}));
  CHECK_FALSE(allowed(SYS_openat, {kFolderFd, 0, kNewFile & ~O_NOFOLLOW, 0644}));
  CHECK_FALSE(allowed(SYS_openat, {kFolderFd, 0, kNewFile, 04755}));
  CHECK_FALSE(allowed(SYS_mkdirat, {kFolderFd, 0, 01777}));
  CHECK_FALSE(allowed(SYS_fchmod, {7, 04755}));
  CHECK_FALSE(allowed(SYS_write, {kArchiveFd}));
  CHECK_FALSE(allowed(SYS_read, {kArchiveFd}));
  CHECK_FALSE(allowed(SYS_pread64, {kFolderFd}));
  CHECK_FALSE(allowed(SYS_mmap, {0, 4096, 7, 0x22}));        // executable
  CHECK_FALSE(allowed(SYS_mmap, {0, 4096, 1, 0x02, 3, 0}));  // of a file
  CHECK_FALSE(allowed(SYS_fcntl, {kLifelineFd, 8}));
}

TEST_CASE("every other system call ends the unpacker") {
  const int none[] = {SYS_symlinkat,
                      SYS_linkat,
                      SYS_mknodat,
                      SYS_renameat2,
                      SYS_unlinkat,
                      SYS_fchmodat,
                      SYS_fchownat,
                      SYS_fchown,
                      SYS_openat2,
                      SYS_execve,
                      SYS_execveat,
                      SYS_clone,
                      SYS_clone3,
                      SYS_socket,
                      SYS_socketpair,
                      SYS_sendmsg,
                      SYS_recvmsg,
                      SYS_ptrace,
                      SYS_kill,
                      SYS_tgkill,
                      SYS_prctl,
                      SYS_seccomp,
                      SYS_mount,
                      SYS_chroot,
                      SYS_unshare,
                      SYS_setns,
                      SYS_bpf,
                      SYS_mprotect,
                      SYS_memfd_create,
                      SYS_dup,
                      SYS_ioctl,
                      SYS_setxattr,
                      SYS_prlimit64,
                      SYS_pidfd_open,
                      SYS_process_vm_readv,
                      SYS_setuid,
                      SYS_io_uring_setup,
                      SYS_userfaultfd,
                      SYS_keyctl,
                      SYS_getdents64};
  for (const int call : none) {
    CAPTURE(call);
    CHECK_FALSE(allowed(call, {kFolderFd}));
  }
}
