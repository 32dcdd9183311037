// Goal: requests and responses over real sockets: framing, keep-alive, pipelining, bodies,
// refusals. Time is in server_timing_test.cc.
#include "http/server.h"

#include <sys/stat.h>

#include "http/server_rig.h"

using namespace hearth;
using namespace hearth::http;

namespace {

constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

}  // namespace

TEST_CASE("a connection serves one request after the other") {
  ServerRig rig;
  auto client = rig.client();
  client.send(kGet);
  REQUIRE(rig.receives(client, "GET /a "));
  CHECK(client.take() ==
        "HTTP/1.1 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Type: "
        "text/plain\r\nContent-Length: 7\r\n\r\nGET /a ");
  rig.advance(seconds(1));
  client.send(post("/b", "hello"));
  REQUIRE(rig.receives(client, "POST /b hello"));
  CHECK(client.received.find("Date: Tue, 14 Nov 2023 22:13:21 GMT\r\n") != std::string::npos);
  CHECK(rig.server->stats().requests == 2);
  CHECK(rig.server->stats().responses_by_class[2] == 2);
  CHECK(rig.server->stats().connections == 1);
  CHECK(rig.server->stats().bytes_in == kGet.size() + post("/b", "hello").size());
}

TEST_CASE("requests in one piece are answered in their order") {
  ServerRig rig;
  auto client = rig.client();
  std::string all;
  for (int i = 0; i < 50; ++i) all += post("/" + std::to_string(i), "b");
  client.send(all);
  REQUIRE(rig.receives(client, "POST /49 b"));
  for (int i = 0; i < 50; ++i)
    CHECK(rig.handler.seen[static_cast<size_t>(i)] == "POST /" + std::to_string(i) + " b");
  CHECK(count_of(client.received, "HTTP/1.1 200 OK") == 50);
}

TEST_CASE("the next request waits until the response was given") {
  ServerRig rig;
  rig.handler.hold = true;
  auto client = rig.client();
  client.send(std::string(kGet) + post("/b", "1") + post("/c", "2"));
  REQUIRE(rig.until([&] { return rig.handler.waiting.size() == 1; }));
  rig.settle();
  CHECK(rig.handler.waiting.size() == 1);
  REQUIRE(rig.server->respond(rig.handler.waiting[0], {}, "one"));
  CHECK(rig.handler.waiting.size() == 1);  // never from inside respond()
  CHECK_FALSE(rig.server->respond(rig.handler.waiting[0], {}, "again"));
  REQUIRE(rig.until([&] { return rig.handler.waiting.size() == 2; }));
  rig.server->respond(rig.handler.waiting[1], {}, "two");
  REQUIRE(rig.until([&] { return rig.handler.waiting.size() == 3; }));
  rig.server->respond(rig.handler.waiting[2], {}, "three");
  REQUIRE(rig.receives(client, "three"));
  CHECK(rig.handler.seen.back() == "POST /c 2");
}

TEST_CASE("a client that pipelines without end is not read without end") {
  ServerRig rig;
  rig.handler.hold = true;
  auto client = rig.client();
  client.send(kGet);
  REQUIRE(rig.until([&] { return rig.handler.waiting.size() == 1; }));
  const std::string more(1u << 20, 'x');
  for (int i = 0; i < 64; ++i) {
    client.send(more);
    rig.loop->step(milliseconds(0));
  }
  CHECK(rig.buffers.bytes_taken() <= 1u << 20);
  CHECK(rig.server->stats().bytes_in <= 1u << 20);
  rig.server->respond(rig.handler.waiting[0], {}, "one");
  REQUIRE(rig.receives(client, "head_too_large"));
}

TEST_CASE("a request that arrives byte at a time is one request") {
  ServerRig rig;
  auto client = rig.client();
  const std::string request =
      "POST /a HTTP/1.1\r\nHost: x\r\nX-Long: value\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  std::string header;
  rig.handler.on_request_do = [&](ConnectionId id, Request& r) {
    header = r.header("x-long");
    CHECK(r.peer == "127.0.0.1");
    CHECK(r.host == "x");
    rig.server->respond(id, {}, "done");
  };
  for (const char c : request) {
    client.send({&c, 1});
    rig.loop->step(milliseconds(1));
  }
  REQUIRE(rig.receives(client, "done"));
  CHECK(rig.handler.seen == std::vector<std::string>{"POST /a abcde"});
  CHECK(header == "value");
  CHECK(rig.buffers.bytes_taken() == 0);
}

