// Goal: the blocking client against scripted servers: every framing, a kept connection that has
// gone stale, time and size limits.
#include "http/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::http;

namespace {

constexpr milliseconds kTime{10'000};

// A thread that runs a script on a listening socket; joined at the end.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::function<void(ScriptedServer&)> script)
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
    REQUIRE(::listen(listener_.get(), 8) == 0);
    socklen_t size = sizeof at;
    getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&at), &size);
    url = "http://127.0.0.1:" + std::to_string(ntohs(at.sin_port));
    thread_ = std::thread([this, script] { script(*this); });
  }
  ~ScriptedServer() { thread_.join(); }

  UniqueFd accept() {
    pollfd watched{listener_.get(), POLLIN, 0};
    if (::poll(&watched, 1, 10'000) != 1) return {};
    return UniqueFd(::accept(listener_.get(), nullptr, nullptr));
  }
  // Reads until `text` has come or the client has closed.
  static std::string read_until(const UniqueFd& fd, std::string_view text) {
    std::string got;
    char buffer[65536];
    while (got.find(text) == std::string::npos) {
      const ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, 0);
      if (n <= 0) break;
      got.append(buffer, static_cast<size_t>(n));
    }
    return got;
  }
  static void write(const UniqueFd& fd, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }

  std::string url;

 private:
  UniqueFd listener_;
  std::thread thread_;
};

Client open(const std::string& url) {
  auto client = Client::open(url);
  REQUIRE(client);
  return std::move(*client);
}

}  // namespace

