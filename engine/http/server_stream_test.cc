// Bodies that are handed on as they come, their trailers, and listeners that somebody else opened.
#include "http/server_rig.h"

using namespace hearth;
using namespace hearth::http;

namespace {

constexpr std::string_view kChunkedHead =
    "POST /s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

// Notes what comes: "<" a head, a part, ">" the end with trailer X.
struct Streams : ServerRig {
  explicit Streams(const std::function<void(Limits&)>& change = {}) : ServerRig(change) {
    handler.decision = {.body = HeadDecision::Body::stream, .body_max = 1u << 20};
    handler.on_stream_do = [this](ConnectionId id, const RequestHead& head) {
      connection = id;
      seen += "<" + std::string(head.target) + " ";
    };
    handler.on_body_do = [this](ConnectionId, std::string_view part) {
      seen += part;
      return takes;
    };
    handler.on_request_do = [this](ConnectionId id, Request& request) {
      seen += ">" + std::string(request.trailer("x"));
      CHECK(request.body.empty());
      server->respond(id, {}, "done");
    };
  }
  bool sees(std::string_view text) {
    return until([&] { return seen == text; });
  }
  std::string seen;
  bool takes = true;
  ConnectionId connection;
};

UniqueFd listening_socket(uint16_t& port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&at), size) == 0);
  REQUIRE(::listen(fd.get(), 16) == 0);
  REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &size) == 0);
  port = ntohs(at.sin_port);
  return fd;
}

}  // namespace

TEST_CASE("parts are handed on as they come, and the trailers at the end") {
  Streams rig;
  auto client = rig.client();
  client.send(std::string(kChunkedHead) + "3\r\none\r\n");
  REQUIRE(rig.sees("</s one"));
  client.send("4\r\n two\r\n");
  REQUIRE(rig.sees("</s one two"));
  client.send("0\r\nY: no\r\nx:");
  rig.settle();
  client.send("  why \r\n\r\n" + post("/t", "whole"));
  REQUIRE(rig.receives(client, "done"));
  CHECK(rig.sees("</s one two>why</t whole>"));
  CHECK(rig.handler.gone == 0);
}

TEST_CASE("a request in one piece is handed on the same way, and one without a body at once") {
  Streams rig;
  auto client = rig.client();
  client.send(post("/a", "body") + "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(rig.sees("</a body>>"));
}

TEST_CASE("a client whose parts are not taken is not read until they are") {
  Streams rig;
  rig.takes = false;
  auto client = rig.client();
  client.send(std::string(kChunkedHead) + "3\r\none\r\n");
  REQUIRE(rig.sees("</s one"));
  client.send("3\r\ntwo\r\n");
  rig.settle();
  CHECK(rig.seen == "</s one");
  rig.advance(seconds(3'600));  // no time limit runs
  CHECK(rig.seen == "</s one");
  rig.takes = true;
  rig.server->read_on(rig.connection);
  REQUIRE(rig.sees("</s onetwo"));
  rig.server->read_on(rig.connection);
  client.send("0\r\n\r\n");
  CHECK(rig.sees("</s onetwo>"));
}

TEST_CASE("a stream that breaks off is told once") {
  Streams rig;
  auto client = rig.client();
  client.send(std::string(kChunkedHead) + "3\r\none\r\n");
  REQUIRE(rig.sees("</s one"));
  SECTION("by its client's end") {
    client.close();
    CHECK(rig.until([&] { return rig.handler.gone == 1; }));
  }
  SECTION("by bytes that are no chunk") {
    client.send("zz\r\n");
    CHECK(rig.receives(client, "http_malformed /s"));
  }
  SECTION("by time") {
    rig.advance(rig.limits.body_timeout + seconds(1));
    CHECK(rig.receives(client, "request_timeout /s"));
  }
  SECTION("by its length") {
    rig.handler.decision.body_max = 3;
    auto other = rig.client();
    other.send(std::string(kChunkedHead) + "3\r\none\r\n1\r\n!\r\n");
    CHECK(rig.receives(other, "body_too_large /s"));
  }
  SECTION("by trailers that are longer than a head may be") {
    client.send("0\r\nx: " + std::string(rig.limits.head_max, 'x') + "\r\n\r\n");
    CHECK(rig.receives(client, "head_too_large /s"));
  }
  SECTION("by close_all") { rig.server->close_all(); }
  rig.settle();
  CHECK(rig.handler.gone == 1);
  CHECK(rig.seen.find('>') == std::string::npos);
}

TEST_CASE("what the handler itself aborts is not told") {
  Streams rig;
  auto client = rig.client();
  rig.handler.on_body_do = [&](ConnectionId id, std::string_view) {
    rig.server->abort(id);
    return true;
  };
  client.send(std::string(kChunkedHead) + "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
  CHECK(rig.ends(client));
  CHECK(rig.handler.gone == 0);
  CHECK(rig.seen == "</s ");
}

TEST_CASE("an adopted listener's requests carry its id, and go with it") {
  ServerRig rig;
  uint16_t port = 0;
  uint32_t listener = 0;
  rig.handler.on_request_do = [&](ConnectionId id, Request& request) {
    listener = request.listener;
    if (!rig.handler.hold) rig.server->respond(id, {}, "yes");
  };
  REQUIRE(rig.server->adopt(listening_socket(port), 7, 2));
  RawClient first(port);
  first.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(rig.receives(first, "yes"));
  CHECK(listener == 7);
  SECTION("it has as many connections as were agreed") {
    RawClient second(port), third(port);
    CHECK(rig.ends(third));
    CHECK(rig.server->stats().refused_connections == 1);
    second.close();
    rig.settle();
    RawClient fourth(port);
    fourth.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(rig.receives(fourth, "yes"));
  }
  SECTION("dropped, with a request that waits") {
    rig.handler.hold = true;
    auto own = rig.client();
    first.take();
    first.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(rig.until([&] { return rig.handler.seen.size() == 2; }));
    rig.server->drop(7);
    rig.server->drop(7);
    CHECK(rig.ends(first));
    rig.handler.hold = false;
    own.send("GET /c HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(rig.receives(own, "yes"));
    CHECK(listener == 0);
  }
  CHECK(rig.handler.gone == 0);
}
