// The control plane's texts: paths, uploads, JSON in and out. No store and no server.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "api/control_json.h"
#include "api/control_route.h"
#include "api/control_upload.h"
#include "api/lambda_codec.h"
#include "base/base64.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::api;

namespace {

Result<ControlRoute> route(std::string_view method, std::string_view path,
                           std::string_view query = {}) {
  http::RequestHead head;
  head.method = method;
  head.path = path;
  head.query = query;
  REQUIRE(is_control_path(path));
  return control_route(head);
}

Code refusal(std::string_view method, std::string_view path, std::string_view query = {}) {
  const auto result = route(method, path, query);
  return result ? Code{} : result.error().code;
}

std::string name_in(std::string_view method, std::string_view path, std::string_view query = {}) {
  const auto result = route(method, path, query);
  return result ? result->function : "refused: " + result.error().message();
}

std::string decoded(std::string_view escaped) {
  const UniqueFd file(::memfd_create("out", MFD_CLOEXEC));
  const auto status = decode_archive(escaped, file.get());
  if (!status) return "error: " + status.error().detail;
  std::string out(static_cast<size_t>(::lseek(file.get(), 0, SEEK_END)), '\0');
  REQUIRE(::pread(file.get(), out.data(), out.size(), 0) == static_cast<ssize_t>(out.size()));
  return out;
}

constexpr std::string_view kCreate =
    R"({"FunctionName":"f","Runtime":"python3.12","Handler":"app.handler","Code":{"ZipFile":"0"}})";

std::string create_error(std::string_view member, std::string_view value) {
  nlohmann::json body = nlohmann::json::parse(kCreate);
  body[std::string(member)] = nlohmann::json::parse(value);
  const auto result = parse_create(body.dump(), 1);
  return result ? "created" : result.error().detail;
}

}  // namespace

TEST_CASE("paths of the control plane lead to their operations") {
  CHECK(route("POST", "/2015-03-31/functions")->op == ControlOp::create_function);
  CHECK(route("POST", "/2015-03-31/functions/")->op == ControlOp::create_function);
  CHECK(route("GET", "/2015-03-31/functions/")->op == ControlOp::list_functions);
  CHECK(route("PUT", "/2015-03-31/functions/f/code")->op == ControlOp::update_code);
  CHECK(route("GET", "/2015-03-31/functions/f/configuration")->op == ControlOp::get_configuration);
  CHECK(route("PUT", "/2015-03-31/functions/f/configuration")->op ==
        ControlOp::update_configuration);
  CHECK(route("DELETE", "/2015-03-31/functions/f")->op == ControlOp::delete_function);
  CHECK(route("HEAD", "/hearth/v1/state/")->op == ControlOp::hearth_state);
  CHECK(route("GET", "/hearth/v1/functions")->op == ControlOp::hearth_list);
  CHECK(route("GET", "/hearth/v1/functions/f")->op == ControlOp::hearth_get);
  CHECK(route("GET", "/hearth/v1/functions/f/logs")->op == ControlOp::hearth_logs);
}

TEST_CASE("functions are named by name and arn with at most the one version that exists") {
  CHECK(name_in("GET", "/2015-03-31/functions/f") == "f");
  CHECK(name_in(
            "GET",
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af") ==
        "f");
  CHECK(name_in("GET",
                "/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST") ==
        "f");
  CHECK(name_in("GET", "/2015-03-31/functions/f", "Qualifier=%24LATEST") == "f");
  CHECK(refusal("GET", "/2015-03-31/functions/f%3A1") == Code::version_unknown);
  CHECK(refusal("GET", "/2015-03-31/functions/f", "a=b&Qualifier=live") == Code::version_unknown);
  CHECK(refusal("GET", "/2015-03-31/functions/a%20b") == Code::invalid_parameter);
}

TEST_CASE("what is not spoken says so and what is not there is not found") {
  CHECK(refusal("POST", "/2015-03-31/functions/f/versions") == Code::not_supported);
  CHECK(refusal("POST", "/2015-03-31/functions/f/aliases") == Code::not_supported);
  CHECK(refusal("PUT", "/2017-10-31/functions/f/concurrency") == Code::not_supported);
  CHECK(refusal("GET", "/2015-03-31/event-source-mappings/") == Code::not_supported);
  CHECK(refusal("DELETE", "/2015-03-31/functions") == Code::method_not_allowed);
  CHECK(refusal("POST", "/hearth/v1/state") == Code::method_not_allowed);
  CHECK(refusal("GET", "/hearth/v1/nothing") == Code::route_unknown);
  CHECK(refusal("GET", "/hearth/v1/functions/f/nothing") == Code::route_unknown);
  CHECK_FALSE(is_control_path("/hearth/v10"));
  CHECK_FALSE(is_control_path("/2015-03-3/functions"));
  CHECK_FALSE(is_control_path("/"));
}

TEST_CASE("a wrong method is told the right ones") {
  const auto methods = [](const char* method, const char* path) {
    const auto found = route(method, path);
    return found ? "found" : found.error().detail;
  };
  CHECK(methods("DELETE", "/2015-03-31/functions") == "GET, HEAD, POST");
  CHECK(methods("POST", "/2015-03-31/functions/f") == "GET, HEAD, DELETE");
  CHECK(methods("GET", "/2015-03-31/functions/f/code") == "PUT");
  CHECK(methods("POST", "/2015-03-31/functions/f/configuration") == "GET, HEAD, PUT");
  CHECK(methods("DELETE", "/2015-03-31/functions/f/versions") == "GET, HEAD");
  CHECK(methods("POST", "/hearth/v1/state") == "GET, HEAD");
  CHECK(methods("PUT", "/hearth/v1/functions/f/logs") == "GET, HEAD");
}

TEST_CASE("the archive is cut out of an upload before the rest is parsed") {
  const std::string body =
      R"({"a":"ZipFile" , "Code" : { "ZipFile" :  "QUJD\/+==" }, "q":"say \"ZipFile\":", "n":1})";
  const auto scanned = scan_body(body);
  REQUIRE(scanned);
  CHECK(scanned->json ==
        R"({"a":"ZipFile" , "Code" : { "ZipFile" :  "0" }, "q":"say \"ZipFile\":", "n":1})");
  REQUIRE(scanned->archives.size() == 1);
  CHECK(scanned->archives[0] == "QUJD\\/+==");
  CHECK(scan_body(R"({"ZipFile":"a","ZipFile":"b"})")->archives.size() == 2);
  CHECK(scan_body(R"(["ZipFile","x"])")->archives.empty());
}

