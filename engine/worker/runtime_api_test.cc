// Workers that ask for their calls by HTTP, over real sockets, with the core played by the test.
#include "worker/runtime_api.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "tests/catch.h"

using namespace hearth;
using namespace hearth::worker;
using nlohmann::json;

namespace {

const std::string kBase = "/2018-06-01/runtime/";

struct Client {
  explicit Client(uint16_t port) : fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
    REQUIRE(::fcntl(fd.get(), F_SETFL, O_NONBLOCK) == 0);
  }
  void send(std::string_view bytes) {
    REQUIRE(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(bytes.size()));
  }
  void get(const std::string& path) {
    send("GET " + kBase + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
  }
  void post(const std::string& path, std::string_view body, const std::string& headers = {}) {
    send("POST " + kBase + path + " HTTP/1.1\r\nHost: x\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body));
  }
  // The begin of a chunked body; parts follow by chunk().
  void stream(const std::string& path, const std::string& headers) {
    send("POST " + kBase + path + " HTTP/1.1\r\nHost: x\r\n" + headers +
         "Transfer-Encoding: chunked\r\n\r\n");
  }
  void chunk(std::string_view part) {
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", part.size());
    send(size + std::string(part) + "\r\n");
  }
  void receive() {
    char bytes[65'536];
    ssize_t n;
    while ((n = ::recv(fd.get(), bytes, sizeof bytes, 0)) > 0)
      received.append(bytes, static_cast<size_t>(n));
    ended = ended || n == 0;
  }
  std::string take() { return std::exchange(received, {}); }

  UniqueFd fd;
  std::string received;
  bool ended = false;
};

struct Core : WorkerEvents {
  std::function<void(WorkerId)> on_ready;
  std::vector<std::string> told;
  std::string parts;
  bool streams = false;
  Flow flow = Flow::go_on;

  void on_worker_parked(WorkerId) override {}
  void on_worker_ready(WorkerId worker, uint32_t) override {
    told.push_back("ready");
    if (on_ready) on_ready(worker);
  }
  void on_worker_init_failed(WorkerId, std::string_view error) override {
    told.push_back("init failed " + std::string(error));
  }
  bool on_reply(WorkerId, InvocationId call, const WorkerReply& reply) override {
    told.push_back((reply.lingers ? reply.is_error ? "error " : "reply " : "over ") +
                   std::to_string(call.slot) + " " + std::string(reply.payload));
    return true;
  }
  bool on_reply_too_large(WorkerId, InvocationId call, bool) override {
    told.push_back("too large " + std::to_string(call.slot));
    return true;
  }
  bool takes_parts(WorkerId, InvocationId, bool stream) const override { return streams && stream; }
  Flow on_reply_part(WorkerId, InvocationId, const ReplyPart& part) override {
    parts += part.kind == ReplyPart::Kind::http_head      ? "head:"
             : part.kind == ReplyPart::Kind::content_type ? "type:"
                                                          : "";
    parts += std::string(part.bytes) + "|";
    return flow;
  }
  bool on_handback(WorkerId, InvocationId call) override {
    told.push_back("back " + std::to_string(call.slot));
    return true;
  }
  void on_leftovers(WorkerId, uint32_t, bool) override {}
  void on_pong(WorkerId, uint16_t sequence) override {
    told.push_back("pong " + std::to_string(sequence));
  }
  void on_violation(WorkerId, std::string_view what) override {
    told.push_back("violation " + std::string(what));
  }
  void on_worker_exit(WorkerId, const WorkerExit&) override {}
  void deliver() override {}
};

struct Rig {
  explicit Rig(uint32_t per_worker = 1) {
    limits.reply_max = 100'000;
    limits.workers_max = 4;
    loop.at_turn_end(Callback<void()>::to<&Rig::settle>(this));
    auto made = std::make_shared<FunctionSpec>();
    made->name = "f";
    made->runtime = Runtime::custom;
    made->concurrency.per_worker = per_worker;
    spec = made;
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    REQUIRE(::bind(fd.get(), reinterpret_cast<sockaddr*>(&at), size) == 0);
    REQUIRE(::listen(fd.get(), 16) == 0);
    REQUIRE(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &size) == 0);
    port = ntohs(at.sin_port);
    REQUIRE(api.add(worker, spec, std::move(fd)));
  }
  void settle() { api.settle(); }
  bool until(const std::function<bool()>& done) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      loop.step(milliseconds(1));
    }
    return true;
  }
  void turns() {
    for (int i = 0; i < 20; ++i) loop.step(milliseconds(1));
  }
  bool receives(Client& client, std::string_view text) {
    return until([&] {
      client.receive();
      return client.received.find(text) != std::string::npos;
    });
  }
  bool tells(std::string_view text) {
    return until([&] { return !core.told.empty() && core.told.back() == text; });
  }
  void call(uint32_t slot, std::string_view payload = "{}", std::string_view extension = {}) {
    CallFrame frame;
    frame.id = {slot, 1};
    frame.deadline = loop.now() + seconds(3);
    frame.request_id.bytes[15] = static_cast<uint8_t>(slot);
    frame.payload = payload;
    frame.extension = extension;
    api.send(worker, frame);
  }
  static std::string path(uint32_t slot, const std::string& what) {
    RequestId id;
    id.bytes[15] = static_cast<uint8_t>(slot);
    return "invocation/" + id.text() + "/" + what;
  }
  // A client that has call 1.
  Client with_call() {
    Client client(port);
    client.get("invocation/next");
    REQUIRE(tells("ready"));
    call(1);
    REQUIRE(receives(client, "{}"));
    client.take();
    return client;
  }

