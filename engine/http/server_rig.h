// For tests: a server, a handler that can be told what to do, and raw clients, all on one thread
// and one loop.
#pragma once
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <charconv>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "http/server.h"
#include "tests/catch.h"

namespace hearth::http {

// Answers each request at once with "METHOD TARGET body", unless told otherwise.
struct TestHandler : Handler {
  Server* server = nullptr;
  HeadDecision decision{.body_max = 1u << 20};
  bool hold = false;  // keep requests in `waiting` instead of answering
  std::vector<ConnectionId> waiting;
  std::function<void(ConnectionId, Request&)> on_request_do;  // instead of answering
  std::function<void(ConnectionId, const RequestHead&)> on_stream_do;
  std::function<bool(ConnectionId, std::string_view)> on_body_do;
  std::vector<std::string> seen;  // "METHOD TARGET body" of each request
  int heads = 0;
  int gone = 0;
  int writable = 0;

  HeadDecision on_head(const RequestHead&) override {
    ++heads;
    return decision;
  }
  void on_request(ConnectionId connection, Request& request) override {
    seen.push_back(std::string(request.method) + " " + std::string(request.target) + " " +
                   std::string(request.body));
    if (on_request_do) return on_request_do(connection, request);
    if (hold) {
      waiting.push_back(connection);
      return;
    }
    server->respond(connection, {.status = 200, .content_type = "text/plain"}, seen.back());
  }
  void on_stream(ConnectionId connection, const RequestHead& head) override {
    on_stream_do(connection, head);
  }
  bool on_body(ConnectionId connection, std::string_view part) override {
    return on_body_do(connection, part);
  }
  void on_gone(ConnectionId) override { ++gone; }
  void on_writable(ConnectionId) override { ++writable; }
  void render_refusal(const Refusal& refusal, const RequestHead* head,
                      RefusalAnswer& answer) override {
    answer.body =
        std::string(name(refusal.code)) + (head != nullptr ? " " + std::string(head->target) : "");
    answer.content_type = "text/plain";
    const auto status = static_cast<unsigned>(info(refusal.code).http_status);
    const char* const end =
        std::to_chars(answer.text.data(), answer.text.data() + answer.text.size(), status).ptr;
    const auto size = static_cast<size_t>(end - answer.text.data());
    answer.headers[0] = {"X-Error", name(refusal.code)};
    answer.headers[1] = {"X-Status", {answer.text.data(), size}};
    answer.header_count = 2;
  }
};

// A client's socket, non-blocking; what the test sends and receives is bytes.
class RawClient {
 public:
  explicit RawClient(uint16_t port, int receive_buffer = 0)
      : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0)
      setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
    // Without it a request in small pieces waits for the delayed acknowledgement.
    const int on = 1;
    setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    REQUIRE(::fcntl(fd_.get(), F_SETFL, O_NONBLOCK) == 0);
  }

  // As much as the socket takes; returns how much that is.
  size_t send(std::string_view bytes) {
    const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return n > 0 ? static_cast<size_t>(n) : 0;
  }
  void receive() {
    std::vector<char> buffer(256 * 1024);
    while (!ended && !was_reset) {
      const ssize_t n = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
      if (n > 0) received.append(buffer.data(), static_cast<size_t>(n));
      if (n == 0) ended = true;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
      if (n < 0) was_reset = true;
    }
  }
  // Takes and forgets what was received.
  std::string take() { return std::exchange(received, {}); }
  void finish_sending() { ::shutdown(fd_.get(), SHUT_WR); }
  void close() { fd_.reset(); }
  void reset() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    fd_.reset();
  }
  bool over() const { return ended || was_reset; }
  int fd() const { return fd_.get(); }

  std::string received;
  bool ended = false;  // the server has finished sending
  bool was_reset = false;

 private:
  UniqueFd fd_;
};

struct ServerRig {
  explicit ServerRig(const std::function<void(Limits&)>& change = {}) {
    if (change) change(limits);
    char folder[] = "/tmp/hearth-http-XXXXXX";
    REQUIRE(::mkdtemp(folder) != nullptr);
    spool_dir = folder;
    loop.emplace(clock);
    server.emplace(*loop, buffers, limits, handler, Log(), spool_dir);
    handler.server = &*server;
    const auto where = server->listen("127.0.0.1:0", false);
    REQUIRE(where);
    address = *where;
    port = static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
  }
  ~ServerRig() {
    server.reset();
    loop.reset();
    ::rmdir(spool_dir.c_str());
  }

  RawClient client(int receive_buffer = 0) { return RawClient(port, receive_buffer); }

  // Turns the loop until `done`; real time only bounds how long a failing test takes.
  bool until(const std::function<bool()>& done) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      loop->step(milliseconds(1));
    }
    return true;
  }
  // Some turns in which nothing is expected to happen.
  void settle() {
    for (int i = 0; i < 20; ++i) loop->step(milliseconds(1));
  }
  bool receives(RawClient& client, std::string_view text) {
    return until([&] {
             client.receive();
             return client.received.find(text) != std::string::npos || client.over();
           }) &&
           client.received.find(text) != std::string::npos;
  }
  bool ends(RawClient& client) {
    return until([&] {
      client.receive();
      return client.over();
    });
  }
  void advance(nanoseconds by) {
    clock.advance(by);
    settle();
  }

  ManualClock clock;
  Limits limits;
  BufferPool buffers{64u << 20};
  TestHandler handler;
  std::string spool_dir;
  std::optional<Loop> loop;
  std::optional<Server> server;
  std::string address;
  uint16_t port = 0;
};

inline size_t count_of(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + part.size()))
    ++count;
  return count;
}

inline std::string post(std::string_view target, std::string_view body) {
  return "POST " + std::string(target) +
         " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

}  // namespace hearth::http
