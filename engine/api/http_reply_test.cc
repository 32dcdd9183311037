// Replies in the v2.0 shape: what becomes a response, what is dropped, what is refused.
#include "api/http_reply.h"

#include "base/units.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::api;

namespace {

struct Read {
  BufferPool pool{mebibytes(64)};
  HttpReply reply;
  std::string payload;
  bool valid = false;
  std::string why;

  explicit Read(std::string text, std::string_view cookie_path = {}) : payload(std::move(text)) {
    Status status = read_http_reply(payload, {cookie_path}, pool, reply);
    valid = status.has_value();
    if (!valid) {
      REQUIRE(status.error().code == Code::reply_invalid);
      why = status.error().detail;
    }
  }
  // "name: value" lines in order.
  std::string headers() const {
    std::string text;
    for (const auto& header : reply.header_span()) {
      text.append(header.name).append(": ").append(header.value).append("\n");
    }
    return text;
  }
};

}  // namespace

TEST_CASE("a reply without a status code is the body itself") {
  for (const char* text : {R"({"message":"hi"})", "[\"hello\",3,true]", "3.1", "null", "true",
                           " {} ", "{\"body\":\"x\"}"}) {
    const Read read(text);
    REQUIRE(read.valid);
    REQUIRE(read.reply.status == 200);
    REQUIRE(read.reply.content_type == "application/json");
    REQUIRE(read.reply.body == text);
    REQUIRE(read.headers().empty());
  }
}

TEST_CASE("a string reply is its text") {
  REQUIRE(Read("\"hello\"").reply.body == "hello");
  REQUIRE(Read(R"("a\n\u00e9")").reply.body == "a\n\xC3\xA9");
  REQUIRE(Read("\"\"").reply.body.empty());
}

TEST_CASE("a reply that is no json is refused") {
  for (const char* text : {"", "hello", "{", "{\"statusCode\":200", "\"a", "{} x", "NaN",
                           "{\"a\":NaN}", "<html>", "{\"a\":01}"}) {
    INFO(text);
    REQUIRE_FALSE(Read(text).valid);
  }
  REQUIRE_FALSE(Read("{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}").valid);
}

TEST_CASE("status codes are integers from 200 to 599") {
  REQUIRE(Read(R"({"statusCode":200})").reply.status == 200);
  REQUIRE(Read(R"({"statusCode": 599 })").reply.status == 599);
  REQUIRE(Read(R"({"statusCode":"404"})").reply.status == 404);
  REQUIRE(Read(R"({"statusCode":500,"statusCode":201})").reply.status == 201);
  REQUIRE(Read(R"({"status\u0043ode":202})").reply.status == 202);
  for (const char* value : {"100", "199", "600", "0", "-200", "200.0", "2e2", "\"\"", "\"2x0\"",
                            "null", "[200]", "{}", "true", "2000"}) {
    INFO(value);
    REQUIRE_FALSE(Read("{\"statusCode\":" + std::string(value) + "}").valid);
  }
}

TEST_CASE("headers, content type and body become the response") {
  const Read read(
      R"({"statusCode":201,"headers":{"Content-Type":"text/html","X-A":"b","X-N":-1.5,"X-B":true,"X-Null":null},)"
      R"("body":"<h1>\u00e9\"</h1>","isBase64Encoded":false})");
  REQUIRE(read.valid);
  REQUIRE(read.reply.content_type == "text/html");
  REQUIRE(read.headers() == "X-A: b\nX-N: -1.5\nX-B: true\n");
  REQUIRE(read.reply.body == "<h1>\xC3\xA9\"</h1>");
}

TEST_CASE("a plain body is a view into the payload") {
  const Read read(R"({"statusCode":200,"body":"plain text"})");
  REQUIRE(read.reply.body == "plain text");
  REQUIRE(read.reply.body.data() > read.payload.data());
  REQUIRE(read.reply.body.data() < read.payload.data() + read.payload.size());
  REQUIRE_FALSE(read.reply.decoded);
}

TEST_CASE("base64 bodies are decoded, wrong ones refused") {
  const Read read(R"({"statusCode":200,"body":"AAEC\/w==","isBase64Encoded":true})");
  REQUIRE(read.reply.body == std::string("\0\1\2\xFF", 4));
  REQUIRE(Read(R"({"isBase64Encoded":true,"statusCode":200,"body":""})").reply.body.empty());
  REQUIRE_FALSE(Read(R"({"statusCode":200,"body":"???","isBase64Encoded":true})").valid);
}

TEST_CASE("a body that is no string is sent as its json text") {
  REQUIRE(Read(R"({"statusCode":200,"body":{"a": [1]}})").reply.body == R"({"a": [1]})");
  REQUIRE(Read(R"({"statusCode":200,"body":12})").reply.body == "12");
  REQUIRE(Read(R"({"statusCode":200,"body":null})").reply.body.empty());
}

