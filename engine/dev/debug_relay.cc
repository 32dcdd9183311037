#include "dev/debug_relay.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstring>

namespace hearth::dev {
namespace {

// False: the other end is gone.
bool write_some(int fd, std::string& out) {
  while (!out.empty()) {
    const ssize_t n = ::send(fd, out.data(), out.size(), MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    out.erase(0, static_cast<size_t>(n));
  }
  return true;
}

}  // namespace

DebugRelay::~DebugRelay() {
  for (Link& link : links_) {
    if (link.asked.answer.valid()) static_cast<void>(take_worker_socket(link.asked));
  }
}

Status DebugRelay::listen(uint16_t port) {
  port_ = port;
  listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int yes = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (!listener_.valid() ||
      ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener_.get(), static_cast<int>(kLinksMax)) != 0)
    return Error{Code::listen_failed,
                 fmt::format("127.0.0.1:{} for the debugger: {}", port, std::strerror(errno))};
  return accept_.start(loop_, listener_.get(), UV_READABLE,
                       Poll::EventFn::to<&DebugRelay::on_accept>(this));
}

void DebugRelay::on_accept(int) {
  links_.remove_if([](const Link& link) { return link.over; });
  UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!client.valid() || links_.size() == kLinksMax) return;
  Link& link = links_.emplace_back();
  link.relay = this;
  link.until = loop_.now() + kWaitMax;
  link.client.fd = std::move(client);
  link.ask();
}

void DebugRelay::on_retry() {
  for (Link& link : links_) {
    if (link.waiting && !link.over) link.ask();
  }
}

// One try to reach the worker's debugger.
void DebugRelay::Link::ask() {
  waiting = true;
  if (client_has_gone() || relay->loop_.now() >= until) {
    over = true;
    return update();
  }
  const int pid = relay->worker_();
  if (pid == 0) return wait();
  auto socket = ask_for_worker_socket(pid, relay->port_);
  if (!socket) return wait();
  asked = *std::move(socket);
  waiting = false;
  if (!answer.start(relay->loop_, asked.answer.get(), UV_READABLE,
                    Poll::EventFn::to<&Link::on_answer>(this))) {
    over = true;
    update();
  }
}

void DebugRelay::Link::wait() {
  waiting = true;
  if (!relay->retry_.armed())
    relay->loop_.timers().arm(relay->retry_, relay->loop_.now() + kRetry,
                              Callback<void()>::to<&DebugRelay::on_retry>(relay));
}

bool DebugRelay::Link::client_has_gone() const {
  char byte;
  const ssize_t n = ::recv(client.fd.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

void DebugRelay::Link::on_answer(int) {
  answer.stop();
  worker.fd = take_worker_socket(asked);
  if (!worker.fd.valid()) return wait();  // its debugger does not listen yet
  const bool started = client.poll.start(relay->loop_, client.fd.get(), UV_READABLE,
                                         Poll::EventFn::to<&Link::on_client>(this)) &&
                       worker.poll.start(relay->loop_, worker.fd.get(), UV_READABLE,
                                         Poll::EventFn::to<&Link::on_worker>(this));
  if (!started) over = true, update();
}

void DebugRelay::Link::on_client(int events) { pump(client, worker, events); }
void DebugRelay::Link::on_worker(int events) { pump(worker, client, events); }

void DebugRelay::Link::pump(Side& from, Side& to, int events) {
  char part[16 * 1024];
  if ((events & UV_READABLE) != 0 && to.out.size() < kBufferMax) {
    const ssize_t n = ::recv(from.fd.get(), part, sizeof part, 0);
    if (n > 0) to.out.append(part, static_cast<size_t>(n));
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) from.ended = true;
  }
  if (!write_some(to.fd.get(), to.out) || !write_some(from.fd.get(), from.out)) over = true;
  update();
}

// A debugger's protocols have no use for a connection that is closed in one direction.
void DebugRelay::Link::update() {
  if ((client.ended && worker.out.empty()) || (worker.ended && client.out.empty())) over = true;
  if (over) {
    for (Side* side : {&client, &worker}) {
      side->poll.stop();
      side->fd.reset();
    }
    return;
  }
  const auto watch = [](Side& side, const Side& other) {
    const int read = !side.ended && other.out.size() < kBufferMax ? UV_READABLE : 0;
    side.poll.set(read | (side.out.empty() ? 0 : UV_WRITABLE));
  };
  watch(client, worker);
  watch(worker, client);
}

}  // namespace hearth::dev
