// For tests: a tiny HTTP responder on a thread of its own, on a free port, that answers by a
// function and remembers what it was asked.
#pragma once
#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "cli/output.h"
#include "tests/catch.h"

namespace hearth::cli {

// Collects what a command prints.
class TextOutput final : public Output {
 public:
  void out(std::string_view text) override { out_text += text; }
  void err(std::string_view text) override { err_text += text; }
  std::string out_text, err_text;
};

struct TestRequest {
  std::string method, target, head, body;
};
struct TestResponse {
  int status = 200;
  std::string body;
  std::string headers;  // whole lines, each with CRLF
};

class TestDaemon {
 public:
  using Answer = std::function<TestResponse(const TestRequest&)>;

  explicit TestDaemon(Answer answer) : answer_(std::move(answer)) {
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener_.get(), 8) == 0);
    REQUIRE(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    REQUIRE(::pipe(stop_) == 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~TestDaemon() {
    ::close(stop_[1]);
    thread_.join();
    ::close(stop_[0]);
  }
  TestDaemon(const TestDaemon&) = delete;
  TestDaemon& operator=(const TestDaemon&) = delete;

  std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }
  std::vector<TestRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  // False: stopped, or the peer is gone.
  bool wait(int fd) const {
    pollfd fds[2] = {{fd, POLLIN, 0}, {stop_[0], POLLIN, 0}};
    return ::poll(fds, 2, -1) > 0 && fds[1].revents == 0;
  }
  bool read_more(int fd, std::string& bytes) const {
    char buffer[65'536];
    if (!wait(fd)) return false;
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n > 0) bytes.append(buffer, static_cast<size_t>(n));
    return n > 0;
  }
  static size_t content_length(const std::string& head) {
    std::string lower = head;
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    const size_t at = lower.find("content-length:");
    return at == std::string::npos ? 0 : std::stoul(lower.substr(at + 15));
  }
  bool one_request(int fd, std::string& bytes) {
    while (bytes.find("\r\n\r\n") == std::string::npos) {
      if (!read_more(fd, bytes)) return false;
    }
    TestRequest request;
    const size_t end = bytes.find("\r\n\r\n") + 4;
    request.head = bytes.substr(0, end);
    const size_t length = content_length(request.head);
    while (bytes.size() < end + length) {
      if (!read_more(fd, bytes)) return false;
    }
    request.body = bytes.substr(end, length);
    bytes.erase(0, end + length);
    request.method = request.head.substr(0, request.head.find(' '));
    const size_t start = request.method.size() + 1;
    request.target = request.head.substr(start, request.head.find(' ', start) - start);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const TestResponse response = answer_(request);
    const std::string text =
        response.status == 204
            ? fmt::format("HTTP/1.1 204 No Content\r\n{}\r\n", response.headers)
            : fmt::format("HTTP/1.1 {} Status\r\nContent-Length: {}\r\n{}\r\n{}", response.status,
                          response.body.size(), response.headers, response.body);
    return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  void serve() {
    while (wait(listener_.get())) {
      const UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      std::string bytes;
      while (connection.valid() && one_request(connection.get(), bytes)) {
      }
    }
  }

  Answer answer_;
  UniqueFd listener_;
  int port_ = 0;
  int stop_[2] = {-1, -1};
  mutable std::mutex mutex_;
  std::vector<TestRequest> requests_;
  std::thread thread_;
};

}  // namespace hearth::cli
