// Goal: who is cut off when, who is told about it, and how a server ends. The clock is a
// ManualClock.
#include <vector>

#include "http/server.h"
#include "http/server_rig.h"

using namespace hearth;
using namespace hearth::http;

namespace {

constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

struct Drained {
  int times = 0;
  void on_drained() { ++times; }
  Callback<void()> callback() { return Callback<void()>::to<&Drained::on_drained>(this); }
};

}  // namespace

TEST_CASE("an idle connection is closed after its time and not before") {
  ServerRig rig;
  auto fresh = rig.client();
  auto used = rig.client();
  used.send(kGet);
  REQUIRE(rig.receives(used, "GET /a "));
  rig.advance(seconds(74));
  used.take();
  used.send(kGet);
  REQUIRE(rig.receives(used, "GET /a "));
  rig.advance(seconds(2));
  REQUIRE(rig.ends(fresh));
  CHECK(fresh.received.empty());
  used.receive();
  CHECK_FALSE(used.over());
  rig.advance(seconds(74));
  CHECK(rig.ends(used));
  CHECK(rig.server->stats().connections == 0);
}

TEST_CASE("a head that does not end in time is refused however often a byte comes") {
  ServerRig rig;
  auto client = rig.client();
  client.send("GET / HTTP/1.1\r\nHost: x\r\n");
  rig.settle();
  for (int i = 0; i < 3; ++i) {
    rig.advance(seconds(3));
    client.send("A: b\r\n");
    rig.settle();
  }
  client.receive();
  CHECK_FALSE(client.over());
  rig.advance(seconds(2));
  REQUIRE(rig.ends(client));
  CHECK(client.received.starts_with("HTTP/1.1 408 "));
  CHECK(rig.server->stats().timeouts == 1);
}

TEST_CASE("a body may take long but not pause for long") {
  ServerRig rig;
  auto client = rig.client();
  client.send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n");
  rig.settle();
  for (int i = 0; i < 5; ++i) {
    rig.advance(seconds(50));
    client.send("b");
    rig.settle();
  }
  client.receive();
  CHECK_FALSE(client.over());
  rig.advance(seconds(61));
  REQUIRE(rig.ends(client));
  CHECK(client.received.ends_with("request_timeout /slow"));
  CHECK(rig.handler.gone == 0);
}

