// Function URLs whose functions stream: what the first part decides, who is held, and how it ends.
#include "api/front.h"
#include "api/test_rig.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::api;
using namespace hearth::api::test;
using Kind = ReplyPart::Kind;
using Stream = FakeResponder::Stream;

namespace {

struct StreamRig : Rig {
  explicit StreamRig(const std::string& target = "/fn/hello") { send(TestRequest("GET", target)); }
  std::string metric(const std::string& name) {
    FakeResponder* before = &responder;
    send(TestRequest("GET", "/metrics"), {9, 1});
    const size_t at = before->body.find("\n" + name + " ");
    REQUIRE(at != std::string::npos);
    return before->body.substr(at + name.size() + 2, 1);
  }
};

}  // namespace

TEST_CASE("the first part of a stream begins the response") {
  StreamRig rig;
  CHECK(rig.port.calls.back().request.streams_only);
  SECTION("a part of the body") {
    CHECK(rig.port.part("one") == Flow::go_on);
    CHECK(rig.responder.status == 200);
    CHECK(rig.responder.content_type == "application/octet-stream");
    CHECK(rig.responder.body == "one");
  }
  SECTION("a content type") {
    rig.port.part("text/csv", Kind::content_type);
    CHECK(rig.responder.content_type == "text/csv");
    CHECK(rig.responder.body.empty());
  }
  SECTION("a head") {
    rig.port.part(
        R"({"statusCode":201,"headers":{"x-one":"1","Content-Type":"a/b"},"cookies":["c=d"]})",
        Kind::http_head);
    CHECK(rig.responder.status == 201);
    CHECK(rig.responder.content_type == "a/b");
    CHECK(rig.responder.header("x-one") == "1");
    CHECK(rig.responder.header("Set-Cookie") == "c=d; Path=/fn/hello");
    CHECK(rig.responder.body.empty());
  }
  SECTION("nothing") { rig.port.part(""); }
  CHECK(rig.responder.header("X-Amzn-RequestId").size() == RequestId::kTextSize);
  rig.port.part("two");
  CHECK(rig.responder.stream == Stream::open);
  rig.port.reply("");
  CHECK(rig.responder.stream == Stream::finished);
  CHECK(rig.responder.body.ends_with("two"));
  CHECK(rig.responder.count == 1);
  CHECK(rig.front.calls_in_flight() == 0);
  CHECK(rig.metric("hearth_api_streams_total") == "1");
  CHECK(rig.metric("hearth_api_broken_streams_total") == "0");
}

TEST_CASE("a head that no response can have is answered with 502, and its call is given up") {
  StreamRig rig;
  SECTION("no JSON") { rig.port.part("{", Kind::http_head); }
  SECTION("no status") { rig.port.part("{}", Kind::http_head); }
  SECTION("a status that is none") { rig.port.part(R"({"statusCode":99})", Kind::http_head); }
  SECTION("a body") { rig.port.part(R"({"statusCode":200,"body":"x"})", Kind::http_head); }
  SECTION("a header that ends its line") {
    rig.port.part(R"({"statusCode":200,"headers":{"a":"b\r\nc: d"}})", Kind::http_head);
  }
  SECTION("a content type that ends its line") {
    rig.port.part("text/csv\r\nx: y", Kind::content_type);
  }
  SECTION("a content type without end") {
    rig.port.part(std::string(2'000, 'x'), Kind::content_type);
  }
  CHECK(rig.responder.status == 502);
  CHECK(rig.responder.header("X-Hearth-Error") == "reply_invalid");
  CHECK(rig.responder.stream == Stream::none);
  CHECK(rig.port.calls.back().abandoned);
  CHECK(rig.front.calls_in_flight() == 0);
  CHECK(rig.metric("hearth_api_invalid_replies_total") == "1");
}

TEST_CASE("what ends badly before the first part is an answer, and breaks off after it") {
  StreamRig rig;
  SECTION("before") {
    rig.port.fail(Code::worker_lost);
    CHECK(rig.responder.status == 502);
    CHECK(rig.responder.stream == Stream::none);
  }
  SECTION("after") {
    rig.port.part("half");
    rig.port.fail(Code::deadline_exceeded);
    CHECK(rig.responder.status == 200);
    CHECK(rig.responder.stream == Stream::aborted);
    CHECK(rig.metric("hearth_api_broken_streams_total") == "1");
  }
  CHECK(rig.front.calls_in_flight() == 0);
}

TEST_CASE("a client that is slow holds the function until it has taken all") {
  StreamRig rig;
  rig.responder.waiting = 256 * 1024;
  CHECK(rig.port.part("x") == Flow::go_on);
  rig.responder.waiting += 1;
  CHECK(rig.port.part("x") == Flow::hold);
  CHECK(rig.port.calls.back().went_on == 0);
  rig.front.on_writable({3, 1});
  CHECK(rig.port.calls.back().went_on == 1);
  rig.front.on_writable({4, 1});  // somebody else
  CHECK(rig.port.calls.back().went_on == 1);
  rig.port.reply("");
  rig.front.on_writable({3, 1});
  CHECK(rig.port.calls.back().went_on == 1);
}

TEST_CASE("a client that is gone gives its call up, whoever finds it out") {
  StreamRig rig;
  SECTION("the head") {
    rig.responder.gone = true;
    rig.port.part("x");
  }
  SECTION("a part") {
    rig.port.part("x");
    rig.responder.gone = true;
    rig.port.part("y");
  }
  SECTION("the server") {
    rig.port.part("x");
    rig.front.on_gone({3, 1});
  }
  CHECK(rig.port.calls.back().abandoned);
  CHECK(rig.front.calls_in_flight() == 0);
}