TEST_CASE("the client takes counted chunked and unbounded bodies") {
  std::string first;
  ScriptedServer server([&](ScriptedServer& s) {
    UniqueFd fd = s.accept();
    first = s.read_until(fd, "body");
    s.write(fd,
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nX-One: 1\r\nContent-Length: "
            "5\r\n\r\nhello");
    s.read_until(fd, "\r\n\r\n");
    s.write(fd,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
            "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-One: 2\r\n\r\n");
    s.read_until(fd, "\r\n\r\n");
    s.write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");  // to HEAD
    s.read_until(fd, "\r\n\r\n");
    s.write(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end");
  });
  Client client = open(server.url);
  auto counted = client.call(
      {.method = "POST", .target = "/a?b", .headers = {{"X-In", "y"}}, .body = "body"}, kTime);
  REQUIRE(counted);
  CHECK(counted->status == 201);
  CHECK(counted->body == "hello");
  CHECK(counted->header("x-one") == "1");
  CHECK(counted->header("x-two").empty());
  CHECK(first.starts_with("POST /a?b HTTP/1.1\r\nHost: 127.0.0.1:"));
  CHECK(first.find("\r\nX-In: y\r\nContent-Length: 4\r\n\r\nbody") != std::string::npos);
  auto chunked = client.call({}, kTime);
  REQUIRE(chunked);
  CHECK(chunked->body == "abcde");
  CHECK(chunked->header("x-one").empty());
  auto head = client.call({.method = "HEAD"}, kTime);
  REQUIRE(head);
  CHECK(head->body.empty());
  auto unbounded = client.call({}, kTime);
  REQUIRE(unbounded);
  CHECK(unbounded->body == "until the end");
}

TEST_CASE("a kept connection that has gone stale is replaced once") {
  int connections = 0;
  ScriptedServer server([&](ScriptedServer& s) {
    for (int i = 0; i < 2; ++i) {
      UniqueFd fd = s.accept();
      ++connections;
      s.read_until(fd, "\r\n\r\n");
      s.write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    UniqueFd fd = s.accept();  // closes a new connection without an answer: that is an error
    s.read_until(fd, "\r\n\r\n");
  });
  Client client = open(server.url);
  CHECK(client.call({}, kTime));
  CHECK(client.call({}, kTime));
  const auto third = client.call({}, kTime);
  REQUIRE_FALSE(third);
  CHECK(third.error().code == Code::io_failed);
  CHECK(connections == 2);
}

TEST_CASE("a large upload and a large download pass") {
  std::string upload(20u << 20, 'u');
  upload += "END";
  size_t received = 0;
  ScriptedServer server([&](ScriptedServer& s) {
    UniqueFd fd = s.accept();
    received = s.read_until(fd, "END").size();
    s.write(fd,
            "HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n" + std::string(10u << 20, 'd'));
  });
  Client client = open(server.url);
  auto response = client.call({.method = "PUT", .body = upload}, kTime);
  REQUIRE(response);
  CHECK(response->body.size() == 10u << 20);
  CHECK(received > upload.size());
}

TEST_CASE("an answer that comes before the whole body was sent counts") {
  ScriptedServer server([&](ScriptedServer& s) {
    UniqueFd fd = s.accept();
    s.read_until(fd, "\r\n\r\n");
    s.write(fd,
            "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    ::shutdown(fd.get(), SHUT_WR);
    s.read_until(fd, "END");
  });
  Client client = open(server.url);
  auto response = client.call({.method = "POST", .body = std::string(20u << 20, 'u')}, kTime);
  REQUIRE(response);
  CHECK(response->status == 413);
  CHECK(response->body == "no");
}

TEST_CASE("what goes wrong is told apart") {
  SECTION("no answer in time") {
    ScriptedServer server([](ScriptedServer& s) {
      UniqueFd fd = s.accept();
      s.read_until(fd, "never");
    });
    Client client = open(server.url);
    const auto response = client.call({}, milliseconds(50));
    REQUIRE_FALSE(response);
    CHECK(response.error().code == Code::io_failed);
  }
  SECTION("not HTTP") {
    ScriptedServer server([](ScriptedServer& s) {
      UniqueFd fd = s.accept();
      s.read_until(fd, "\r\n\r\n");
      s.write(fd, "SSH-2.0-OpenSSH\r\n");
    });
    Client client = open(server.url);
    const auto response = client.call({}, kTime);
    REQUIRE_FALSE(response);
    CHECK(response.error().code == Code::http_malformed);
  }
  SECTION("too long") {
    ScriptedServer server([](ScriptedServer& s) {
      UniqueFd fd = s.accept();
      s.read_until(fd, "\r\n\r\n");
      s.write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world");
    });
    Client client = open(server.url);
    const auto response = client.call({}, kTime, 10);
    REQUIRE_FALSE(response);
    CHECK(response.error().code == Code::io_failed);
  }
  SECTION("broken off") {
    ScriptedServer server([](ScriptedServer& s) {
      UniqueFd fd = s.accept();
      s.read_until(fd, "\r\n\r\n");
      s.write(fd, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello");
    });
    Client client = open(server.url);
    const auto response = client.call({}, kTime);
    REQUIRE_FALSE(response);
    CHECK(response.error().code == Code::io_failed);
  }
  SECTION("nobody there") {
    std::string url;
    {
      url = ScriptedServer([](ScriptedServer&) {}).url;
    }
    Client client = open(url);
    const auto response = client.call({}, kTime);
    REQUIRE_FALSE(response);
    CHECK(response.error().code == Code::server_unreachable);
    CHECK(response.error().message().find(url) != std::string::npos);
    CHECK(response.error().message().find("hearth serve") != std::string::npos);
  }
}

TEST_CASE("URLs and requests that can't be sent are refused") {
  for (const std::string_view wrong :
       {"", "127.0.0.1:4327", "https://x", "http://", "http://x:0", "http://x:y", "http://x:99999",
        "http://x/path", "http://u@x", "http://x?y", "http://x y"}) {
    INFO(wrong);
    const auto client = Client::open(wrong);
    REQUIRE_FALSE(client);
    CHECK(client.error().code == Code::usage);
  }
  CHECK(open("http://localhost:4327/").url() == "http://localhost:4327");
  CHECK(open("http://[::1]:80").url() == "http://[::1]:80");
  Client client = open("http://127.0.0.1:1");
  const ClientRequest requests[] = {{.target = "/a b"},
                                    {.target = "/a\r\nX: y"},
                                    {.method = "GE T"},
                                    {.headers = {{"X", "a\r\nb: c"}}},
                                    {.headers = {{"Content-Length", "1"}}}};
  for (const ClientRequest& request : requests) {
    const auto response = client.call(request, kTime);
    REQUIRE_FALSE(response);
    CHECK(response.error().code == Code::usage);
  }
}
