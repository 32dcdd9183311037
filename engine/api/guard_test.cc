// The Host rule and the browser rule, alone.
#include "api/guard.h"

#include <array>

#include "tests/catch.h"

using hearth::api::Guard;
using hearth::api::host_name;
using hearth::api::host_port;
using hearth::api::localhost_label;
using hearth::http::HeaderView;
using hearth::http::RequestHead;

TEST_CASE("loopback literals and localhost names are allowed with and without a port") {
  const Guard guard({});
  for (const char* host : {"127.0.0.1", "127.0.0.1:4327", "127.255.0.9", "[::1]", "[::1]:80",
                           "localhost", "LOCALHOST:1", "hello.localhost", "a.b.localhost:4327",
                           "localhost.", "127.0.0.1.", "localhost:"}) {
    INFO(host);
    REQUIRE(guard.host_allowed(host));
  }
}

TEST_CASE("other hosts are refused, those that look like ours too") {
  const Guard guard({});
  for (const char* host : {"",
                           "evil.test",
                           "127.0.0.1.evil.test",
                           "localhost.evil.test",
                           "128.0.0.1",
                           "127.1",
                           "127.0.0.256",
                           "127.0.0.01",
                           "127.0.0.1..",
                           "[::1",
                           "[::2]",
                           "::1",
                           "0.0.0.0",
                           ".localhost",
                           "xlocalhost",
                           "localhost:80:80",
                           "localhost:8a",
                           "localhost:123456",
                           "user@localhost",
                           "127.0.0.1:4327/x",
                           "localhost, evil.test",
                           "evil.test/.localhost",
                           "evil.test#.localhost",
                           "[::ffff:127.0.0.1]",
                           "[::1]evil.test"}) {
    INFO(host);
    REQUIRE_FALSE(guard.host_allowed(host));
  }
}

TEST_CASE("allowed hosts match exactly or below a star") {
  const Guard guard({"hearth.test", "*.example.test"});
  REQUIRE(guard.host_allowed("hearth.test:4327"));
  REQUIRE(guard.host_allowed("Hearth.Test"));
  REQUIRE(guard.host_allowed("a.example.test"));
  REQUIRE_FALSE(guard.host_allowed("x.hearth.test"));
  REQUIRE_FALSE(guard.host_allowed("example.test"));
  REQUIRE_FALSE(guard.host_allowed(".example.test"));
  REQUIRE_FALSE(guard.host_allowed("evilexample.test"));
  REQUIRE_FALSE(guard.host_allowed("evil.test/.example.test"));
  REQUIRE_FALSE(guard.host_allowed("a\"b.example.test"));
  REQUIRE_FALSE(guard.host_allowed("\xFF.example.test"));
}

TEST_CASE("a port is what stands behind the name of a host") {
  REQUIRE(host_port("localhost:4327") == "4327");
  REQUIRE(host_port("[::1]:80") == "80");
  for (const char* host : {"", "localhost", "localhost:", "[::1]", "localhost:8a", "a:1:2"})
    REQUIRE(host_port(host).empty());
}

TEST_CASE("a localhost label is what stands before the suffix") {
  REQUIRE(localhost_label("hello.localhost") == "hello");
  REQUIRE(localhost_label("Hello.LocalHost") == "Hello");
  REQUIRE(localhost_label("localhost").empty());
  REQUIRE(host_name("hello.localhost:80") == "hello.localhost");
}

TEST_CASE("browser pages are recognised by origin and fetch metadata") {
  const auto from_page = [](HeaderView header) {
    const std::array<HeaderView, 1> headers{header};
    RequestHead head;
    head.headers = headers;
    return Guard::from_browser_page(head);
  };
  REQUIRE(from_page({"Origin", "http://evil.test"}));
  REQUIRE(from_page({"origin", "null"}));
  REQUIRE(from_page({"Origin", ""}));
  REQUIRE(from_page({"Sec-Fetch-Site", "cross-site"}));
  REQUIRE(from_page({"sec-fetch-site", "same-origin"}));
  REQUIRE(from_page({"SEC-FETCH-SITE", "Same-Site"}));
  REQUIRE(from_page({"Sec-Fetch-Site", "none, cross-site"}));
  REQUIRE(from_page({"Sec-Fetch-Site", ""}));
  REQUIRE_FALSE(from_page({"Sec-Fetch-Site", "none"}));
  REQUIRE_FALSE(from_page({"Accept", "text/html"}));
}