TEST_CASE("a handler may take as long as it wants") {
  ServerRig rig;
  rig.handler.hold = true;
  auto client = rig.client();
  client.send(kGet);
  REQUIRE(rig.until([&] { return rig.handler.waiting.size() == 1; }));
  rig.advance(seconds(3'000));
  REQUIRE(rig.server->respond(rig.handler.waiting[0], {}, "late"));
  CHECK(rig.receives(client, "late"));
}

TEST_CASE("a client that does not read its response is cut off") {
  ServerRig rig;
  const std::string large(8u << 20, 'b');
  rig.handler.on_request_do = [&](ConnectionId id, Request&) {
    CHECK(rig.server->respond(id, {}, large));
  };
  auto client = rig.client(4096);
  client.send(kGet);
  REQUIRE(rig.until([&] { return rig.handler.seen.size() == 1; }));
  rig.advance(seconds(59));
  CHECK(rig.server->stats().connections == 1);
  rig.advance(seconds(2));
  CHECK(rig.server->stats().connections == 0);
  CHECK(rig.server->stats().timeouts == 1);
  CHECK(rig.handler.gone == 0);  // its response was given
  CHECK(rig.buffers.bytes_taken() == 0);
}

TEST_CASE("a client that reads slowly gets all of a large response and then the next") {
  ServerRig rig;
  const std::string large(8u << 20, 'b');
  rig.handler.on_request_do = [&](ConnectionId id, Request& r) {
    CHECK(rig.server->respond(id, {}, r.target == "/a" ? std::string_view(large) : "small"));
  };
  auto client = rig.client(4096);
  client.send(std::string(kGet) + "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(rig.until([&] { return rig.handler.seen.size() == 1; }));
  rig.settle();
  CHECK(rig.handler.seen.size() == 1);
  REQUIRE(rig.receives(client, "small"));
  CHECK(client.received.size() > large.size());
  CHECK(rig.buffers.bytes_taken() == 0);
}

TEST_CASE("a reset while a request waits is told exactly once") {
  ServerRig rig;
  rig.handler.hold = true;
  auto client = rig.client();
  client.send(kGet);
  REQUIRE(rig.until([&] { return rig.handler.waiting.size() == 1; }));
  client.reset();
  REQUIRE(rig.until([&] { return rig.handler.gone == 1; }));
  rig.settle();
  CHECK(rig.handler.gone == 1);
  CHECK_FALSE(rig.server->respond(rig.handler.waiting[0], {}, "nobody"));
  CHECK_FALSE(rig.server->start(rig.handler.waiting[0], {}));
  CHECK(rig.server->write(rig.handler.waiting[0], "x") == -1);
  rig.server->abort(rig.handler.waiting[0]);
  CHECK(rig.handler.gone == 1);
}

TEST_CASE("a client that finishes sending while its request waits is gone, once") {
  for (const bool pipelined : {false, true}) {
    ServerRig rig;
    rig.handler.hold = true;
    auto client = rig.client();
    client.send(std::string(kGet) + (pipelined ? "GET /b HTTP/1.1\r\nHost: x\r\n\r\n" : ""));
    REQUIRE(rig.until([&] { return rig.handler.waiting.size() == 1; }));
    client.finish_sending();
    REQUIRE(rig.until([&] { return rig.handler.gone == 1; }));
    REQUIRE(rig.ends(client));
    rig.settle();
    CHECK(rig.handler.gone == 1);
    CHECK(rig.handler.seen.size() == 1);
    CHECK(client.received.empty());
    CHECK_FALSE(rig.server->respond(rig.handler.waiting[0], {}, "nobody"));
    CHECK(rig.server->stats().connections == 0);
    CHECK(rig.buffers.bytes_taken() == 0);
  }
}

TEST_CASE("requests that are answered at once are answered before a FIN counts") {
  ServerRig rig;
  auto client = rig.client();
  client.send(std::string(kGet) + "GET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /c HTT");
  client.finish_sending();
  REQUIRE(rig.ends(client));
  CHECK_FALSE(client.was_reset);
  CHECK(client.received.ends_with("GET /b "));
  CHECK(rig.handler.gone == 0);
  CHECK(rig.until([&] { return rig.server->stats().connections == 0; }));
}

TEST_CASE("a stream whose client finishes sending ends with on gone") {
  ServerRig rig;
  ConnectionId stream;
  rig.handler.on_request_do = [&](ConnectionId id, Request&) { stream = id; };
  auto client = rig.client();
  client.send(kGet);
  REQUIRE(rig.until([&] { return bool(stream); }));
  REQUIRE(rig.server->start(stream, {}));
  rig.server->write(stream, "hello");
  client.finish_sending();
  REQUIRE(rig.until([&] { return rig.handler.gone == 1; }));
  CHECK(rig.server->write(stream, "x") == -1);
  CHECK_FALSE(rig.server->finish(stream));
  REQUIRE(rig.ends(client));
  CHECK(client.received.ends_with("5\r\nhello\r\n"));
  CHECK(rig.handler.gone == 1);
  CHECK(rig.server->stats().connections == 0);
}

TEST_CASE("a complete response is sent to its end to a client that has finished sending") {
  ServerRig rig;
  rig.handler.hold = true;
  auto client = rig.client(4096);
  client.send(std::string(kGet) + std::string(kGet));
  REQUIRE(rig.until([&] { return rig.handler.waiting.size() == 1; }));
  const std::string large(8u << 20, 'l');
  REQUIRE(rig.server->respond(rig.handler.waiting[0], {}, large));
  client.finish_sending();
  REQUIRE(rig.ends(client));
  CHECK_FALSE(client.was_reset);
  CHECK(client.received.ends_with(std::string_view(large).substr(0, 1000)));
  CHECK(client.received.size() > large.size());
  CHECK(rig.handler.seen.size() == 1);  // the second request went with the FIN
  CHECK(rig.handler.gone == 0);
  CHECK(rig.until([&] { return rig.server->stats().connections == 0; }));
  CHECK(rig.buffers.bytes_taken() == 0);
}

TEST_CASE("an ended connection does not keep the loop busy") {
  ServerRig rig;
  rig.handler.hold = true;
  auto client = rig.client(4096);
  client.send(kGet);
  REQUIRE(rig.until([&] { return rig.handler.waiting.size() == 1; }));
  REQUIRE(rig.server->respond(rig.handler.waiting[0], {}, std::string(8u << 20, 'l')));
  client.finish_sending();
  rig.settle();
  const uint64_t before = rig.loop->turns();
  rig.loop->step(milliseconds(30));
  CHECK(rig.loop->turns() == before + 1);
}

TEST_CASE("a streamed response is chunked and its length in flight is told") {
  ServerRig rig;
  ConnectionId stream;
  rig.handler.on_request_do = [&](ConnectionId id, Request&) { stream = id; };
  auto client = rig.client(4096);
  client.send(kGet);
  REQUIRE(rig.until([&] { return bool(stream); }));
  REQUIRE(rig.server->start(stream, {.content_type = "text/plain"}));
  CHECK(rig.server->write(stream, "hello") == 0);
  REQUIRE(rig.receives(client, "5\r\nhello\r\n"));
  CHECK(client.received.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
  CHECK(client.received.find("Content-Length") == std::string::npos);

  const std::string part(1u << 20, 'p');
  int64_t waiting = 0;
  int parts = 0;
  while (waiting < (4 << 20)) {
    waiting = rig.server->write(stream, part);
    REQUIRE(waiting >= 0);
    ++parts;
  }
  REQUIRE(rig.until([&] {
    client.receive();
    return rig.handler.writable == 1;
  }));
  CHECK(rig.server->write(stream, "end") == 0);
  CHECK(rig.server->finish(stream));
  CHECK_FALSE(rig.server->finish(stream));
  REQUIRE(rig.receives(client, "3\r\nend\r\n0\r\n\r\n"));
  CHECK(count_of(client.received, "100000\r\n") == static_cast<size_t>(parts));
  // The connection goes on.
  rig.handler.on_request_do = {};
  client.send(kGet);
  CHECK(rig.receives(client, "GET /a "));
}

TEST_CASE("a stream to HTTP 1.0 ends with the connection and HEAD gets no body") {
  ServerRig rig;
  rig.handler.on_request_do = [&](ConnectionId id, Request&) {
    CHECK(rig.server->start(id, {}));
    CHECK(rig.server->write(id, "hello") >= 0);
    CHECK(rig.server->finish(id));
  };
  auto old = rig.client();
  old.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  REQUIRE(rig.ends(old));
  CHECK(old.received.ends_with("\r\n\r\nhello"));
  CHECK(old.received.find("Connection: close\r\n") != std::string::npos);
  auto head = rig.client();
  head.send("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(rig.receives(head, "\r\n\r\n"));
  CHECK(head.received.ends_with("Transfer-Encoding: chunked\r\n\r\n"));
}

TEST_CASE("a stream whose client stops reading ends with on gone") {
  ServerRig rig;
  ConnectionId stream;
  rig.handler.on_request_do = [&](ConnectionId id, Request&) { stream = id; };
  auto client = rig.client(4096);
  client.send(kGet);
  REQUIRE(rig.until([&] { return bool(stream); }));
  REQUIRE(rig.server->start(stream, {}));
  const std::string part(8u << 20, 'p');
  CHECK(rig.server->write(stream, part) > 0);
  rig.settle();
  rig.advance(seconds(61));
  CHECK(rig.handler.gone == 1);
  CHECK(rig.server->write(stream, "x") == -1);
  CHECK_FALSE(rig.server->finish(stream));
}

TEST_CASE("an aborted stream is broken off without its end") {
  ServerRig rig;
  ConnectionId stream;
  rig.handler.on_request_do = [&](ConnectionId id, Request&) { stream = id; };
  auto client = rig.client();
  client.send(kGet);
  REQUIRE(rig.until([&] { return bool(stream); }));
  REQUIRE(rig.server->start(stream, {}));
  rig.server->write(stream, "hello");
  rig.server->abort(stream);
  REQUIRE(rig.ends(client));
  CHECK(client.received.ends_with("5\r\nhello\r\n"));
  CHECK(rig.handler.gone == 0);
  CHECK(rig.server->stats().connections == 0);
}

TEST_CASE("past the limit a client is told and the others are served") {
  ServerRig rig([](Limits& limits) { limits.connections_max = 2; });
  auto one = rig.client();
  auto two = rig.client();
  one.send(kGet);
  REQUIRE(rig.receives(one, "GET /a "));
  two.send(kGet);
  REQUIRE(rig.receives(two, "GET /a "));
  {
    auto three = rig.client();
    three.send(kGet);
    REQUIRE(rig.receives(three, "too_many_connections"));
    CHECK(three.received.starts_with("HTTP/1.1 503 "));
    CHECK_FALSE(three.was_reset);
  }
  CHECK(rig.server->stats().refused_connections == 1);
  // Far more than there are slots, even for being told.
  std::vector<RawClient> crowd;
  for (int i = 0; i < 100; ++i) crowd.push_back(rig.client());
  REQUIRE(rig.until([&] { return rig.server->stats().accepted == 103; }));
  one.take();
  one.send(kGet);
  CHECK(rig.receives(one, "GET /a "));
  crowd.clear();
  one.close();
  REQUIRE(rig.until([&] { return rig.server->stats().connections == 1; }));
  auto four = rig.client();
  four.send(kGet);
  CHECK(rig.receives(four, "GET /a "));
}

TEST_CASE("a refused client that does not close is closed") {
  ServerRig rig;
  auto client = rig.client();
  client.send("nonsense\r\n");
  REQUIRE(rig.receives(client, "http_version"));
  CHECK(rig.server->stats().connections == 1);
  rig.advance(seconds(3));
  CHECK(rig.server->stats().connections == 0);
}

TEST_CASE("drain lets busy connections finish and closes the others") {
  ServerRig rig;
  rig.handler.hold = true;
  auto idle = rig.client();
  auto busy = rig.client();
  auto half = rig.client();
  busy.send(kGet);
  half.send("GET /half HTTP/1.1\r\n");
  REQUIRE(rig.until(
      [&] { return rig.handler.waiting.size() == 1 && rig.server->stats().connections == 3; }));
  rig.settle();
  Drained drained;
  rig.server->drain(drained.callback());
  REQUIRE(rig.ends(idle));
  CHECK_FALSE(rig.server->listen("127.0.0.1:0", false));
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(rig.port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0);
  ::close(fd);
  rig.settle();
  CHECK(drained.times == 0);

  rig.server->respond(rig.handler.waiting[0], {}, "bye");
  REQUIRE(rig.ends(busy));
  CHECK(busy.received.find("Connection: close\r\n") != std::string::npos);
  half.send("Host: x\r\n\r\n");
  REQUIRE(rig.until([&] { return rig.handler.waiting.size() == 2; }));
  CHECK(drained.times == 0);
  rig.server->respond(rig.handler.waiting[1], {}, "bye");
  REQUIRE(rig.ends(half));
  REQUIRE(rig.until([&] { return drained.times == 1; }));
  rig.settle();
  CHECK(drained.times == 1);
}

TEST_CASE("an empty server drains at once but not inside the call") {
  ServerRig rig;
  Drained drained;
  rig.server->drain(drained.callback());
  CHECK(drained.times == 0);
  rig.loop->step(milliseconds(100));
  CHECK(drained.times == 1);
}

TEST_CASE("close all ends every connection and tells of the requests that wait") {
  ServerRig rig;
  rig.handler.hold = true;
  auto idle = rig.client();
  auto busy = rig.client();
  busy.send(kGet);
  REQUIRE(rig.until(
      [&] { return rig.handler.waiting.size() == 1 && rig.server->stats().connections == 2; }));
  rig.server->close_all();
  CHECK(rig.handler.gone == 1);
  CHECK(rig.server->stats().connections == 0);
  CHECK(rig.ends(idle));
  CHECK(rig.ends(busy));
}

TEST_CASE("a handler may close everything from inside its callback") {
  ServerRig rig;
  rig.handler.on_request_do = [&](ConnectionId, Request&) { rig.server->close_all(); };
  auto client = rig.client();
  client.send(std::string(kGet) + std::string(kGet));
  REQUIRE(rig.ends(client));
  CHECK(rig.handler.seen.size() == 1);
  CHECK(rig.handler.gone == 1);
}

TEST_CASE("a server may be destroyed with connections in every state") {
  ServerRig rig;
  rig.handler.hold = true;
  auto idle = rig.client();
  auto half = rig.client();
  auto body = rig.client();
  auto waiting = rig.client();
  half.send("GET /");
  body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab");
  waiting.send(kGet);
  REQUIRE(rig.until(
      [&] { return rig.handler.waiting.size() == 1 && rig.server->stats().connections == 4; }));
  rig.settle();
  rig.server.reset();
  rig.settle();
  CHECK(rig.buffers.bytes_taken() == 0);
}
