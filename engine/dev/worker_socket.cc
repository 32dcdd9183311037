#include "dev/worker_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <linux/nsfs.h>
#include <netinet/in.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

namespace hearth::dev {
namespace {

constexpr int kAnswerFd = 3;

struct RightsMessage {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  RightsMessage() {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
  }
};

// A plain user may join the network by way of the user namespace that owns it: that one is the
// spawner's, so the user's.
bool join_network(int worker) {
  const std::string path = fmt::format("/proc/{}/ns/net", worker);
  const UniqueFd network(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!network.valid()) return false;
  if (::geteuid() != 0) {
    const UniqueFd owner(::ioctl(network.get(), NS_GET_USERNS));
    if (!owner.valid() || ::setns(owner.get(), CLONE_NEWUSER) != 0) return false;
  }
  return ::setns(network.get(), CLONE_NEWNET) == 0;
}

bool send_descriptor(int fd) {
  RightsMessage message;
  cmsghdr* item = CMSG_FIRSTHDR(&message.header);
  item->cmsg_level = SOL_SOCKET;
  item->cmsg_type = SCM_RIGHTS;
  item->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(item), &fd, sizeof fd);
  return ::sendmsg(kAnswerFd, &message.header, MSG_NOSIGNAL) == 1;
}

}  // namespace

int give_worker_socket(int worker, uint16_t port) {
  if (!join_network(worker)) return 1;
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (!fd.valid() ||
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return 1;
  return send_descriptor(fd.get()) ? 0 : 1;
}

Result<WorkerSocket> ask_for_worker_socket(int worker, uint16_t port) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return Error{Code::io_failed, fmt::format("socketpair: {}", std::strerror(errno))};
  WorkerSocket asked;
  asked.answer.reset(ends[0]);
  // Above the number that it gets in the helper: dup2 onto itself would keep close-on-exec.
  const UniqueFd first(ends[1]);
  const UniqueFd there(::fcntl(first.get(), F_DUPFD_CLOEXEC, kAnswerFd + 1));
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, there.get(), kAnswerFd);
  std::string name = "hearth", command = kWorkerSocketCommand;
  std::string pid_text = std::to_string(worker), port_text = std::to_string(port);
  char* arguments[] = {name.data(), command.data(), pid_text.data(), port_text.data(), nullptr};
  char* environment[] = {nullptr};
  const int error =
      ::posix_spawn(&asked.pid, "/proc/self/exe", &actions, nullptr, arguments, environment);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    return Error{Code::io_failed,
                 fmt::format("a helper can't be started: {}", std::strerror(error))};
  return asked;
}

UniqueFd take_worker_socket(WorkerSocket& asked) {
  RightsMessage message;
  UniqueFd fd;
  if (::recvmsg(asked.answer.get(), &message.header, MSG_CMSG_CLOEXEC) == 1) {
    const cmsghdr* item = CMSG_FIRSTHDR(&message.header);
    int number = -1;
    if (item != nullptr && item->cmsg_type == SCM_RIGHTS)
      std::memcpy(&number, CMSG_DATA(item), sizeof number);
    fd.reset(number);
    if (fd.valid()) ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  }
  ::kill(asked.pid, SIGKILL);
  while (::waitpid(asked.pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  asked.answer.reset();
  return fd;
}

}  // namespace hearth::dev
