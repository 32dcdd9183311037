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

TEST_CASE("what the server itself refuses has the headers of an error") {
  struct Case {
    std::string bytes;
    std::string_view status;
    std::string_view type;
    std::string_view error;
  };
  const std::string head = "POST " + kInvoke + " HTTP/1.1\r\nHost: localhost\r\n";
  const Case cases[] = {
      {"nonsense\r\n", "505", "InvalidRequestContentException", "http_version"},
      {"GET / HTTP/1.1\r\n\r\n", "400", "InvalidRequestContentException", "http_malformed"},
      {head + "Expect: more\r\nContent-Length: 1\r\n\r\n", "417", "InvalidRequestContentException",
       "expectation_failed"},
      {head + "Content-Length: 1001\r\n\r\n", "413", "RequestTooLargeException", "body_too_large"},
      {head + "A: " + std::string(70'000, 'a'), "431", "RequestTooLargeException",
       "head_too_large"},
      {"POST /x HTTP/1.1\r\nHost: evil.test\r\nContent-Length: 1\r\n\r\n", "421",
       "MisdirectedRequestException", "host_not_allowed"},
  };
  Wire wire;
  for (const Case& c : cases) {
    INFO(c.error);
    http::RawClient client(wire.tcp_port);
    client.send(c.bytes);
    REQUIRE(wire.receives(client, "\"Type\":\"User\""));
    const std::string& got = client.received;
    REQUIRE(got.starts_with("HTTP/1.1 " + std::string(c.status)));
    REQUIRE(got.find("X-Amzn-ErrorType: " + std::string(c.type) + "\r\n") != std::string::npos);
    REQUIRE(got.find("X-Hearth-Error: " + std::string(c.error) + "\r\n") != std::string::npos);
    REQUIRE(got.find("X-Amzn-RequestId: ") != std::string::npos);
  }
  http::RawClient slow(wire.tcp_port);
  slow.send("GET / HT");
  REQUIRE(wire.until([&] { return wire.server->stats().bytes_in > 0; }));
  for (int i = 0; i < 20; ++i) wire.loop->step(milliseconds(1));
  wire.clock.advance(wire.limits.head_timeout + seconds(1));
  REQUIRE(wire.receives(slow, "X-Hearth-Error: request_timeout\r\n"));
  REQUIRE(slow.received.starts_with("HTTP/1.1 408 "));
}

TEST_CASE("a URL as target is judged by its host and not by the Host header") {
  Wire wire;
  const auto status_of = [&](std::string_view target, std::string_view host) {
    http::RawClient client(wire.tcp_port);
    client.send("GET " + std::string(target) + " HTTP/1.1\r\nHost: " + std::string(host) +
                "\r\n\r\n");
    REQUIRE(wire.receives(client, "\r\n\r\n"));
    return client.received.substr(9, 3);
  };
  REQUIRE(status_of("http://evil.test/healthz", "localhost") == "421");
  REQUIRE(status_of("HTTP://evil.test?/healthz", "localhost") == "421");
  REQUIRE(status_of("http://localhost:1/healthz", "evil.test") == "200");
  REQUIRE(status_of("http://localhost@evil.test/healthz", "localhost") == "400");
  REQUIRE(status_of("https://localhost/healthz", "localhost") == "400");
  REQUIRE(status_of("//localhost/healthz", "localhost") == "404");
  REQUIRE(status_of("/healthz", "evil.test") == "421");
}

TEST_CASE("a client that hangs up abandons its call") {
  for (const bool by_reset : {true, false}) {
    Wire wire;
    http::RawClient client(wire.tcp_port);
    client.send(post(kInvoke, "", "1"));
    REQUIRE(wire.until([&] { return wire.port.calls.size() == 1; }));
    by_reset ? client.reset() : client.close();
    REQUIRE(wire.until([&] { return wire.port.calls[0].abandoned; }));
    REQUIRE(wire.front.calls_in_flight() == 0);
  }
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