TEST_CASE("a large body grows in a pooled buffer that the handler may keep") {
  ServerRig rig;
  rig.handler.decision.body_max = 3u << 20;
  Buffer kept;
  rig.handler.on_request_do = [&](ConnectionId id, Request& r) {
    if (r.body_buffer != nullptr) kept = std::move(*r.body_buffer);
    rig.server->respond(id, {}, "done");
  };
  auto client = rig.client();
  std::string body(3u << 20, 'b');
  body[12345] = 'c';
  const std::string all = post("/a", body) + std::string(kGet);
  for (size_t sent = 0; sent < all.size();) {
    sent += client.send(std::string_view(all).substr(sent));
    rig.loop->step(milliseconds(0));
  }
  REQUIRE(rig.receives(client, "done"));
  CHECK(kept.view() == body);
}

TEST_CASE("a body longer than the handler allows is refused by its announced or its real length") {
  ServerRig rig;
  rig.handler.decision.body_max = 4;
  auto announced = rig.client();
  announced.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
  REQUIRE(rig.ends(announced));
  CHECK(announced.received.starts_with("HTTP/1.1 413 "));
  CHECK(announced.received.find("Connection: close\r\n") != std::string::npos);
  CHECK(announced.received.ends_with("body_too_large /a"));

  auto chunked = rig.client();
  chunked.send("POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  rig.settle();
  chunked.send("2\r\nde\r\n0\r\n\r\n");
  REQUIRE(rig.ends(chunked));
  CHECK(chunked.received.ends_with("body_too_large /b"));
  CHECK(rig.handler.seen.empty());
}

TEST_CASE("a client that is refused while it sends can read why") {
  ServerRig rig;
  rig.handler.decision = {.body = HeadDecision::Body::refuse,
                          .refuse_code = Code::function_unknown};
  auto client = rig.client();
  const std::string all = post("/a", std::string(8u << 20, 'b'));
  for (size_t sent = 0; sent < all.size();) {
    sent += client.send(std::string_view(all).substr(sent));
    rig.loop->step(milliseconds(0));
  }
  client.finish_sending();
  REQUIRE(rig.ends(client));
  CHECK_FALSE(client.was_reset);
  CHECK(client.received.starts_with("HTTP/1.1 404 "));
  CHECK(rig.until([&] { return rig.server->stats().connections == 0; }));
}

TEST_CASE("a refused request without a body keeps its connection") {
  ServerRig rig;
  rig.handler.decision = {.body = HeadDecision::Body::refuse, .refuse_code = Code::route_unknown};
  auto client = rig.client();
  client.send(std::string(kGet) + std::string(kGet));
  REQUIRE(rig.until([&] {
    client.receive();
    return count_of(client.received, "route_unknown /a") == 2;
  }));
  CHECK(client.received.find("Connection: close") == std::string::npos);
  CHECK(rig.handler.seen.empty());
}

TEST_CASE("wrong requests get the status of their error and a close") {
  struct Case {
    std::string bytes;
    std::string_view status;
  };
  const Case cases[] = {
      {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
      {"GET / HTTP/3.0\r\n\r\n", "HTTP/1.1 505 "},
      {"GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(70'000, 'a'), "HTTP/1.1 431 "},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "HTTP/1.1 501 "},
      {"POST / HTTP/1.1\r\nHost: x\r\nExpect: a-miracle\r\nContent-Length: 1\r\n\r\n",
       "HTTP/1.1 417 "},
      {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400 "},
  };
  ServerRig rig;
  for (const Case& c : cases) {
    INFO(c.bytes.substr(0, 80));
    auto client = rig.client();
    client.send(c.bytes);
    REQUIRE(rig.ends(client));
    CHECK(client.received.starts_with(c.status));
    CHECK(client.received.find("Connection: close\r\n") != std::string::npos);
    // The handler's headers, the one whose value it wrote itself too.
    const std::string status(c.status.substr(9, 3));
    CHECK(client.received.find("X-Status: " + status + "\r\n") != std::string::npos);
  }
  CHECK(rig.handler.seen.empty());
  CHECK(rig.server->stats().refused_requests == std::size(cases));
}

TEST_CASE("nothing behind a wrong request is taken for a request") {
  ServerRig rig;
  auto client = rig.client();
  client.send("GET / HTTP/1.1\r\nHost: x\r\n Content-Length: 3\r\n\r\n" + std::string(kGet));
  REQUIRE(rig.ends(client));
  CHECK(count_of(client.received, "HTTP/1.1 ") == 1);
  CHECK(rig.handler.heads == 0);
}

TEST_CASE("a client that asks is told to go on once the handler has agreed") {
  ServerRig rig;
  auto client = rig.client();
  client.send("POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  REQUIRE(rig.receives(client, "HTTP/1.1 100 Continue\r\n\r\n"));
  CHECK(rig.handler.heads == 1);
  client.send("abc");
  REQUIRE(rig.receives(client, "POST /a abc"));
  // One that does not wait is not told.
  client.take();
  client.send(
      "POST /b HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc");
  REQUIRE(rig.receives(client, "POST /b abc"));
  CHECK(client.received.find("100 Continue") == std::string::npos);
  // One whose body is not wanted gets the reason at once.
  client.take();
  rig.handler.decision.body_max = 2;
  client.send("POST /c HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  REQUIRE(rig.ends(client));
  CHECK(client.received.starts_with("HTTP/1.1 413 "));
}

TEST_CASE("HEAD and bodiless statuses have the right length headers and no body") {
  ServerRig rig;
  auto client = rig.client();
  client.send("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(rig.receives(client, "\r\n\r\n"));
  CHECK(client.received.find("Content-Length: 8\r\n") != std::string::npos);
  CHECK(client.take().ends_with("\r\n\r\n"));
  for (const uint16_t status : {204, 304}) {
    rig.handler.on_request_do = [&](ConnectionId id, Request&) {
      rig.server->respond(id, {.status = status}, "ignored");
    };
    client.send(kGet);
    REQUIRE(rig.receives(client, "\r\n\r\n"));
    CHECK(client.received.find("Content-Length") == std::string::npos);
    CHECK(client.take().ends_with("\r\n\r\n"));
  }
  // What a handler may not say becomes an error, not a broken connection.
  rig.handler.on_request_do = [&](ConnectionId id, Request&) {
    rig.server->respond(id, {.status = 100}, "x");
  };
  client.send(kGet);
  REQUIRE(rig.receives(client, "\r\n\r\nx"));
  CHECK(client.received.starts_with("HTTP/1.1 500 "));
}

TEST_CASE("HTTP 1.0 closes unless it asks not to") {
  ServerRig rig;
  auto plain = rig.client();
  plain.send("GET /a HTTP/1.0\r\n\r\n");
  REQUIRE(rig.ends(plain));
  CHECK(plain.received.find("Connection: close\r\n") != std::string::npos);
  auto kept = rig.client();
  kept.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  REQUIRE(rig.receives(kept, "GET /a "));
  CHECK(kept.received.find("Connection: keep-alive\r\n") != std::string::npos);
  kept.take();
  kept.send("GET /b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(rig.receives(kept, "GET /b "));
}

TEST_CASE("a request that asks for a close is the last one") {
  ServerRig rig;
  auto client = rig.client();
  client.send("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + std::string(kGet));
  REQUIRE(rig.ends(client));
  CHECK(rig.handler.seen.size() == 1);
  CHECK(client.received.find("Connection: close\r\n") != std::string::npos);
}

TEST_CASE("headers of a response are written as given and only valid ones may be") {
  ServerRig rig;
  const HeaderView headers[] = {{"X-One", "1"}, {"Set-Cookie", "a=b"}, {"Set-Cookie", "c=d"}};
  rig.handler.on_request_do = [&](ConnectionId id, Request&) {
    rig.server->respond(id, {.status = 418, .headers = headers}, "");
  };
  auto client = rig.client();
  client.send(kGet);
  REQUIRE(rig.receives(client, "\r\n\r\n"));
  CHECK(client.received.ends_with("X-One: 1\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n"));

  CHECK(valid_header("X-A", "b\tc"));
  CHECK_FALSE(valid_header("", "b"));
  CHECK_FALSE(valid_header("X A", "b"));
  CHECK_FALSE(valid_header("X-A", "b\r\nc: d"));
  CHECK_FALSE(valid_header("X-A", std::string_view("\0", 1)));
  for (const std::string_view name :
       {"Content-Length", "transfer-encoding", "Connection", "DATE", "Upgrade"}) {
    CHECK_FALSE(valid_header(name, "1"));
  }
}

TEST_CASE("a spooled body lies in an unlinked file") {
  ServerRig rig;
  rig.handler.decision = {.body = HeadDecision::Body::spool, .body_max = 4u << 20};
  UniqueFd kept;
  uint64_t size = 0;
  rig.handler.on_request_do = [&](ConnectionId id, Request& r) {
    REQUIRE(r.spool != nullptr);
    CHECK(r.body.empty());
    CHECK(r.header("host") == "x");
    kept = std::move(*r.spool);
    size = r.spool_size;
    rig.server->respond(id, {}, "done");
  };
  auto client = rig.client();
  std::string body(1u << 20, 'b');
  body.back() = 'c';
  const std::string all = post("/a", body);
  for (size_t sent = 0; sent < all.size();) {
    sent += client.send(std::string_view(all).substr(sent));
    rig.loop->step(milliseconds(0));
  }
  REQUIRE(rig.receives(client, "done"));
  CHECK(size == body.size());
  struct stat facts {};
  REQUIRE(::fstat(kept.get(), &facts) == 0);
  CHECK(facts.st_nlink == 0);
  std::string read(body.size() + 1, '\0');
  CHECK(::pread(kept.get(), read.data(), read.size(), 0) == static_cast<ssize_t>(body.size()));
  read.pop_back();
  CHECK(read == body);
}

TEST_CASE("a body that can't be spooled is refused") {
  ServerRig rig;
  rig.handler.decision = {.body = HeadDecision::Body::spool, .body_max = 1000};
  ::rmdir(rig.spool_dir.c_str());
  auto client = rig.client();
  client.send(post("/a", "abc"));
  REQUIRE(rig.ends(client));
  CHECK(client.received.starts_with("HTTP/1.1 500 "));
  CHECK(client.received.ends_with("io_failed /a"));
}

TEST_CASE("without memory for its body a request is refused") {
  ServerRig rig;
  rig.handler.decision.body_max = 200u << 20;
  auto client = rig.client();
  client.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 150000000\r\n\r\n");
  const std::string part(1u << 20, 'b');
  REQUIRE(rig.until([&] {
    client.send(part);
    client.receive();
    return client.received.find("\r\n\r\n") != std::string::npos || client.over();
  }));
  CHECK(client.received.starts_with("HTTP/1.1 503 "));
  CHECK(rig.buffers.bytes_taken() <= 64u << 20);
}

TEST_CASE("listen takes address literals and localhost and names the real port") {
  ServerRig rig;
  CHECK(rig.address.starts_with("127.0.0.1:"));
  for (const std::string_view wrong :
       {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "::1:80", "example.com:80",
        "[127.0.0.1]:1"}) {
    INFO(wrong);
    const auto where = rig.server->listen(wrong, false);
    REQUIRE_FALSE(where);
    CHECK(where.error().code == Code::invalid_parameter);
  }
  const auto taken = rig.server->listen(rig.address, false);
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code == Code::listen_failed);
  const auto local = rig.server->listen("localhost:0", false);
  REQUIRE(local);
  CHECK(local->starts_with("127.0.0.1:"));
  const auto v6 = rig.server->listen("[::1]:0", false);
  if (v6) CHECK(v6->starts_with("[::1]:"));  // a machine may have no IPv6
}

TEST_CASE("requests know which listener they came in on") {
  ServerRig rig;
  const auto where = rig.server->listen("127.0.0.1:0", true);
  REQUIRE(where);
  bool functions_only = false;
  rig.handler.on_request_do = [&](ConnectionId id, Request& r) {
    functions_only = r.functions_only;
    rig.server->respond(id, {}, "done");
  };
  RawClient client(static_cast<uint16_t>(std::stoi(where->substr(where->rfind(':') + 1))));
  client.send(kGet);
  REQUIRE(rig.receives(client, "done"));
  CHECK(functions_only);
}
