// The small text forms: function names in paths, percent-encoding, routes.
#include "api/function_ref.h"
#include "api/percent.h"
#include "api/route.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::api;

namespace {

std::string ref_text(std::string_view segment) {
  FunctionRef ref;
  if (!parse_function_ref(segment, ref)) return "(none)";
  return std::string(ref.name) + "|" + std::string(ref.qualifier);
}

Route route(std::string_view host, std::string_view path, bool functions_only = false) {
  http::RequestHead head;
  head.host = host;
  head.path = path;
  head.functions_only = functions_only;
  return route_of(head);
}

}  // namespace

TEST_CASE("a function is named by name, partial arn and arn") {
  REQUIRE(ref_text("hello") == "hello|");
  REQUIRE(ref_text("hello:$LATEST") == "hello|$LATEST");
  REQUIRE(ref_text("hello%3A%24LATEST") == "hello|$LATEST");
  REQUIRE(ref_text("hello:7") == "hello|7");
  REQUIRE(ref_text("function:hello:prod") == "hello|prod");
  REQUIRE(ref_text("123456789012:function:hello") == "hello|");
  REQUIRE(ref_text("arn:aws:lambda:eu-west-1:123456789012:function:hello") == "hello|");
  REQUIRE(
      ref_text("arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Ahello%3A%24LATEST") ==
      "hello|$LATEST");
  REQUIRE(ref_text("123456789012") == "123456789012|");
}

TEST_CASE("what names no function is refused") {
  for (const char* segment :
       {"", ":", "a:", "a b", "a.b", "a:b:c", "arn:aws:s3:::bucket",
        "arn:aws:lambda:r:12:function:f", "arn:aws:lambda:r:123456789012:layer:f", "a%2Fb", "a%00",
        "..", "a:$latest"}) {
    INFO(segment);
    REQUIRE(ref_text(segment) == "(none)");
  }
  REQUIRE(ref_text(std::string(65, 'a')) == "(none)");
  REQUIRE(ref_text(std::string(300, 'a')) == "(none)");
  REQUIRE(ref_text("a:" + std::string(129, 'q')) == "(none)");
}

TEST_CASE("percent sequences decode, broken ones stand for themselves") {
  const auto decode = [](std::string_view text, Plus plus) {
    std::string out(text.size(), '\0');
    out.resize(percent_decode(out.data(), text, plus));
    return out;
  };
  REQUIRE(decode("a%20b+c", Plus::space) == "a b c");
  REQUIRE(decode("a+b", Plus::literal) == "a+b");
  REQUIRE(decode("%", Plus::space) == "%");
  REQUIRE(decode("%4", Plus::space) == "%4");
  REQUIRE(decode("%4g%41", Plus::space) == "%4gA");
  REQUIRE(percent_equal("%61", "a", Plus::space));
  REQUIRE(percent_equal("a+b", "a%20b", Plus::space));
  REQUIRE_FALSE(percent_equal("a", "ab", Plus::space));
}

TEST_CASE("a query falls into its pairs") {
  std::string_view rest = "&a=1&&b&=c&d=e=f&";
  std::string seen;
  QueryPair pair;
  while (next_query_pair(rest, pair))
    seen += std::string(pair.key) + ">" + std::string(pair.value) + ";";
  REQUIRE(seen == "a>1;b>;>c;d>e=f;");
}

TEST_CASE("routes are told apart by host and path") {
  REQUIRE(route("localhost", "/2015-03-31/functions/f/invocations").kind == RouteKind::invoke);
  REQUIRE(route("localhost", "/2015-03-31/functions/f/invocations/").function == "f");
  REQUIRE(route("localhost", "/2015-03-31/functions/f").kind == RouteKind::other);
  REQUIRE(route("localhost", "/2015-03-31/functions/f/g/invocations").kind == RouteKind::other);
  REQUIRE(route("localhost", "/2015-03-31/functions//invocations").kind == RouteKind::other);
  REQUIRE(route("localhost", "/fn/f").raw_path == "/");
  REQUIRE(route("localhost", "/fn/f/").raw_path == "/");
  REQUIRE(route("localhost", "/fn/f/../g%2Fh").raw_path == "/../g%2Fh");
  REQUIRE(route("localhost", "/fnx").kind == RouteKind::other);
  REQUIRE(route("localhost", "/healthz/").kind == RouteKind::other);
  REQUIRE(route("localhost", "http://localhost/metrics").kind == RouteKind::other);
}

TEST_CASE("a function's own host serves nothing but the function") {
  for (const char* path :
       {"/", "/metrics", "/healthz", "/fn/other", "/2015-03-31/functions/f/invocations"}) {
    const Route r = route("f.localhost:4327", path);
    REQUIRE(r.kind == RouteKind::function_host);
    REQUIRE(r.function == "f");
    REQUIRE(r.raw_path == path);
  }
  REQUIRE(route("f.localhost", "*").kind == RouteKind::other);  // OPTIONS *
}

TEST_CASE("the functions listener knows function urls and healthz only") {
  REQUIRE(route("public.test", "/fn/f/x", true).kind == RouteKind::function_url);
  REQUIRE(route("f.localhost", "/healthz", true).kind == RouteKind::healthz);
  for (const char* path : {"/", "/readyz", "/metrics", "/2015-03-31/functions/f/invocations"}) {
    REQUIRE(route("f.localhost", path, true).kind == RouteKind::other);
  }
}
