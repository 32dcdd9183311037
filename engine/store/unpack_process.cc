#include "store/unpack_process.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "store/files.h"
#include "store/folder_check.h"

extern "C" const std::byte hearth_blob_unpacker_begin[], hearth_blob_unpacker_end[];

namespace hearth {
namespace {

constexpr idtype_t kPidfd = static_cast<idtype_t>(3);  // P_PIDFD, which older libcs don't name

sandbox::Image unpacker_image() {
  return {"hearth-unpacker", {hearth_blob_unpacker_begin, hearth_blob_unpacker_end}};
}

Error failed(std::string detail) { return Error{Code::unpack_failed, std::move(detail)}; }

uint32_t whole_seconds(milliseconds time) {
  return static_cast<uint32_t>(std::max<int64_t>((time.count() + 999) / 1'000, 1));
}

// How a process ended. A host that reaps every child, or ignores SIGCHLD, may have been faster.
struct End {
  int how = 0;  // CLD_EXITED and so on; 0: not known
  int status = 0;
};

End kill_and_reap(int pidfd) {
  ::syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0U);
  pollfd wait{pidfd, POLLIN, 0};
  while (::poll(&wait, 1, -1) < 0 && errno == EINTR) {
  }
  siginfo_t info{};
  int result;
  do {
    result = ::waitid(kPidfd, static_cast<id_t>(pidfd), &info, WEXITED);
  } while (result != 0 && errno == EINTR);
  if (result != 0) return {};
  return {info.si_code, info.si_status};
}

}  // namespace

UnpackProcess::UnpackProcess(UnpackProcess&& other) noexcept = default;

UnpackProcess::~UnpackProcess() {
  if (pidfd_.valid()) static_cast<void>(kill_and_reap(pidfd_.get()));
}

Result<UnpackProcess> UnpackProcess::start(int archive, int folder, const UnpackOptions& options,
                                           int stop) {
  UnpackProcess process;
  process.options_ = options;
  process.stop_ = stop;
  process.end_ = std::chrono::steady_clock::now() + options.time_max;
  int report[2];
  int lifeline[2];
  if (::pipe2(report, O_CLOEXEC) != 0) return os_error("pipe for the unpacker");
  process.report_.reset(report[0]);
  UniqueFd report_there(report[1]);
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, lifeline) != 0)
    return os_error("socket for the unpacker");
  process.lifeline_.reset(lifeline[0]);
  const UniqueFd lifeline_there(lifeline[1]);
  UnpackOrder order{};
  order.magic = kUnpackMagic;
  order.confined = options.confined ? 1 : 0;
  order.limits = options.limits;
  order.memory_max = options.memory_max != 0 ? options.memory_max : unpack_memory(options.limits);
  order.seconds_max = whole_seconds(options.time_max);
  if (::send(process.lifeline_.get(), &order, sizeof order, MSG_NOSIGNAL) !=
      static_cast<ssize_t>(sizeof order))
    return os_error("order to the unpacker");
  const int fds[] = {archive, folder, report_there.get(), lifeline_there.get()};
  auto image = HEARTH_TRY(sandbox::run_image(unpacker_image(), nullptr, fds));
  process.pid_ = image.pid;
  process.pidfd_ = std::move(image.pidfd);
  // Ours go now, so that the process's end shows at its report.
  report_there.reset();
  const UnpackMessage message = HEARTH_TRY(process.wait_for(UnpackStep::confined));
  process.layers_ = message.layers;
  process.missing_ = message.detail;
  if (options.confined && !unpack_confined(process.layers_))
    return Error{Code::sandbox_unavailable, "the unpacker of archives is not confined"};
  return process;
}

Result<Sha256Digest> UnpackProcess::hash() {
  const UnpackMessage message = HEARTH_TRY(wait_for(UnpackStep::hashed));
  Sha256Digest digest;
  static_assert(sizeof message.sha256 == digest.size());
  std::copy_n(message.sha256, digest.size(), digest.begin());
  return digest;
}

Result<Unpacked> UnpackProcess::unpack(int folder) {
  if (::send(lifeline_.get(), "", 1, MSG_NOSIGNAL) != 1) return lost();
  const UnpackMessage message = HEARTH_TRY(wait_for(UnpackStep::done));
  static_cast<void>(kill_and_reap(pidfd_.get()));
  pidfd_.reset();
  const Unpacked said{message.bytes, message.files};
  HEARTH_TRY(check_folder(folder, said, options_.limits));
  return said;
}

Result<UnpackMessage> UnpackProcess::wait_for(UnpackStep step) {
  HEARTH_TRY(wait_readable());
  UnpackMessage message{};
  ssize_t n;
  do {
    n = ::read(report_.get(), &message, sizeof message);
  } while (n < 0 && errno == EINTR);
  if (n == 0) return lost();
  if (n != static_cast<ssize_t>(sizeof message)) return failed("its report is cut off");
  return check_message(message, step, options_.limits);
}

Status UnpackProcess::wait_readable() {
  for (;;) {
    const auto left = std::chrono::duration_cast<milliseconds>(
        end_ - std::chrono::steady_clock::now() + milliseconds(1));
    pollfd wait[] = {{report_.get(), POLLIN, 0}, {stop_, POLLIN, 0}};
    const int ready = ::poll(wait, 2, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return os_error("wait for the unpacker");
    if (wait[1].revents != 0) return Error{Code::shutting_down, {}};
    if (wait[0].revents != 0) return ok();
    if (left.count() <= 1) {
      return failed(fmt::format("it took longer than {} ms (limits.code_unpack_time)",
                                options_.time_max.count()));
    }
  }
}

// It ended without a word.
Error UnpackProcess::lost() {
  const End end = kill_and_reap(std::exchange(pidfd_, UniqueFd()).get());
  return ended(end.how, end.status);
}

Error UnpackProcess::ended(int how, int status) const {
  if (how == 0) return failed("it ended without a report");
  if (how == CLD_EXITED) return failed(fmt::format("it ended with status {}", status));
  if (status == SIGXCPU) {
    return failed(fmt::format("it used more than {} s of CPU time (limits.code_unpack_time)",
                              whole_seconds(options_.time_max)));
  }
  if (status == SIGSYS) return failed("it made a system call that its filter refuses");
  return failed(fmt::format("it was ended by signal {} ({})", status, ::strsignal(status)));
}

}  // namespace hearth
