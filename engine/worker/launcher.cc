#include "worker/launcher.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <bit>
#include <cerrno>
#include <cstring>

namespace hearth::worker {
namespace {

constexpr int kReadyTimeoutMs = 10'000;
constexpr int kEndTimeoutMs = 5'000;
constexpr int kReceivesPerEvent = 64;

}  // namespace

Launcher::Launcher(Loop& loop, Owner& owner, Log log) : loop_(loop), owner_(owner), log_(log) {}

Launcher::~Launcher() {
  poll_.stop();
  // Copies of both descriptors that a forked child of the host holds would keep the spawner alive;
  // this ends the connection itself.
  if (process_.control.valid()) ::shutdown(process_.control.get(), SHUT_RDWR);
  process_.lifeline.reset();
  process_.control.reset();
  if (!process_.pidfd.valid()) return;
  pollfd p{process_.pidfd.get(), POLLIN, 0};
  if (::poll(&p, 1, kEndTimeoutMs) != 1) {
    log_.warning("spawner", "it did not end within {} ms after its lifeline was closed",
                 kEndTimeoutMs);
    return;
  }
  siginfo_t info{};
  ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(process_.pidfd.get()), &info, WEXITED);
}

Status Launcher::open(const sandbox::SpawnerConfig& config) {
  process_ = HEARTH_TRY(sandbox::start_spawner(config));
  ready_ = HEARTH_TRY(sandbox::wait_ready(process_, milliseconds(kReadyTimeoutMs)));
  const int flags = ::fcntl(process_.control.get(), F_GETFL);
  ::fcntl(process_.control.get(), F_SETFL, flags | O_NONBLOCK);
  return poll_.start(loop_, process_.control.get(), UV_READABLE,
                     Poll::EventFn::to<&Launcher::on_poll>(this));
}

template <class Message>
void Launcher::send(Message& message, sandbox::MessageType type) {
  if (lost_) return;
  message.header = {sandbox::kSpawnerMagic, type};
  if (waiting_.empty()) {
    const ssize_t n =
        ::send(process_.control.get(), &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n == static_cast<ssize_t>(sizeof message)) return;
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
      return;  // gone: the read side says so
  }
  waiting_.emplace_back(reinterpret_cast<const char*>(&message), sizeof message);
  poll_.set(UV_READABLE | UV_WRITABLE);
}

void Launcher::flush() {
  while (!waiting_.empty()) {
    const std::string& message = waiting_.front();
    if (::send(process_.control.get(), message.data(), message.size(),
               MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
      return;
    waiting_.pop_front();
  }
  poll_.set(UV_READABLE);
}

void Launcher::spawn(WorkerId worker, uint32_t runtime, const SandboxLimits& limits,
                     sandbox::Network network, std::string_view code_sha256, std::string_view entry,
                     const SpawnKind& kind) {
  sandbox::SpawnRequest request{};
  request.slot = worker.slot;
  request.generation = worker.generation;
  request.runtime = runtime;
  request.memory_bytes = limits.memory_bytes;
  request.tmp_bytes = limits.tmp_bytes;
  request.cpu_millis = limits.cpu_millis;
  request.network = static_cast<uint8_t>(network);
  request.family = kind.family ? 1 : 0;
  request.own_environment = kind.own_environment ? 1 : 0;
  HEARTH_ASSERT(code_sha256.size() <= sizeof request.code && entry.size() < sizeof request.entry);
  code_sha256.copy(request.code, sizeof request.code);
  entry.copy(request.entry, sizeof request.entry - 1);
  send(request, sandbox::MessageType::kSpawn);
}

void Launcher::fork(WorkerId worker, WorkerId zygote, const SandboxLimits& limits) {
  sandbox::ForkRequest request{};
  request.slot = worker.slot;
  request.generation = worker.generation;
  request.zygote_slot = zygote.slot;
  request.zygote_generation = zygote.generation;
  request.memory_bytes = limits.memory_bytes;
  request.cpu_millis = limits.cpu_millis;
  send(request, sandbox::MessageType::kFork);
}

void Launcher::assign(WorkerId worker, const SandboxLimits& limits, std::string_view code_sha256) {
  sandbox::AssignRequest request{};
  request.slot = worker.slot;
  request.generation = worker.generation;
  request.memory_bytes = limits.memory_bytes;
  request.cpu_millis = limits.cpu_millis;
  HEARTH_ASSERT(code_sha256.size() == sizeof request.code);
  code_sha256.copy(request.code, sizeof request.code);
  send(request, sandbox::MessageType::kAssign);
}

void Launcher::send_slot(WorkerId worker, sandbox::MessageType type) {
  sandbox::SlotRequest request{};
  request.slot = worker.slot;
  request.generation = worker.generation;
  send(request, type);
}

void Launcher::kill(WorkerId worker) { send_slot(worker, sandbox::MessageType::kKill); }

void Launcher::terminate(WorkerId worker) { send_slot(worker, sandbox::MessageType::kTerminate); }

void Launcher::freeze(WorkerId worker) { send_slot(worker, sandbox::MessageType::kFreeze); }

void Launcher::thaw(WorkerId worker) { send_slot(worker, sandbox::MessageType::kThaw); }

void Launcher::clear_leftovers(WorkerId worker, bool kill) {
  send_slot(worker,
            kill ? sandbox::MessageType::kKillLeftovers : sandbox::MessageType::kCountLeftovers);
}

void Launcher::on_poll(int events) {
  if (events == 0) {
    lost("its control socket broke");
    return;
  }
  if ((events & UV_WRITABLE) != 0) flush();
  if ((events & UV_READABLE) == 0) return;
  for (int i = 0; i < kReceivesPerEvent && !lost_; ++i) {
    if (!receive_one()) return;
  }
}

bool Launcher::receive_one() {
  alignas(8) char data[sizeof(sandbox::ReadyMessage) + 64];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * sandbox::kForkFds)];
  iovec vec{data, sizeof data};
  msghdr message{};
  message.msg_iov = &vec;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t n = ::recvmsg(process_.control.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n < 0) {
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) lost(std::strerror(errno));
    return false;
  }
  if (n == 0) {
    lost("it has ended");
    return false;
  }
  int fds[sandbox::kForkFds] = {-1, -1, -1, -1, -1, -1, -1};
  int count = 0;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    count = static_cast<int>((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    std::memcpy(fds, CMSG_DATA(c), sizeof(int) * static_cast<size_t>(count));
  }
  handle(data, static_cast<size_t>(n), fds, count);
  for (int i = 0; i < count; ++i) {
    if (fds[i] >= 0) ::close(fds[i]);
  }
  return true;
}

