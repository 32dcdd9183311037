// The floor of the Runtime API: a server that does nothing but answer one worker. One thread, one
// connection at a time, the same call again and again; no parsing, no caller.
//
//   bare_api SECONDS PROGRAM      runs PROGRAM against itself and prints how many calls it answered
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

using Clock = std::chrono::steady_clock;

const std::string kCall =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n"
    "Lambda-Runtime-Aws-Request-Id: 8f1f9b4e-0000-4000-8000-000000000001\r\n"
    "Lambda-Runtime-Deadline-Ms: 4102444800000\r\n"
    "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:f\r\n\r\n"
    "{\"name\":\"world\"}";
const std::string kAccepted =
    "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n"
    "{\"status\":\"OK\"}\n";

int listen_on(uint16_t& port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (bind(fd, reinterpret_cast<sockaddr*>(&at), size) != 0 || listen(fd, 8) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
    perror("listen");
    exit(1);
  }
  port = ntohs(at.sin_port);
  return fd;
}

// Answers requests until `end`; returns how many replies came.
long serve(int fd, Clock::time_point end) {
  long replies = 0;
  char bytes[65536];
  std::string input;
  while (Clock::now() < end) {
    const ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    if (n <= 0) return replies;
    input.append(bytes, static_cast<size_t>(n));
    const bool get = input.starts_with("GET ");
    if (!input.ends_with(get ? "\r\n\r\n" : "0\r\n\r\n")) continue;
    input.clear();
    const std::string& reply = get ? kCall : kAccepted;
    if (!get) ++replies;
    if (send(fd, reply.data(), reply.size(), MSG_NOSIGNAL) < 0) return replies;
  }
  return replies;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  uint16_t port = 0;
  const int listener = listen_on(port);
  setenv("AWS_LAMBDA_RUNTIME_API", ("127.0.0.1:" + std::to_string(port)).c_str(), 1);
  setenv("_HANDLER", "bootstrap", 1);
  const pid_t child = fork();
  if (child == 0) {
    execl(argv[2], argv[2], static_cast<char*>(nullptr));
    _exit(127);
  }
  const int fd = accept(listener, nullptr, nullptr);
  const auto seconds = std::chrono::seconds(atol(argv[1]));
  serve(fd, Clock::now() + std::chrono::seconds(1));  // warm
  printf("%ld\n", serve(fd, Clock::now() + seconds));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return 0;
}
