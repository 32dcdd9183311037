// The front: guard before route, one answer a request, and what happens when clients go away.
#include "api/front.h"

#include <nlohmann/json.hpp>

#include "api/test_rig.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::api;
using namespace hearth::api::test;
using nlohmann::json;

namespace {

const std::string kInvoke = "/2015-03-31/functions/hello/invocations";

struct FakeControl final : ControlHandler {
  bool matches(const http::RequestHead& head) const override {
    return head.path.starts_with("/hearth/v1/");
  }
  http::HeadDecision on_head(const http::RequestHead&) override {
    return {http::HeadDecision::Body::spool, 77, {}, {}};
  }
  void on_request(ConnectionId, http::Request&) override { ++requests; }
  void on_gone(ConnectionId) override { ++gone; }
  int requests = 0;
  int gone = 0;
};

Readiness not_ready(void*) { return {false, "the store is \"opening\""}; }
void extra_metrics(void*, MetricsText& out) { out.counter("hearth_extra_total", "x", 1); }

}  // namespace

TEST_CASE("a rebinding host is refused on every route but the functions listener") {
  Rig rig;
  for (const std::string& target : {kInvoke, std::string("/fn/hello"), std::string("/healthz"),
                                    std::string("/metrics"), std::string("/nothing")}) {
    REQUIRE(rig.send(TestRequest("GET", target).header("Host", "evil.test:4327")));
    REQUIRE(rig.responder.status == 421);
    REQUIRE(rig.responder.header("X-Hearth-Error") == "host_not_allowed");
  }
  rig.send(TestRequest("GET", "/fn/hello").header("Host", ""));
  REQUIRE(rig.responder.status == 421);
  REQUIRE(rig.port.calls.empty());
  rig.send(TestRequest("GET", "/fn/hello").header("Host", "hearth.test"));
  REQUIRE(rig.port.calls.size() == 1);
}

TEST_CASE("a body behind a refused head is not read") {
  Rig rig;
  REQUIRE_FALSE(rig.send(TestRequest("POST", kInvoke).header("Host", "evil.test").body("x")));
  REQUIRE(rig.decision.refuse_code == Code::host_not_allowed);
  REQUIRE_FALSE(
      rig.send(TestRequest("POST", kInvoke).header("Origin", "http://evil.test").body("x")));
  REQUIRE(rig.decision.refuse_code == Code::browser_request);
  REQUIRE_FALSE(rig.send(TestRequest("POST", "/nothing").body("x")));
  REQUIRE(rig.decision.refuse_code == Code::route_unknown);
  REQUIRE_FALSE(rig.send(TestRequest("POST", "/healthz").body("x")));
  REQUIRE(rig.decision.refuse_code == Code::method_not_allowed);
}

TEST_CASE("what the server refuses looks like every other error") {
  Rig rig;
  http::RefusalAnswer answer;
  rig.front.render_refusal({Code::body_too_large, "6291456 bytes"}, nullptr, answer);
  REQUIRE(json::parse(answer.body) ==
          json{{"Type", "User"},
               {"message", "the request's body is larger than this path takes: 6291456 bytes"}});
  REQUIRE(answer.content_type == "application/json");
  REQUIRE(answer.header_count == 3);
  REQUIRE(answer.headers[0].name == "X-Amzn-ErrorType");
  REQUIRE(answer.headers[0].value == "RequestTooLargeException");
  REQUIRE(answer.headers[1].name == "X-Amzn-RequestId");
  REQUIRE(answer.headers[1].value.size() == RequestId::kTextSize);
  REQUIRE(answer.headers[2].value == "body_too_large");
  const std::string first(answer.headers[1].value);
  rig.front.render_refusal({Code::too_many_connections, {}}, nullptr, answer);
  REQUIRE(answer.header_count == 4);
  REQUIRE(answer.headers[3].name == "Retry-After");
  REQUIRE(answer.headers[1].value != first);
}

TEST_CASE("pages in a browser reach functions but neither invoke nor metrics") {
  Rig rig;
  for (const std::string& target : {kInvoke, std::string("/metrics")}) {
    for (const auto& [name, value] : {std::pair("Origin", "http://localhost:4327"),
                                      std::pair("Sec-Fetch-Site", "same-origin")}) {
      rig.send(TestRequest(target == kInvoke ? "POST" : "GET", target).header(name, value));
      REQUIRE(rig.responder.status == 403);
      REQUIRE(rig.responder.header("X-Hearth-Error") == "browser_request");
    }
  }
  REQUIRE(rig.port.calls.empty());
  rig.send(TestRequest("GET", "/metrics").header("Sec-Fetch-Site", "none"));
  REQUIRE(rig.responder.status == 200);
  rig.send(TestRequest("GET", "/healthz").header("Origin", "http://evil.test"));
  REQUIRE(rig.responder.status == 200);
  rig.send(TestRequest("POST", "/fn/hello")
               .header("Origin", "http://evil.test")
               .header("Sec-Fetch-Site", "cross-site")
               .body("x"));
  REQUIRE(rig.port.calls.size() == 1);
}

