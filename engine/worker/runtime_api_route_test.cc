#include "worker/runtime_api_route.h"

#include <nlohmann/json.hpp>

#include "tests/catch.h"

using namespace hearth;
using namespace hearth::worker;
using Kind = ApiRoute::Kind;
using nlohmann::json;

TEST_CASE("paths of the Runtime API") {
  const std::string base = "/2018-06-01/runtime/";
  CHECK(api_route("GET", base + "invocation/next").kind == Kind::next);
  CHECK(api_route("POST", base + "invocation/next").kind == Kind::wrong_method);
  const ApiRoute response = api_route("POST", base + "invocation/8f-a/response");
  CHECK(response.kind == Kind::response);
  CHECK(api_route("POST", base + "invocation/8f-a/error").kind == Kind::error);
  CHECK(api_route("GET", base + "invocation/8f-a/error").kind == Kind::wrong_method);
  CHECK(api_route("POST", base + "init/error").kind == Kind::init_error);
  CHECK(api_route("GET", "/ping").kind == Kind::ping);
  for (const std::string path :
       {"/", "", "/2018-06-01/runtime", "/2018-06-01/runtime/restore/next",
        "/2018-06-01/runtime/invocation/a/b/response", "/2018-06-01/runtime/invocation/response",
        "/2018-06-01/runtime/invocation/next/", "/2020-01-01/extension/register"})
    CHECK(api_route("GET", path).kind == Kind::unknown);
}

TEST_CASE("the id of a request is what stands between") {
  const std::string path = "/2018-06-01/runtime/invocation/1234-5/response";
  CHECK(api_route("POST", path).request_id == "1234-5");
}

TEST_CASE("what rides on a call becomes values of headers") {
  const ApiContext none = api_context("");
  CHECK(none.trace_id + none.arn + none.client_context == "");
  const ApiContext all = api_context(R"({"traceId":"Root=1\n2","unknown":[1],"clientContext":{"a":)"
                                     "\n\t"
                                     R"("b"},"arn":"arn:aws"})");
  CHECK(all.trace_id == "Root=1 2");
  CHECK(all.arn == "arn:aws");
  CHECK(json::parse(all.client_context) == json{{"a", "b"}});
  CHECK(all.client_context.find_first_of("\r\n\t") == std::string::npos);
  CHECK(api_context("[1]").arn.empty());
  CHECK(api_context(R"({"arn":"a)").arn.empty());
}

TEST_CASE("an error is handed on as it is, if it is one") {
  const std::string own = R"({"errorMessage":"no","errorType":"ValueError","more":1})";
  CHECK(api_error_json(own, "Runtime.Nonsense!") == own);
  for (const char* body : {"plain \"text\"", "[1]", "", "{\"cut\":"}) {
    const json made = json::parse(api_error_json(body, "Function.Mine"));
    CHECK(made["errorMessage"] == body);
    CHECK(made["errorType"] == "Function.Mine");
  }
  CHECK(json::parse(api_error_json(std::string(10'000, 'x'), ""))["errorMessage"]
            .get<std::string>()
            .size() == 1'000);
}

TEST_CASE("error types of clients") {
  const auto type = [](std::string_view sent) {
    return json::parse(api_error_json("", sent))["errorType"].get<std::string>();
  };
  CHECK(type("Runtime.ExitError") == "Runtime.ExitError");
  CHECK(type("Function.Oops") == "Function.Oops");
  CHECK(type("Function.x") == "Function.Unknown");
  CHECK(type("Function.Oo ps") == "Function.Unknown");
  CHECK(type("Runtime.") == "Runtime.Unknown");
  CHECK(type("ValueError") == "Runtime.Unknown");
}

TEST_CASE("the error in trailers is base64") {
  CHECK(api_trailer_error_json("eyJlcnJvck1lc3NhZ2UiOiJubyJ9", "Runtime.X") ==
        R"({"errorMessage":"no"})");
  CHECK(json::parse(api_trailer_error_json("***", "Runtime.Broken"))["errorType"] ==
        "Runtime.Broken");
}
