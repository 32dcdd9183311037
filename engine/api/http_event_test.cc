// The v2.0 event: its bytes once, and its meaning through a full parser.
#include "api/http_event.h"

#include <nlohmann/json.hpp>

#include "api/test_rig.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::api;
using namespace hearth::api::test;
using nlohmann::json;

namespace {

struct Events {
  ManualClock clock;
  BufferPool pool{mebibytes(64)};
  HttpEventWriter writer{pool, clock};
  std::string text(TestRequest& request, std::string_view raw_path = "/x") {
    Result<Buffer> event =
        writer.write({request.get(), "hello", raw_path, RequestIdSource(1).next()});
    REQUIRE(event.has_value());
    return std::string(event->view());
  }
  json parsed(TestRequest& request, std::string_view raw_path = "/x") {
    return json::parse(text(request, raw_path));
  }
};

}  // namespace

TEST_CASE("an event has exactly these bytes") {
  Events events;
  TestRequest request("POST", "/fn/hello/a%20b?k=1&k=2&z=%2B+x");
  request.header("User-Agent", "curl/8")
      .header("Content-Type", "application/json")
      .header("Cookie", "a=b; c=d");
  request.body("{\"n\":\"\xC3\xA9\"}");
  const std::string id = RequestIdSource(1).next().text();
  REQUIRE(
      events.text(request, "/a%20b") ==
      R"({"version":"2.0","routeKey":"$default","rawPath":"/a%20b","rawQueryString":"k=1&k=2&z=%2B+x","cookies":["a=b","c=d"],)"
      R"("headers":{"host":"localhost:4327","user-agent":"curl/8","content-type":"application/json",)"
      R"("x-forwarded-for":"127.0.0.1","x-forwarded-proto":"http","x-forwarded-port":"4327"},)"
      R"("queryStringParameters":{"k":"1,2","z":"+ x"},)"
      R"("requestContext":{"accountId":"anonymous","apiId":"hello","domainName":"localhost","domainPrefix":"hello",)"
      R"("http":{"method":"POST","path":"/a%20b","protocol":"HTTP/1.1","sourceIp":"127.0.0.1","userAgent":"curl/8"},)"
      R"("requestId":")" +
          id +
          R"(","routeKey":"$default","stage":"$default","time":"14/Nov/2023:22:13:20 +0000","timeEpoch":1700000000000},)"
          "\"body\":\"{\\\"n\\\":\\\"\xC3\xA9\\\"}\",\"isBase64Encoded\":false}");
}

TEST_CASE("what is absent is left out") {
  Events events;
  TestRequest request("GET", "/fn/hello");
  const json event = events.parsed(request, "/");
  for (const char* key : {"cookies", "queryStringParameters", "body", "pathParameters"})
    REQUIRE_FALSE(event.contains(key));
  REQUIRE(event["isBase64Encoded"] == false);
  REQUIRE(event["rawQueryString"] == "");
  REQUIRE(event["requestContext"]["http"]["userAgent"] == "");
}

TEST_CASE("headers of one name are joined in lower case") {
  Events events;
  TestRequest request("GET", "/fn/hello");
  request.header("X-A", "1")
      .header("Accept", "*/*")
      .header("x-a", "2, 3")
      .header("X-a", "\"q\"\t\xFF");
  const json event = events.parsed(request);
  REQUIRE(event["headers"] == json{{"host", "localhost:4327"},
                                   {"x-a", "1,2, 3,\"q\"\t\xEF\xBF\xBD"},
                                   {"accept", "*/*"},
                                   {"x-forwarded-for", "127.0.0.1"},
                                   {"x-forwarded-proto", "http"},
                                   {"x-forwarded-port", "4327"}});
}

TEST_CASE("the client's address goes behind what proxies told, and the rest is ours") {
  Events events;
  TestRequest request("GET", "/fn/hello");
  request.header("X-Forwarded-For", "10.0.0.1, 10.0.0.2")
      .header("x-forwarded-for", "\"10.0.0.3")
      .header("X-Forwarded-For", "")
      .header("X-FORWARDED-PROTO", "https")
      .header("x-forwarded-port", "443")
      .header("x-forwarded-host", "a.test")
      .header("Host", "hello.localhost");
  const json event = events.parsed(request);
  REQUIRE(event["headers"] == json{{"host", "hello.localhost"},
                                   {"x-forwarded-host", "a.test"},
                                   {"x-forwarded-for", "10.0.0.1, 10.0.0.2, \"10.0.0.3, 127.0.0.1"},
                                   {"x-forwarded-proto", "http"},
                                   {"x-forwarded-port", "80"}});
}