TEST_CASE("an observer hears of calls alone and of each in order") {
  struct Observer final : RequestObserver {
    std::string heard;
    std::string root;
    void on_call(ConnectionId, const http::RequestHead& head, std::string_view function,
                 const RequestId&) override {
      heard += "call " + std::string(function) + " " + std::string(head.path) + "\n";
    }
    void on_outcome(ConnectionId, const Outcome&) override { heard += "outcome\n"; }
    void on_response(ConnectionId, uint16_t status) override {
      heard += std::to_string(status) + "\n";
    }
    void on_gone(ConnectionId) override { heard += "gone\n"; }
    std::string_view root_function() const override { return root; }
  };
  Rig rig;
  Observer observer;
  Front front({.port = rig.port,
               .buffers = rig.buffers,
               .limits = rig.limits,
               .clock = rig.clock,
               .observer = &observer});
  front.attach(rig.responder);
  const auto send = [&](const char* target) {
    TestRequest request("GET", target);
    front.on_head(request.get());
    front.on_request({1, 1}, request.get());
  };
  send("/fn/hello/x");
  REQUIRE(rig.port.calls.back().request.want_tail);
  rig.port.reply("\"y\"");
  REQUIRE(observer.heard == "call hello /fn/hello/x\noutcome\n200\n");
  observer.heard.clear();
  send("/healthz");
  send("/a");
  REQUIRE(observer.heard == "200\n404\n");
  observer.heard.clear();
  observer.root = "hello";
  send("/a");
  front.on_gone({1, 1});
  REQUIRE(observer.heard == "call hello /a\ngone\n");
}

TEST_CASE("control paths go to the control plane behind the guard") {
  FakeControl control;
  Rig rig;
  Front front({.port = rig.port,
               .buffers = rig.buffers,
               .limits = rig.limits,
               .clock = rig.clock,
               .control = &control});
  front.attach(rig.responder);
  TestRequest request("GET", "/hearth/v1/state");
  REQUIRE(front.on_head(request.get()).body_max == 77);
  front.on_request({1, 1}, request.get());
  REQUIRE(control.requests == 1);
  front.on_gone({1, 1});
  REQUIRE(control.gone == 1);
  request.header("Origin", "null");
  front.on_request({1, 1}, request.get());
  REQUIRE(control.requests == 1);
  REQUIRE(rig.responder.status == 403);
  TestRequest open("GET", "/hearth/v1/state");
  front.on_request({1, 1}, open.functions_only().get());
  REQUIRE(control.requests == 1);
  REQUIRE(rig.responder.status == 404);
  TestRequest own_host("GET", "/hearth/v1/state");
  front.on_request({1, 1}, own_host.header("Host", "hello.localhost").get());
  REQUIRE(control.requests == 1);
  REQUIRE(rig.port.calls.size() == 1);
}

TEST_CASE("the functions listener serves functions to any host and nothing else") {
  Rig rig;
  rig.send(TestRequest("GET", "/fn/hello/p").header("Host", "public.test").functions_only());
  REQUIRE(rig.port.calls.size() == 1);
  rig.port.reply("1");
  rig.send(TestRequest("GET", "/healthz").header("Host", "public.test").functions_only());
  REQUIRE(rig.responder.status == 200);
  for (const std::string& target :
       {kInvoke, std::string("/metrics"), std::string("/readyz"), std::string("/")}) {
    rig.send(TestRequest("GET", target).functions_only());
    REQUIRE(rig.responder.status == 404);
  }
  REQUIRE(rig.port.calls.size() == 1);
}

