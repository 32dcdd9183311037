// The front behind the real HTTP server: bytes in, bytes out.
#include <nlohmann/json.hpp>

#include "api/test_rig.h"
#include "http/server_rig.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::api;
using namespace hearth::api::test;

namespace {

struct Wire {
  Wire() {
    char folder[] = "/tmp/hearth-api-XXXXXX";
    REQUIRE(::mkdtemp(folder) != nullptr);
    spool_dir = folder;
    limits.invoke_body_max = 1'000;
    port.add("hello");
    loop.emplace(clock);
    server.emplace(*loop, buffers, limits, front, Log(), spool_dir);
    front.attach(*server);
    const auto where = server->listen("127.0.0.1:0", false);
    REQUIRE(where);
    tcp_port = static_cast<uint16_t>(std::stoi(where->substr(where->rfind(':') + 1)));
  }
  ~Wire() {
    port.calls.clear();
    server.reset();
    loop.reset();
    ::rmdir(spool_dir.c_str());
  }
  // Turns the loop until `done`; real time only bounds how long a failing test takes.
  template <class F>
  bool until(F done) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      loop->step(milliseconds(1));
    }
    return true;
  }
  bool receives(http::RawClient& client, std::string_view text) {
    return until([&] {
      client.receive();
      return client.received.find(text) != std::string::npos || client.over();
    });
  }

  ManualClock clock;
  Limits limits;
  BufferPool buffers{mebibytes(64)};
  FakePort port;
  Front front{{.port = port, .buffers = buffers, .limits = limits, .clock = clock}};
  std::string spool_dir;
  std::optional<Loop> loop;
  std::optional<http::Server> server;
  uint16_t tcp_port = 0;
};

std::string post(std::string_view target, std::string_view headers, std::string_view body) {
  return "POST " + std::string(target) +
         " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         std::string(headers) + "\r\n" + std::string(body);
}

const std::string kInvoke = "/2015-03-31/functions/hello/invocations";

}  // namespace

TEST_CASE("invoke and function url travel over one connection") {
  Wire wire;
  http::RawClient client(wire.tcp_port);
  client.send(post(kInvoke, "", "{\"n\":1}") +
              "GET /fn/hello/x HTTP/1.1\r\nHost: localhost\r\n\r\n");  // pipelined
  REQUIRE(wire.until([&] { return wire.port.calls.size() == 1; }));
  REQUIRE(wire.port.calls[0].payload == "{\"n\":1}");
  wire.port.reply("{\"ok\":true}");
  REQUIRE(wire.receives(client, "{\"ok\":true}"));
  REQUIRE(client.received.starts_with("HTTP/1.1 200 OK\r\n"));
  REQUIRE(client.received.find("X-Amz-Executed-Version: $LATEST\r\n") != std::string::npos);
  REQUIRE(wire.until([&] { return wire.port.calls.size() == 2; }));
  REQUIRE(nlohmann::json::parse(wire.port.calls[1].payload)["rawPath"] == "/x");
  client.take();
  wire.port.reply(R"({"statusCode":201,"headers":{"x-a":"b"},"body":"made"})");
  REQUIRE(wire.receives(client, "made"));
  REQUIRE(client.received.find("x-a: b\r\n") != std::string::npos);
}

TEST_CASE("a body over the limit is refused as lambda does") {
  Wire wire;
  http::RawClient client(wire.tcp_port);
  client.send(post(kInvoke, "", std::string(1'001, 'x')));
  REQUIRE(wire.receives(client, "RequestTooLargeException"));
  REQUIRE(client.received.starts_with("HTTP/1.1 413 "));
  REQUIRE(wire.port.calls.empty());
  http::RawClient fits(wire.tcp_port);
  fits.send(post(kInvoke, "", std::string(1'000, 'x')));
  REQUIRE(wire.until([&] { return wire.port.calls.size() == 1; }));
}

TEST_CASE("a cross-site post is refused before its body") {
  Wire wire;
  http::RawClient client(wire.tcp_port);
  client.send("POST " + kInvoke +
              " HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.test\r\n"
              "Content-Type: text/plain\r\nContent-Length: 100\r\n\r\n");
  REQUIRE(wire.receives(client, "AccessDeniedException"));
  REQUIRE(client.received.starts_with("HTTP/1.1 403 "));
}

TEST_CASE("a client that hangs up abandons its call") {
  Wire wire;
  http::RawClient client(wire.tcp_port);
  client.send(post(kInvoke, "", "1"));
  REQUIRE(wire.until([&] { return wire.port.calls.size() == 1; }));
  client.reset();
  REQUIRE(wire.until([&] { return wire.port.calls[0].abandoned; }));
  REQUIRE(wire.front.calls_in_flight() == 0);
}

TEST_CASE("a refused call keeps the connection for the next one") {
  Wire wire;
  http::RawClient client(wire.tcp_port);
  wire.port.refuse = Code::queue_full;
  client.send(post(kInvoke, "", "1"));
  REQUIRE(wire.receives(client, "queue_full"));
  REQUIRE(client.received.find("Retry-After: 1\r\n") != std::string::npos);
  wire.port.refuse.reset();
  client.take();
  client.send(post(kInvoke, "", "2"));
  REQUIRE(wire.until([&] { return wire.port.calls.size() == 1; }));
}

TEST_CASE("metrics count what the server did") {
  Wire wire;
  http::RawClient client(wire.tcp_port);
  client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  REQUIRE(wire.receives(client, "\"ok\""));
  client.take();
  client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
  REQUIRE(wire.receives(client, "hearth_api_waiting_clients"));
  REQUIRE(client.received.find("hearth_http_responses_total{class=\"2xx\"} 1\n") !=
          std::string::npos);
}