  ManualClock clock;
  Limits limits;
  BufferPool buffers{64u << 20};
  Core core;
  Loop loop{clock};
  FunctionSpecPtr spec;
  WorkerId worker{2, 7};
  RuntimeApi api{loop, buffers, limits, core, Log()};
  uint16_t port = 0;
};

}  // namespace

TEST_CASE("a call goes to the request that waits for it, with what belongs to it") {
  Rig rig;
  Client client(rig.port);
  client.get("invocation/next");
  REQUIRE(rig.tells("ready"));
  rig.call(1, R"({"n":1})", R"({"traceId":"Root=9","clientContext":{"a":1}})");
  REQUIRE(rig.receives(client, R"({"n":1})"));
  const std::string head = client.take();
  CHECK(head.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(head.find("Lambda-Runtime-Aws-Request-Id: 00000000-0000-0000-0000-000000000001\r\n") !=
        std::string::npos);
  CHECK(head.find("Lambda-Runtime-Trace-Id: Root=9\r\n") != std::string::npos);
  CHECK(head.find("Lambda-Runtime-Client-Context: {\"a\":1}\r\n") != std::string::npos);
  CHECK(head.find("Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:"
                  "function:f\r\n") != std::string::npos);
  const size_t at = head.find("Lambda-Runtime-Deadline-Ms: ") + 28;
  const auto now = std::chrono::duration_cast<milliseconds>(rig.clock.wall().time_since_epoch());
  const auto left = std::stoll(head.substr(at)) - now.count();
  CHECK((left > 1'000 && left <= 3'000));
}

TEST_CASE("the caller has its reply at once, and the worker its next call when it asks") {
  Rig rig;
  Client client = rig.with_call();
  rig.call(2);
  CHECK(rig.api.any_byte_sent(rig.worker, {1, 1}));
  CHECK_FALSE(rig.api.any_byte_sent(rig.worker, {2, 1}));
  REQUIRE(rig.api.head(rig.worker) != nullptr);
  CHECK(rig.api.head(rig.worker)->id.slot == 1);
  client.post(Rig::path(1, "response"), "\"done\"");
  REQUIRE(rig.receives(client, "\"status\":\"OK\""));
  CHECK(client.take().starts_with("HTTP/1.1 202 Accepted\r\n"));
  CHECK(rig.core.told.back() == "reply 1 \"done\"");
  rig.turns();
  CHECK_FALSE(rig.api.any_byte_sent(rig.worker, {2, 1}));
  client.get("invocation/next");
  REQUIRE(rig.receives(client, "000000000002"));
  CHECK(rig.core.told.back() == "over 1 ");
}

TEST_CASE("a call that waits is handed back, and one that has gone is not") {
  Rig rig;
  Client client = rig.with_call();
  rig.call(2);
  rig.api.recall(rig.worker, {2, 1});
  rig.api.recall(rig.worker, {1, 1});
  rig.api.ping(rig.worker, 5);
  CHECK(rig.core.told.back() == "ready");  // not from inside
  REQUIRE(rig.tells("pong 5"));
  CHECK(rig.core.told[1] == "back 2");
  rig.call(3);
  rig.api.cancel(rig.worker, {3, 1});
  client.post(Rig::path(1, "response"), "1");
  client.get("invocation/next");
  CHECK(rig.tells("over 3 "));
}

TEST_CASE("errors of a call and of an init reach the core") {
  Rig rig;
  SECTION("of a call") {
    Client client = rig.with_call();
    client.post(Rig::path(1, "error"), R"({"errorMessage":"no","errorType":"E"})",
                "Lambda-Runtime-Function-Error-Type: E\r\n");
    REQUIRE(rig.receives(client, "202 Accepted"));
    CHECK(rig.core.told.back() == R"(error 1 {"errorMessage":"no","errorType":"E"})");
  }
  SECTION("of the init, once") {
    Client client(rig.port);
    client.post("init/error", R"({"errorMessage":"no"})");
    REQUIRE(rig.receives(client, "202 Accepted"));
    CHECK(rig.core.told.back() == R"(init failed {"errorMessage":"no"})");
    client.post("init/error", "{}");
    REQUIRE(rig.receives(client, "403 Forbidden"));
    client.get("invocation/next");
    REQUIRE(rig.until([&] {
      client.receive();
      return client.received.rfind("InvalidStateTransition") !=
             client.received.find("InvalidState");
    }));
    CHECK(rig.core.told.size() == 1);
  }
}

TEST_CASE("what makes no sense is refused, and the call goes on") {
  Rig rig;
  Client client = rig.with_call();
  const auto refused = [&](std::string_view status, std::string_view type) {
    const bool came = rig.receives(client, type);
    CAPTURE(client.received);
    CHECK(client.take().find(status) != std::string::npos);
    return came;
  };
  client.post(Rig::path(9, "response"), "x");
  CHECK(refused("400 Bad Request", "InvalidRequestID"));
  client.post(Rig::path(9, "error"), "x");
  CHECK(refused("400 Bad Request", "InvalidRequestID"));
  client.post(Rig::path(1, "response"), "x", "Lambda-Runtime-Function-Response-Mode: fast\r\n");
  CHECK(refused("400 Bad Request", "InvalidFunctionResponseMode"));
  client.get("invocation/next");
  CHECK(refused("403 Forbidden", "InvalidStateTransition"));
  client.post("init/error", "{}");
  CHECK(refused("403 Forbidden", "InvalidStateTransition"));
  client.get("nowhere");
  CHECK(refused("404 Not Found", "NotFound"));
  client.get("init/error");
  CHECK(refused("405 Method Not Allowed", "MethodNotAllowed"));
  client.post(Rig::path(1, "response"), "fine");
  REQUIRE(rig.tells("reply 1 fine"));
  client.take();
  client.post(Rig::path(1, "response"), "twice");
  CHECK(refused("400 Bad Request", "InvalidRequestID"));
  CHECK(rig.core.told.back() == "reply 1 fine");
}

TEST_CASE("a worker that asks for nonsense without end is given up") {
  Rig rig;
  Client client(rig.port);
  for (uint32_t i = 0; i < kApiRefusedMax; ++i) {
    client.get("nowhere");
    REQUIRE(rig.receives(client, "NotFound"));
    client.take();
  }
  CHECK(rig.core.told.back() == "violation 1000 requests in a row that could not be met");
}

TEST_CASE("a reply that is too large is refused, and over when the next call is asked for") {
  Rig rig;
  Client client = rig.with_call();
  client.post(Rig::path(1, "response"), std::string(rig.limits.reply_max + 1, 'x'));
  REQUIRE(rig.receives(client, "RequestEntityTooLarge"));
  CHECK(client.take().find("413 ") != std::string::npos);
  CHECK(rig.core.told.back() == "too large 1");
  client.get("invocation/next");
  CHECK(rig.tells("over 1 "));
}

TEST_CASE("a stream goes on as it comes, with its content type or its HTTP head") {
  Rig rig;
  rig.core.streams = true;
  Client client = rig.with_call();
  SECTION("content type") {
    client.stream(Rig::path(1, "response"),
                  "Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: text/x\r\n");
    client.chunk("one");
    CHECK(rig.until([&] { return rig.core.parts == "type:text/x|one|"; }));
  }
  SECTION("HTTP head, in pieces") {
    client.stream(Rig::path(1, "response"),
                  "Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: "
                  "application/vnd.awslambda.http-integration-response\r\n");
    client.chunk("{\"statusCode\":201}");
    client.chunk(std::string(5, '\0'));
    rig.turns();
    CHECK(rig.core.parts.empty());
    client.chunk(std::string(3, '\0') + "body");
    CHECK(rig.until([&] { return rig.core.parts == "head:{\"statusCode\":201}|body|"; }));
  }
  SECTION("an HTTP head without an end") {
    client.stream(Rig::path(1, "response"),
                  "Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: "
                  "application/vnd.awslambda.http-integration-response\r\n");
    client.chunk(std::string(kApiPreludeMax + 1, 'x'));
    CHECK(rig.until([&] { return rig.core.told.back().starts_with("error 1 "); }));
    CHECK(rig.core.told.back().find("Runtime.InvalidResponse") != std::string::npos);
    return;
  }
  client.send("0\r\n\r\n");
  REQUIRE(rig.receives(client, "202 Accepted"));
  CHECK(rig.core.told.back() == "reply 1 ");
}

TEST_CASE("a stream without a mode is told by its type, as aws-lambda-go has it") {
  Rig rig;
  rig.core.streams = true;
  Client client = rig.with_call();
  const char* type = GENERATE("application/vnd.awslambda.http-integration-response",
                              "application/octet-stream", "application/json");
  client.stream(Rig::path(1, "response"), std::string("Content-Type: ") + type + "\r\n");
  client.chunk("{}" + std::string(8, '\0') + "body");
  client.send("0\r\n\r\n");
  REQUIRE(rig.receives(client, "202 Accepted"));
  const bool head = std::string_view(type).find("http") != std::string_view::npos;
  const bool json = std::string_view(type) == "application/json";
  CHECK((rig.core.parts == "head:{}|body|") == head);
  CHECK(rig.core.parts.empty() == json);
}

TEST_CASE("a slow caller holds a stream up") {
  Rig rig;
  rig.core.streams = true;
  rig.core.flow = Flow::hold;
  Client client = rig.with_call();
  client.stream(Rig::path(1, "response"), "Lambda-Runtime-Function-Response-Mode: streaming\r\n");
  client.chunk("one");
  REQUIRE(rig.until([&] { return rig.core.parts == "one|"; }));
  client.chunk("two");
  rig.turns();
  CHECK(rig.core.parts == "one|");
  rig.core.flow = Flow::go_on;
  rig.api.go_on(rig.worker, {1, 1});
  CHECK(rig.until([&] { return rig.core.parts == "one|two|"; }));
}

TEST_CASE("a stream that breaks off is an error") {
  Rig rig;
  rig.core.streams = true;
  Client client = rig.with_call();
  client.stream(Rig::path(1, "response"),
                "Lambda-Runtime-Function-Response-Mode: streaming\r\nTrailer: "
                "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n");
  client.chunk("one");
  REQUIRE(rig.until([&] { return rig.core.parts == "one|"; }));
  SECTION("by its trailers") {
    client.send(
        "0\r\nLambda-Runtime-Function-Error-Type: Runtime.Oops\r\n"
        "Lambda-Runtime-Function-Error-Body: eyJlcnJvck1lc3NhZ2UiOiJubyJ9\r\n\r\n");
    CHECK(rig.receives(client, "202 Accepted"));
    CHECK(rig.core.told.back() == R"(error 1 {"errorMessage":"no"})");
  }
  SECTION("by its connection's end") {
    client.fd.reset();
    CHECK(rig.until([&] { return rig.core.told.back().starts_with("error 1 "); }));
    CHECK(rig.core.told.back().find("Runtime.TruncatedResponse") != std::string::npos);
  }
}

TEST_CASE("a reply that was not streamed may come again when its connection broke") {
  Rig rig;
  Client client = rig.with_call();
  client.stream(Rig::path(1, "response"), "");
  client.chunk("one");
  rig.turns();
  client.fd.reset();
  rig.turns();
  CHECK(rig.core.told.back() == "ready");
  Client again(rig.port);
  again.post(Rig::path(1, "response"), "whole");
  CHECK(rig.tells("reply 1 whole"));
}

TEST_CASE("several calls at once, answered in any order") {
  Rig rig(2);
  Client one(rig.port), two(rig.port), three(rig.port);
  one.get("invocation/next");
  REQUIRE(rig.tells("ready"));
  two.get("invocation/next");
  rig.turns();
  three.get("invocation/next");
  REQUIRE(rig.receives(three, "InvalidStateTransition"));
  rig.call(1);
  rig.call(2);
  rig.call(3);
  REQUIRE(rig.receives(one, "000000000001"));
  REQUIRE(rig.receives(two, "000000000002"));
  two.post(Rig::path(2, "response"), "b");
  REQUIRE(rig.tells("reply 2 b"));
  CHECK(rig.api.head(rig.worker)->id.slot == 1);
  two.take();
  two.get("invocation/next");
  REQUIRE(rig.receives(two, "000000000003"));
  CHECK(rig.core.told.back() == "over 2 ");
}

TEST_CASE("a request whose client has left gets no call") {
  Rig rig;
  {
    Client gone(rig.port);
    gone.get("invocation/next");
    REQUIRE(rig.tells("ready"));
  }
  rig.turns();
  rig.call(1);
  CHECK_FALSE(rig.api.any_byte_sent(rig.worker, {1, 1}));
  Client client(rig.port);
  client.get("invocation/next");
  CHECK(rig.receives(client, "000000000001"));
}

TEST_CASE("a head that never ends has its time, and a client that waits has all") {
  Rig rig;
  Client waits = rig.with_call();
  Client slow(rig.port);
  slow.send("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nX: ");
  rig.turns();
  rig.clock.advance(rig.limits.head_timeout + seconds(1));
  CHECK(rig.receives(slow, "408 "));
  rig.clock.advance(std::chrono::hours(24));
  rig.turns();
  waits.post(Rig::path(1, "response"), "late");
  CHECK(rig.tells("reply 1 late"));
}

TEST_CASE("with its worker everything of it goes") {
  Rig rig;
  Client client = rig.with_call();
  client.stream(Rig::path(1, "response"), "");
  client.chunk("one");
  rig.turns();
  rig.api.recall(rig.worker, {1, 1});
  rig.api.remove(rig.worker);
  rig.api.remove(rig.worker);
  CHECK(rig.until([&] {
    client.receive();
    return client.ended;
  }));
  rig.call(2);
  CHECK_FALSE(rig.api.any_byte_sent(rig.worker, {1, 1}));
  CHECK(rig.api.head(rig.worker) == nullptr);
  CHECK(rig.core.told.back() == "ready");
}