void Launcher::handle(const char* data, size_t size, int* fds, int fd_count) {
  sandbox::Header header{};
  if (size < sizeof header) return;
  std::memcpy(&header, data, sizeof header);
  if (header.type == sandbox::MessageType::kExited && size == sizeof(sandbox::ExitedMessage)) {
    sandbox::ExitedMessage exited{};
    std::memcpy(&exited, data, sizeof exited);
    owner_.on_exited({exited.slot, exited.generation}, exited);
    return;
  }
  if (size != sizeof(sandbox::Answer)) return;
  sandbox::Answer answer{};
  std::memcpy(&answer, data, sizeof answer);
  const std::string_view detail(answer.detail, strnlen(answer.detail, sizeof answer.detail));
  const WorkerId worker{answer.slot, answer.generation};
  if (header.type == sandbox::MessageType::kAssigned) {
    owner_.on_assigned(worker, answer.error, detail);
    return;
  }
  if (header.type == sandbox::MessageType::kLeftovers) {
    owner_.on_leftovers(worker, answer.error, answer.leftovers, detail);
    return;
  }
  if (header.type == sandbox::MessageType::kForkEnds) {
    // With some lost on the way, the far ends go with this: the spawner sees that and says so.
    if (fd_count == sandbox::kForkFds) hand_over_ends(worker, fds);
    return;
  }
  if (header.type != sandbox::MessageType::kSpawned) return;
  Spawned spawned;
  spawned.worker = worker;
  spawned.error = answer.error;
  spawned.detail = detail;
  spawned.pid = answer.pid;
  spawned.warm = answer.warm != 0;
  if (answer.error == 0 && answer.fds != 0 && fd_count == std::popcount(answer.fds)) {
    UniqueFd* const places[sandbox::kSpawnFds] = {&spawned.channel, &spawned.out, &spawned.err,
                                                  &spawned.egress, &spawned.api};
    for (int which = 0, next = 0; which < sandbox::kSpawnFds; ++which)
      if ((answer.fds >> which & 1) != 0) places[which]->reset(std::exchange(fds[next++], -1));
  } else if (answer.error == 0 && !owner_.has_ends(worker)) {
    spawned.error = EMFILE;  // descriptors were lost on the way: the engine has none left
    spawned.detail = "the engine is out of file descriptors";
  }
  owner_.on_spawned(std::move(spawned));
}

void Launcher::hand_over_ends(WorkerId worker, int* fds) {
  ForkEnds ends;
  ends.worker = worker;
  ends.channel.reset(std::exchange(fds[sandbox::kFdChannel], -1));
  ends.out.reset(std::exchange(fds[sandbox::kFdStdout], -1));
  ends.err.reset(std::exchange(fds[sandbox::kFdStderr], -1));
  for (size_t i = 0; i < ends.far.size(); ++i)
    ends.far[i].reset(std::exchange(fds[size_t{sandbox::kPlainFds} + i], -1));
  owner_.on_fork_ends(std::move(ends));
}

void Launcher::lost(std::string_view why) {
  if (lost_) return;
  lost_ = true;
  poll_.stop();
  owner_.on_spawner_lost(fmt::format("the spawner is gone: {}", why));
}

}  // namespace hearth::worker