TEST_CASE("uploads that are too much or not JSON are refused") {
  CHECK(scan_body(R"({"a":"unfinished)").error().code == Code::invalid_request);
  CHECK(scan_body(R"({"a":"\"})").error().code == Code::invalid_request);
  CHECK(scan_body(std::string(kControlDepthMax, '[')));
  CHECK(scan_body(std::string(kControlDepthMax + 1, '[')).error().code == Code::invalid_request);
  CHECK(scan_body(std::string(kControlJsonMax + 1, ' ')).error().code == Code::body_too_large);
  CHECK(scan_body("{\"Description\":\"" + std::string(kControlJsonMax + 1, 'x') + "\"}")
            .error()
            .code == Code::body_too_large);
  CHECK(scan_body("{\"ZipFile\":\"" + std::string(3 * kControlJsonMax, 'x') + "\"}"));
  CHECK(parse_create("", 0).error().code == Code::invalid_request);
  CHECK(parse_create("[]", 0).error().code == Code::invalid_request);
  CHECK(parse_create("{\"a\":\"\xFF\"}", 0).error().code == Code::invalid_request);
}

TEST_CASE("base64 decodes with the escapes of JSON") {
  CHECK(decoded("aGVsbG8=") == "hello");
  CHECK(decoded("aGVsbG8") == "hello");
  CHECK(decoded("aGVsbG\\u0038\\u003D") == "hello");
  CHECK(decoded("\\/\\/\\/\\/").size() == 3);
  CHECK(decoded("aGVs\\r\\nbG8=") == "hello");
  CHECK(decoded("") == "");
  std::string bytes;
  for (int i = 0; i < 200'000; ++i) bytes += static_cast<char>(i * 7 + i / 256);
  CHECK(decoded(hearth::base64_encode(bytes)) == bytes);
  for (const char* bad : {"a", "aGVsb", "aGV$", "aGVs bG8=", "aG=V", "aGVs\\", "aGVs\\u12",
                          "aGVs\\u00zz", "aGVs\\tbG8=", "\xFF\xFF\xFF\xFF"}) {
    CAPTURE(bad);
    CHECK(decoded(bad).starts_with("error: ZipFile is not base64"));
  }
}

TEST_CASE("fields of a wrong type are named and unknown ones are ignored") {
  CHECK(create_error("SomethingNew", "{\"a\":[1]}") == "created");
  CHECK(create_error("Timeout", "null") == "created");
  CHECK(create_error("Timeout", "\"3\"") == "Timeout is not a whole number");
  CHECK(create_error("Timeout", "3.5") == "Timeout is not a whole number");
  CHECK(create_error("Timeout", "0").find("Timeout is 0") == 0);
  CHECK(create_error("MemorySize", "18446744073709551615")
            .find("MemorySize is 18446744073709551615") == 0);
  CHECK(create_error("Handler", "[]") == "Handler is not a string");
  CHECK(create_error("Environment", "[]") == "Environment is not an object");
  CHECK(create_error("Environment", R"({"Variables":{"A":1}})") ==
        "Environment.Variables.A is not a string");
  CHECK(create_error("Code", "{}").find("Code.ZipFile is missing") == 0);
  CHECK(create_error("Code", R"({"ZipFile":5})") == "Code.ZipFile is not a string");
  CHECK(create_error("Code", R"({"ZipFile":"7"})") == "Code.ZipFile is not base64");
  CHECK(create_error("Code", R"({"S3Bucket":"b"})").find("Code.S3Bucket") == 0);
  CHECK(create_error("Code", R"({"ImageUri":"b"})").find("Code.ImageUri") == 0);
  CHECK(create_error("PackageType", "\"Image\"").find("PackageType") == 0);
  CHECK(create_error("Layers", "[\"arn\"]").find("Layers") == 0);
  CHECK(create_error("Layers", "[]") == "created");
  CHECK(create_error("Architectures", "[\"sparc\"]").find("Architectures") == 0);
  CHECK(create_error("FunctionName", "\"a b\"").find("FunctionName 'a b'") == 0);
  CHECK(create_error("Hearth", R"({"Timeout":1})") == "Hearth has the unknown field 'Timeout'");
  CHECK(create_error("Hearth", R"({"Concurrency":{"PerWorker":-1}})")
            .find("Hearth.Concurrency.PerWorker is -1") == 0);
  CHECK(create_error("Hearth", R"({"Leftovers":"x"})") ==
        "Hearth.Leftovers 'x': freeze, kill or recycle are known");
  CHECK(create_error("Hearth", R"({"Recycle":{"MaxRss":1}})") ==
        "Hearth.Recycle has the unknown field 'MaxRss'");
  CHECK(create_error("Hearth", R"({"NetworkAllow":[1]})").find("Hearth.NetworkAllow") == 0);
}

TEST_CASE("which interpreter runs a function, or why none does, is part of its configuration") {
  FunctionRecord record;
  record.spec.runtime_label = "python3.12";
  record.interpreter_version = "3.11.2";
  record.substituted = true;
  auto out = nlohmann::json::parse(configuration_json(record));
  CHECK(out["Runtime"] == "python3.12");
  CHECK(out["Hearth"]["InterpreterVersion"] == "3.11.2");
  CHECK(out["Hearth"]["Substituted"] == true);
  record.unavailable = "python3.12 is not installed";
  out = nlohmann::json::parse(configuration_json(record));
  CHECK(out["State"] == "Failed");
  CHECK(out["StateReason"] == "python3.12 is not installed");
}

TEST_CASE("a configuration goes in and comes out again") {
  const auto input = parse_create(
      R"({"FunctionName":"arn:aws:lambda:us-east-1:000000000000:function:f","Runtime":"nodejs20.x","Handler":"i.h",
          "Timeout":3,"MemorySize":256,"Timeout":4,"Role":"r","Environment":{"Variables":{"B":"2","A":"1"}},
          "Code":{"ZipFile":"0"},"Hearth":{"TimeoutMs":2500,"Concurrency":{"PerWorker":3,"Queue":9},"Network":"none","CpuMillis":500,
          "Leftovers":"kill","Recycle":{"MaxCalls":7,"MaxAgeMs":60000},"Zygote":"off","TmpBytes":1048576,"InitTimeoutMs":45000}})",
      1);
  REQUIRE(input);
  CHECK(input->spec.name == "f");
  CHECK(input->spec.timeout == milliseconds(2'500));
  CHECK(input->spec.concurrency == Concurrency{3, 0, 0, 9});
  CHECK(input->spec.environment.front().first == "A");
  FunctionRecord record;
  record.spec = input->spec;
  record.modified = WallTime(milliseconds(1'795'352'400'123));
  const auto out = nlohmann::json::parse(configuration_json(record));
  CHECK(out["Timeout"] == 3);
  CHECK(out["MemorySize"] == 256);
  CHECK(out["Runtime"] == "nodejs20.x");
  CHECK(out["State"] == "Active");
  CHECK_FALSE(out["Hearth"].contains("Substituted"));
  CHECK(out["LastModified"] == "2026-11-22T13:00:00.123+0000");
  CHECK(out["Environment"]["Variables"]["B"] == "2");
  CHECK(out["FunctionArn"] == "arn:aws:lambda:us-east-1:000000000000:function:f");
  CHECK(out["Hearth"]["Concurrency"]["PerWorker"] == 3);
  CHECK(out["Hearth"]["CpuMillis"] == 500);
  CHECK(out["Hearth"]["Network"] == "none");
  CHECK(out["Hearth"]["NetworkAllow"].empty());
  CHECK(out["Hearth"]["Sandbox"] == "");
  CHECK(out["Hearth"]["Leftovers"] == "kill");
  CHECK(out["Hearth"]["Recycle"]["MaxCalls"] == 7);
  CHECK(out["Hearth"]["Recycle"]["MaxAgeMs"] == 60'000);
  CHECK(out["Hearth"]["Zygote"] == "off");
  CHECK(out["Hearth"]["TmpBytes"] == 1'048'576);
  CHECK(out["Hearth"]["InitTimeoutMs"] == 45'000);
}