TEST_CASE("headers that belong to the server are dropped") {
  const Read read(
      R"({"statusCode":200,"headers":{"Content-Length":"5","transfer-encoding":"chunked","Connection":"close",)"
      R"("Keep-Alive":"x","Upgrade":"h2c","Trailer":"x","TE":"x","Date":"x","X-Amzn-RequestId":"mine",)"
      R"("x-hearth-ERROR":"internal","X-Hearth-Detail":"x","X-Ok":"1"}})");
  REQUIRE(read.valid);
  REQUIRE(read.headers() == "X-Ok: 1\n");
}

TEST_CASE("headers that http can't carry make the reply invalid") {
  for (const char* headers :
       {R"({"X A":"1"})", R"({"":"1"})", R"({"X-A":"a\r\nSet-Cookie: x"})", R"({"X-A":"a\u0000"})",
        R"({"X\nA":"1"})", R"({"X-A":["1"]})", R"({"X-A":{}})", R"(["X-A"])", R"("X-A: 1")", "1"}) {
    INFO(headers);
    REQUIRE_FALSE(Read("{\"statusCode\":200,\"headers\":" + std::string(headers) + "}").valid);
  }
  REQUIRE(
      Read(R"({"statusCode":200,"headers":null,"multiValueHeaders":null,"cookies":null})").valid);
}

TEST_CASE("the last of two equal keys wins, two spellings are two headers") {
  REQUIRE(Read(R"({"statusCode":200,"headers":{"X-A":"1","X-A":"2"}})").headers() == "X-A: 2\n");
  REQUIRE(
      Read(R"({"statusCode":200,"headers":{"Set-Cookie":"a=1","set-cookie":"b=2"}})").headers() ==
      "Set-Cookie: a=1\nset-cookie: b=2\n");
}

TEST_CASE("multi-value headers win over headers") {
  const Read read(
      R"({"statusCode":200,"multiValueHeaders":{"x-a":["1",2],"X-B":[]},"headers":{"X-A":"0","X-C":"c","X-B":"b"}})");
  REQUIRE(read.headers() == "X-C: c\nx-a: 1\nx-a: 2\n");
  REQUIRE_FALSE(Read(R"({"statusCode":200,"multiValueHeaders":{"x-a":"1"}})").valid);
}

TEST_CASE("cookies are set as they are without a path rule") {
  const Read read(
      R"({"statusCode":200,"cookies":["a=1; Path=/; Domain=x.test","b=\u0022q\u0022"]})");
  REQUIRE(read.headers() == "Set-Cookie: a=1; Path=/; Domain=x.test\nSet-Cookie: b=\"q\"\n");
  REQUIRE_FALSE(Read(R"({"statusCode":200,"cookies":[1]})").valid);
  REQUIRE_FALSE(Read(R"({"statusCode":200,"cookies":"a=1"})").valid);
  REQUIRE_FALSE(Read(R"({"statusCode":200,"cookies":["a=1\r\nX: y"]})").valid);
}

TEST_CASE("a path rule rewrites path and drops domain, wherever a cookie is set") {
  const Read read(
      R"({"statusCode":200,"cookies":["a=1; HttpOnly; path = /x; DOMAIN=.test; Secure","b=2","path=3; Path=/"],)"
      R"("headers":{"Set-Cookie":"c=4;Path=/"},"multiValueHeaders":{"set-COOKIE":["d=5"],"SET-Cookie":["e=6"]}})",
      "/fn/hello");
  REQUIRE(read.valid);
  REQUIRE(read.headers() ==
          "SET-Cookie: e=6; Path=/fn/hello\n"
          "Set-Cookie: a=1; HttpOnly; Secure; Path=/fn/hello\n"
          "Set-Cookie: b=2; Path=/fn/hello\n"
          "Set-Cookie: path=3; Path=/fn/hello\n");
}

TEST_CASE("too many or too large headers are refused") {
  std::string many = "{\"statusCode\":200,\"cookies\":[\"c=0\"";
  for (size_t i = 1; i < kReplyHeadersMax; ++i) many += ",\"c=" + std::to_string(i) + "\"";
  REQUIRE(Read(many + "]}", "/fn/hello").reply.header_count == kReplyHeadersMax);
  REQUIRE_FALSE(Read(many + ",\"c=x\"]}").valid);
  REQUIRE_FALSE(Read("{\"statusCode\":200,\"headers\":{\"x\":\"" +
                     std::string(kReplyHeaderBytesMax, 'v') + "\"}}")
                    .valid);
  std::string repeated = "{\"statusCode\":200,\"headers\":{\"set-cookie\":\"a\"";
  for (int i = 0; i < 3'800; ++i) repeated += ",\"set-cookie\":\"a\"";
  REQUIRE_FALSE(Read(repeated + "}}", "/fn/" + std::string(64, 'n')).valid);
}

TEST_CASE("an exhausted pool is not the function's fault") {
  BufferPool pool(1024);
  HttpReply reply;
  Status status = read_http_reply(R"({"statusCode":200,"body":"a\nb"})", {}, pool, reply);
  REQUIRE_FALSE(status);
  REQUIRE(status.error().code == Code::buffers_full);
}