TEST_CASE("many long names that differ in one place are told apart") {
  Events events;
  TestRequest request("GET", "/fn/hello");
  std::string query = "/fn/hello?";
  TestRequest* const r = &request;
  for (int i = 0; i < 1'100; ++i) {
    const std::string name = std::string(20, 'n') + std::to_string(i % 1'050) + "-end";
    r->header(i < 1'050 ? name : "N" + name.substr(1), std::to_string(i));
  }
  const json headers = events.parsed(request)["headers"];
  REQUIRE(headers.size() == 1'050 + 4);
  REQUIRE(headers[std::string(20, 'n') + "7-end"] == "7,1057");
  REQUIRE(headers[std::string(20, 'n') + "1049-end"] == "1049");
  for (int i = 0; i < 256; ++i)
    query +=
        "%6e" + std::string(200, 'n') + std::to_string(i % 200) + "=" + std::to_string(i) + "&";
  TestRequest asked("GET", query);
  const json pairs = events.parsed(asked)["queryStringParameters"];
  REQUIRE(pairs.size() == 200);
  REQUIRE(pairs[std::string(201, 'n') + "3"] == "3,203");
}

TEST_CASE("cookies of several headers are one list and no header") {
  Events events;
  TestRequest request("GET", "/fn/hello");
  request.header("cookie", "a=1;b=2 ; ;").header("Cookie", "c=\"3\"");
  const json event = events.parsed(request);
  REQUIRE(event["cookies"] == json{"a=1", "b=2", "c=\"3\""});
  REQUIRE_FALSE(event["headers"].contains("cookie"));
}

TEST_CASE("query parameters decode, join and survive nonsense") {
  Events events;
  TestRequest request("GET", "/fn/hello?a%20b=1&a+b=2&=x&flag&q=%22%5C%zz%FF&u=%C3%A9&&");
  const json event = events.parsed(request);
  REQUIRE(event["queryStringParameters"] == json{{"a b", "1,2"},
                                                 {"", "x"},
                                                 {"flag", ""},
                                                 {"q", "\"\\%zz\xEF\xBF\xBD"},
                                                 {"u", "\xC3\xA9"}});
}

TEST_CASE("more query parameters than the limit are refused") {
  Events events;
  std::string target = "/fn/hello?";
  for (size_t i = 0; i < kQueryParametersMax; ++i) target += "k" + std::to_string(i) + "=v&";
  TestRequest fits("GET", target);
  REQUIRE(events.parsed(fits)["queryStringParameters"].size() == kQueryParametersMax);
  TestRequest over("GET", target + "one=more");
  Result<Buffer> event = events.writer.write({over.get(), "hello", "/", RequestId{}});
  REQUIRE_FALSE(event);
  REQUIRE(event.error().code == Code::invalid_parameter);
}

TEST_CASE("a body is text or base64 by its type and bytes") {
  Events events;
  const auto body_of = [&](std::string type, std::string body) {
    TestRequest request("PUT", "/fn/hello");
    if (!type.empty()) request.header("Content-Type", std::move(type));
    request.body(std::move(body));
    const json event = events.parsed(request);
    return std::make_pair(event["isBase64Encoded"].get<bool>(), event["body"].get<std::string>());
  };
  using Body = std::pair<bool, std::string>;
  REQUIRE(body_of("text/plain; charset=utf-8", "h\xC3\xA9\n") == Body(false, "h\xC3\xA9\n"));
  REQUIRE(body_of("application/x-www-form-urlencoded", "a=b") == Body(false, "a=b"));
  REQUIRE(body_of("application/problem+JSON", "{}") == Body(false, "{}"));
  REQUIRE(body_of("", "plain") == Body(false, "plain"));
  REQUIRE(body_of("text/plain", "\xFF\xFE") == Body(true, "//4="));
  REQUIRE(body_of("application/octet-stream", "abc") == Body(true, "YWJj"));
  REQUIRE(body_of("image/png", std::string("\0\1", 2)) == Body(true, "AAE="));
  REQUIRE(body_of("text/plain", std::string(200'000, '"')) ==
          Body(false, std::string(200'000, '"')));
}

TEST_CASE("a hostile host, path and query stay inside their strings") {
  Events events;
  TestRequest request("GET", "/fn/hello?\"}\\");
  request.header("Host", "a\"b").header("User-Agent", "\"},{\"");
  const json event = events.parsed(request, "/\"\\\x01");
  REQUIRE(event["rawPath"] == "/\"\\\x01");
  REQUIRE(event["rawQueryString"] == "\"}\\");
  REQUIRE(event["requestContext"]["domainName"] == "a\"b");
  REQUIRE(event["requestContext"]["http"]["userAgent"] == "\"},{\"");
}

TEST_CASE("time is written for any second") {
  Events events;
  TestRequest request("GET", "/fn/hello");
  events.clock.advance(seconds(109'183'599));  // 2027-05-01 14:59:59
  REQUIRE(events.parsed(request)["requestContext"]["time"] == "01/May/2027:14:59:59 +0000");
  events.clock.advance(milliseconds(1'001));
  const json context = events.parsed(request)["requestContext"];
  REQUIRE(context["time"] == "01/May/2027:15:00:00 +0000");
  REQUIRE(context["timeEpoch"] == 1'809'183'600'001);
}

TEST_CASE("an exhausted pool is an error") {
  ManualClock clock;
  BufferPool pool(2048);
  HttpEventWriter writer(pool, clock);
  TestRequest request("POST", "/fn/hello");
  request.body(std::string(10'000, 'x'));
  Result<Buffer> event = writer.write({request.get(), "hello", "/", RequestId{}});
  REQUIRE_FALSE(event);
  REQUIRE(event.error().code == Code::buffers_full);
  TestRequest wide("GET", "/fn/hello?" + std::string(3'000, 'q'));
  REQUIRE_FALSE(writer.write({wide.get(), "hello", "/", RequestId{}}).has_value());
  REQUIRE(pool.bytes_taken() == 0);
}