TEST_CASE("a function url call carries the event and becomes the response") {
  Rig rig;
  rig.send(
      TestRequest("PATCH", "/fn/hello/a/b?x=1").header("X-Amzn-Trace-Id", "Root=1").body("hi"));
  REQUIRE(rig.port.calls[0].request.http_event);
  REQUIRE(rig.port.calls[0].extension == R"({"traceId":"Root=1"})");
  const json event = json::parse(rig.port.calls[0].payload);
  REQUIRE(event["rawPath"] == "/a/b");
  REQUIRE(event["requestContext"]["http"]["method"] == "PATCH");
  REQUIRE(event["requestContext"]["requestId"] == rig.port.calls[0].request.request_id.text());
  rig.port.reply(
      R"({"statusCode":418,"headers":{"content-type":"text/plain","x-a":"b"},"cookies":["s=1; Path=/"],"body":"tea"})");
  REQUIRE(rig.responder.status == 418);
  REQUIRE(rig.responder.content_type == "text/plain");
  REQUIRE(rig.responder.body == "tea");
  REQUIRE(rig.responder.header("x-a") == "b");
  REQUIRE(rig.responder.header("Set-Cookie") == "s=1; Path=/fn/hello");
  REQUIRE(rig.responder.header("X-Amzn-RequestId") == rig.port.calls[0].request.request_id.text());
}

TEST_CASE("a function's own host keeps the whole path and its cookies") {
  Rig rig;
  rig.send(TestRequest("GET", "/fn/other?q")
               .header("Host", "hello.localhost:4327")
               .header("Origin", "http://hello.localhost:4327"));
  const json event = json::parse(rig.port.calls[0].payload);
  REQUIRE(event["rawPath"] == "/fn/other");
  REQUIRE(event["requestContext"]["domainName"] == "hello.localhost");
  rig.port.reply(R"({"statusCode":200,"cookies":["s=1; Path=/"]})");
  REQUIRE(rig.responder.header("Set-Cookie") == "s=1; Path=/");
  rig.send(TestRequest("GET", "/").header("Host", "nobody.localhost"));
  REQUIRE(rig.responder.status == 404);
}

TEST_CASE("a reply with as many headers as allowed leaves room for ours") {
  Rig rig;
  rig.send(TestRequest("GET", "/fn/hello"));
  std::string reply = "{\"statusCode\":200,\"cookies\":[\"c\"";
  for (size_t i = 1; i < 64; ++i) reply += ",\"c\"";
  rig.port.reply(reply + "]}");
  REQUIRE(rig.responder.status == 200);
  REQUIRE(rig.responder.headers.size() == 65);
  REQUIRE(rig.responder.header("X-Amzn-RequestId").size() == 36);
}

TEST_CASE("responses without a body have none") {
  Rig rig;
  for (const char* status : {"204", "304"}) {
    rig.send(TestRequest("GET", "/fn/hello"));
    rig.port.reply("{\"statusCode\":" + std::string(status) + ",\"body\":\"x\"}");
    REQUIRE(rig.responder.status == std::stoi(status));
    REQUIRE(rig.responder.body.empty());
    REQUIRE(rig.responder.content_type.empty());
  }
}

TEST_CASE("what a function does wrong is 502 or 504 with the cause named") {
  const auto outcome_of = [](auto end) {
    Rig rig;
    rig.send(TestRequest("GET", "/fn/hello"));
    end(rig.port);
    return std::make_tuple(rig.responder.status, rig.responder.header("X-Hearth-Error"),
                           rig.responder.body);
  };
  const auto text = [](int status, const char* error) {
    return std::make_tuple(
        status, std::string(error),
        std::string(status == 504 ? "Gateway Timeout" : "Internal Server Error"));
  };
  REQUIRE(outcome_of([](FakePort& p) { p.reply("not json"); }) == text(502, "reply_invalid"));
  REQUIRE(outcome_of([](FakePort& p) { p.fail(Code::worker_lost); }) == text(502, "worker_lost"));
  REQUIRE(outcome_of([](FakePort& p) { p.fail(Code::deadline_exceeded); }) ==
          text(504, "deadline_exceeded"));
  REQUIRE(outcome_of([](FakePort& p) { p.fail(Code::init_timeout); }) == text(504, "init_timeout"));
  REQUIRE(outcome_of([](FakePort& p) {
            Outcome outcome;
            outcome.kind = Outcome::Kind::function_error;
            outcome.code = Code::function_failed;
            outcome.payload = R"({"errorMessage":"secret"})";
            p.finish(outcome);
          }) == text(502, "function_failed"));
}

TEST_CASE("what is the platform's fault is never told as the function's") {
  for (const Code code : {Code::worker_start_failed, Code::spawner_lost, Code::internal,
                          Code::io_failed, Code::sandbox_unavailable, Code::shutting_down}) {
    for (const bool url : {false, true}) {
      for (const auto kind : {Outcome::Kind::platform_error, Outcome::Kind::function_error}) {
        INFO(name(code));
        Rig rig;
        rig.send(url ? TestRequest("GET", "/fn/hello") : TestRequest("POST", kInvoke));
        Outcome outcome;
        outcome.kind = kind;
        outcome.code = code;
        outcome.detail = "why";
        outcome.payload = "{}";
        rig.port.finish(outcome);
        REQUIRE(rig.responder.status == info(code).http_status);
        REQUIRE(rig.responder.status >= 500);
        REQUIRE(rig.responder.header("X-Amzn-ErrorType") == "ServiceException");
        REQUIRE(rig.responder.header("X-Hearth-Error") == name(code));
        REQUIRE(rig.responder.header("X-Amz-Function-Error") == "(none)");
        REQUIRE(json::parse(rig.responder.body)["Type"] == "Service");
      }
    }
  }
}

