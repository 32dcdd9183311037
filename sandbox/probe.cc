#include "sandbox/probe.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "sandbox/probe_child.h"
#include "sandbox/start.h"

namespace hearth::sandbox {
namespace {

constexpr int kProbeTimeoutMs = 20'000;  // for the next line: a trial sandbox gives up after 10 s
constexpr size_t kProbeLinesMax = 64;

const char* item_name(Mode mode) {
  switch (mode) {
    case Mode::kStrict:
      return "mode strict";
    case Mode::kUser:
      return "mode user";
    case Mode::kDegraded:
      return "mode degraded";
    case Mode::kOff:
      break;
  }
  return "mode off";
}

const ProbeItem* find(const ProbeReport& report, Mode mode) {
  for (const ProbeItem& item : report.items)
    if (item.name == item_name(mode)) return &item;
  return nullptr;
}

// False: the end, or nothing that makes sense.
bool read_line(int fd, ProbeLine& line) {
  pollfd poll_fd{fd, POLLIN, 0};
  if (poll(&poll_fd, 1, kProbeTimeoutMs) <= 0) return false;
  if (read(fd, &line, sizeof line) != static_cast<ssize_t>(sizeof line)) return false;
  line.name[sizeof line.name - 1] = line.detail[sizeof line.detail - 1] =
      line.fix[sizeof line.fix - 1] = '\0';
  return true;
}

}  // namespace

bool ProbeReport::mode_works(Mode mode) const {
  const ProbeItem* item = find(*this, mode);
  return mode == Mode::kOff || (item != nullptr && item->available);
}

Result<ProbeReport> probe() {
  int ends[2];
  // Packet mode: each line comes as it was written.
  if (pipe2(ends, O_CLOEXEC | O_DIRECT) != 0)
    return Error{Code::io_failed, std::string("pipe: ") + strerror(errno)};
  UniqueFd here(ends[0]), there(ends[1]);
  ImageProcess process = HEARTH_TRY(run_image("probe", there.get(), -1));
  there.reset();
  ProbeReport report;
  ProbeLine line;
  while (report.items.size() < kProbeLinesMax && read_line(here.get(), line))
    report.items.push_back({line.name, line.available != 0, line.detail, line.fix});
  // It is done, or it hangs.
  syscall(SYS_pidfd_send_signal, process.pidfd.get(), SIGKILL, nullptr, 0);
  siginfo_t info;
  while (waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(process.pidfd.get()), &info,
                WEXITED) != 0 &&
         errno == EINTR)
    continue;
  if (report.items.empty()) return Error{Code::spawner_lost, "the probe ended without a result"};
  for (const Mode mode : {Mode::kDegraded, Mode::kUser, Mode::kStrict})
    if (report.mode_works(mode)) report.best = mode;
  return report;
}

Result<Mode> choose_mode(const ProbeReport& report, AllowDegraded allow_degraded) {
  if (report.best == Mode::kStrict || report.best == Mode::kUser) return report.best;
  if (report.best == Mode::kDegraded && allow_degraded == AllowDegraded::kYes) return report.best;
  std::string detail;
  for (const Mode mode : {Mode::kStrict, Mode::kUser}) {
    const ProbeItem* item = find(report, mode);
    if (item == nullptr) continue;
    detail += item->name + ": " + item->detail + " (" + item->fix + "). ";
  }
  detail += "Without namespaces, sandbox.allow_degraded: true permits the weaker mode degraded";
  return Error{Code::sandbox_unavailable, detail};
}

}  // namespace hearth::sandbox
