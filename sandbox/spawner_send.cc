// The way out of the spawner: messages wait in a ring until the control socket has room.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cstdlib>

#include "sandbox/spawner.h"
#include "sandbox/spawner_tags.h"

namespace hearth::sandbox {

Spawner::Outgoing& Spawner::push(MessageType type, const Slot* slot, uint32_t index) {
  // Cannot be full: see outgoing_max_. If it ever were, going on would lose an exit.
  if (outgoing_count_ == outgoing_max_) abort();
  Outgoing& out = outgoing_[(outgoing_first_ + outgoing_count_++) % outgoing_max_];
  out = Outgoing{};
  out.type = type;
  out.slot = index;
  out.generation = slot == nullptr ? 0 : slot->generation;
  return out;
}

void Spawner::answer(MessageType type, uint32_t slot, uint32_t generation, int error,
                     const char* detail) {
  Outgoing& out = push(type, nullptr, slot);
  out.generation = generation;
  out.error = error;
  copy_text(out.detail, detail);
}

bool Spawner::send_front() {
  Outgoing& out = outgoing_[outgoing_first_];
  Answer answer{};
  ExitedMessage exited{};
  iovec data{};
  if (out.type == MessageType::kExited) {
    exited = {{kSpawnerMagic, out.type},
              out.slot,
              out.generation,
              out.wait_status,
              out.killed,
              out.oom,
              out.oom_child,
              out.pids_hit,
              out.with_family};
    data = {&exited, sizeof exited};
  } else {
    answer.header = {kSpawnerMagic, out.type};
    answer.slot = out.slot;
    answer.generation = out.generation;
    answer.error = out.error;
    copy_text(answer.detail, out.detail);
    answer.pid = out.pid;
    answer.warm = out.warm;
    answer.fds = out.fds_there;
    answer.leftovers = out.leftovers;
    data = {&answer, sizeof answer};
  }
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kForkFds)] = {};
  if (out.fds[0].valid()) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    int fds[kForkFds];
    size_t count = 0;
    for (const UniqueFd& fd : out.fds)
      if (fd.valid()) fds[count++] = fd.get();
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
  }
  if (sendmsg(control_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return true;
  if (errno == EINTR) return false;
  // Too many descriptors on their way: the engine has to read some first.
  if (errno == ETOOMANYREFS) poll(nullptr, 0, 1);
  if (errno != EAGAIN && errno != ETOOMANYREFS && errno != ENOBUFS) done_ = true;
  return false;
}

void Spawner::flush() {
  while (outgoing_count_ > 0 && !done_) {
    if (!send_front()) break;
    outgoing_[outgoing_first_] = Outgoing{};
    outgoing_first_ = (outgoing_first_ + 1) % outgoing_max_;
    --outgoing_count_;
  }
  // While answers wait, no further requests are read: the engine's own slowness bounds what it can
  // ask for. Nor while many sandboxes start: each holds descriptors until it runs.
  const uint32_t events = outgoing_count_ > 0 ? EPOLLOUT : crowded() ? 0 : EPOLLIN | EPOLLRDHUP;
  if (events == control_events_) return;
  control_events_ = events;
  epoll_event event{};
  event.events = events;
  event.data.u64 = kTagControl;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, control_.get(), &event) != 0) done_ = true;
}

}  // namespace hearth::sandbox