TEST_CASE("what the platform refuses keeps its status on a function url") {
  Rig rig;
  rig.port.refuse = Code::calls_full;
  rig.send(TestRequest("GET", "/fn/hello"));
  REQUIRE(rig.responder.status == 429);
  REQUIRE(json::parse(rig.responder.body)["Reason"] == "calls_full");
  rig.port.refuse.reset();
  rig.send(TestRequest("GET", "/fn/hello"));
  rig.port.fail(Code::shutting_down);
  REQUIRE(rig.responder.status == 503);
  REQUIRE(rig.responder.header("Retry-After") == "1");
  for (const char* target :
       {"/fn/hell%6f", "/fn/hello%2Fx", "/fn/hello%00", "/fn/", "/fn//hello", "/fn/../metrics"}) {
    rig.send(TestRequest("GET", target));
    REQUIRE(rig.responder.header("X-Hearth-Error") == "function_unknown");
  }
  rig.send(TestRequest("GET", "/fn/nobody"));
  REQUIRE(rig.responder.status == 404);
  REQUIRE(rig.responder.header("X-Hearth-Error") == "function_unknown");
}

TEST_CASE("a client that goes away abandons its call, once, and its slot is free for the next") {
  Rig rig;
  rig.send(TestRequest("POST", kInvoke).body("1"), {5, 1});
  rig.send(TestRequest("GET", "/fn/hello"), {6, 1});
  REQUIRE(rig.front.calls_in_flight() == 2);
  rig.front.on_gone({5, 2});  // an earlier or later connection of that slot
  REQUIRE(rig.front.calls_in_flight() == 2);
  rig.front.on_gone({5, 1});
  rig.front.on_gone({5, 1});
  rig.front.on_gone({4'000'000, 1});
  REQUIRE(rig.front.calls_in_flight() == 1);
  REQUIRE(rig.port.calls[0].abandoned);
  REQUIRE_FALSE(rig.port.calls[1].abandoned);
  rig.send(TestRequest("POST", kInvoke).body("2"), {5, 2});
  rig.port.reply("{}");
  REQUIRE(rig.responder.to == ConnectionId{5, 2});
}

TEST_CASE("a connection past the table is refused") {
  Rig rig;
  rig.send(TestRequest("GET", "/fn/hello"), {rig.limits.connections_max + 64, 1});
  REQUIRE(rig.responder.status == 503);
  REQUIRE(rig.port.calls.empty());
}

TEST_CASE("health, readiness and metrics answer") {
  Rig rig;
  rig.send(TestRequest("GET", "/healthz"));
  REQUIRE(rig.responder.body == R"({"status":"ok"})");
  rig.send(TestRequest("HEAD", "/readyz"));
  REQUIRE(rig.responder.status == 200);
  rig.send(TestRequest("POST", "/readyz"));
  REQUIRE(rig.responder.status == 405);
  REQUIRE(rig.responder.header("Allow") == "GET, HEAD");
  Front front({.port = rig.port,
               .buffers = rig.buffers,
               .limits = rig.limits,
               .clock = rig.clock,
               .readiness = Callback<Readiness()>::plain(not_ready, nullptr)});
  front.attach(rig.responder);
  TestRequest ready("GET", "/readyz");
  front.on_request({1, 1}, ready.get());
  REQUIRE(rig.responder.status == 503);
  REQUIRE(json::parse(rig.responder.body)["reason"] == "the store is \"opening\"");
  front.add_metrics(Callback<void(MetricsText&)>::plain(extra_metrics, nullptr));
  TestRequest metrics("GET", "/metrics");
  front.on_request({1, 1}, metrics.get());
  REQUIRE(rig.responder.content_type == "text/plain; version=0.0.4; charset=utf-8");
  REQUIRE(rig.responder.body.find("hearth_http_responses_total{class=\"2xx\"} 0\n") !=
          std::string::npos);
  REQUIRE(rig.responder.body.find("hearth_api_refused_total{reason=\"browser_request\"} 0\n") !=
          std::string::npos);
  REQUIRE(rig.responder.body.ends_with("hearth_extra_total 1\n"));
}
