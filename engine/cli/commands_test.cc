// The commands against a fake daemon: what they send, what they print, and their exit codes.
#include "cli/commands.h"

#include <nlohmann/json.hpp>

#include "cli/test_daemon.h"
#include "store/digest.h"
#include "tests/catch.h"
#include "tests/test_folder.h"

using namespace hearth;
using namespace hearth::cli;
using Catch::Matchers::Contains;
using hearth_test::FunctionFolder;
using nlohmann::json;

namespace {

template <class Options>
Options to(const TestDaemon& daemon, Options options = {}) {
  options.server = daemon.url();
  return options;
}

TestResponse error(int status, const char* type, const char* message) {
  return {status, json{{"message", message}}.dump(), fmt::format("X-Amzn-ErrorType: {}\r\n", type)};
}

// As much of the control plane as deploy needs. `whole_updates`: it takes Hearth.Configuration
// along with code.
struct FakeControl {
  bool whole_updates = true;
  json configuration;  // null: there is no function

  TestResponse operator()(const TestRequest& request) {
    const json body = json::parse(request.body, nullptr, false);
    if (request.method == "GET") {
      if (configuration.is_null())
        return error(404, "ResourceNotFoundException", "Function not found: hello");
      return {200, json{{"Configuration", configuration}}.dump(), ""};
    }
    if (body.contains("Code")) {
      configuration = body;
      configuration.erase("Code");
      configuration["CodeSha256"] = "of-" + body["Code"]["ZipFile"].get<std::string>().substr(0, 4);
    } else if (body.contains("ZipFile")) {
      configuration["CodeSha256"] = "new";
      if (whole_updates && body.contains("Hearth"))
        configuration.update(body["Hearth"]["Configuration"]);
    } else {
      configuration.update(body);
    }
    configuration["Hearth"]["Revision"] = "0123456789abcdef0123";
    return {request.method == "POST" ? 201 : 200, configuration.dump(), ""};
  }
};

std::vector<std::string> lines_of(const TestDaemon& daemon) {
  std::vector<std::string> lines;
  for (const TestRequest& request : daemon.requests())
    lines.push_back(request.method + " " + request.target);
  return lines;
}

constexpr const char* kHello = "/2015-03-31/functions/hello";

}  // namespace

TEST_CASE("deploy creates, then changes nothing, then sends what changed") {
  FakeControl control;
  TestDaemon daemon([&](const TestRequest& request) { return control(request); });
  FunctionFolder folder;
  folder.write("app.py", "def handler(event, context): return event");
  DeployOptions options = to<DeployOptions>(daemon);
  options.folders = {folder.path};
  TextOutput output;
  REQUIRE(run_deploy(options, output) == Exit::ok);
  CHECK_THAT(output.out_text, Contains("hello  created  revision 0123456789ab  ") &&
                                  Contains(daemon.url() + "/fn/hello"));
  CHECK(lines_of(daemon) ==
        std::vector<std::string>{fmt::format("GET {}", kHello), "POST /2015-03-31/functions"});
  const json sent = json::parse(daemon.requests()[1].body);
  CHECK(sent["FunctionName"] == "hello");
  CHECK(sent["Runtime"] == "python3");
  CHECK(sent["Handler"] == "app.handler");
  CHECK(sent["Timeout"] == 3);
  CHECK(sent["MemorySize"] == 128);
  CHECK(sent["Hearth"]["TimeoutMs"] == 3'000);
  CHECK(sent["Hearth"]["Concurrency"]["PerWorker"] == 1);
  CHECK(sent["Hearth"]["Network"] == "none");
  CHECK(sent["Code"]["ZipFile"].get<std::string>().starts_with("UEsDB"));
}

TEST_CASE(
    "deploy sends only the configuration when only that changed, and code with it when both did") {
  FakeControl control;
  TestDaemon daemon([&](const TestRequest& request) { return control(request); });
  FunctionFolder folder;
  folder.write("app.py", "1");
  DeployOptions options = to<DeployOptions>(daemon);
  options.folders = {folder.path};
  options.json = true;
  TextOutput first;
  REQUIRE(run_deploy(options, first) == Exit::ok);
  // The real daemon answers the archive's digest; this one is told it.
  const std::string zip = json::parse(daemon.requests().back().body)["Code"]["ZipFile"];
  std::string bytes;
  for (size_t i = 0; i + 4 <= zip.size(); i += 4) {
    uint32_t value = 0;
    int padding = 0;
    for (size_t k = 0; k < 4; ++k) {
      const size_t at =
          std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
              .find(zip[i + k]);
      if (zip[i + k] == '=') ++padding;
      value = (value << 6) | (zip[i + k] == '=' ? 0u : static_cast<uint32_t>(at));
    }
    for (int k = 0; k < 3 - padding; ++k) bytes += static_cast<char>(value >> (16 - 8 * k));
  }
  Sha256 hash;
  hash.update(bytes);
  control.configuration["CodeSha256"] = base64_of_hex(to_hex(hash.finish()));

  TextOutput unchanged;
  REQUIRE(run_deploy(options, unchanged) == Exit::ok);
  CHECK(json::parse(unchanged.out_text)[0]["action"] == "unchanged");
  CHECK(daemon.requests().size() == 3);

  folder.write("function.yaml", "timeout: 1500ms\n");
  std::filesystem::remove(folder.path + "/function.yaml");
  control.configuration["MemorySize"] = 256;
  TextOutput settings;
  REQUIRE(run_deploy(options, settings) == Exit::ok);
  CHECK(json::parse(settings.out_text)[0]["action"] == "updated");
  CHECK(lines_of(daemon).back() == fmt::format("PUT {}/configuration", kHello));
  CHECK(control.configuration["MemorySize"] == 128);

  folder.write("function.yaml", "timeout: 1500ms\n");
  TextOutput both;
  REQUIRE(run_deploy(options, both) == Exit::ok);
  CHECK(lines_of(daemon).back() == fmt::format("PUT {}/code", kHello));
  const json sent = json::parse(daemon.requests().back().body);
  CHECK(sent["Hearth"]["Configuration"]["Hearth"]["TimeoutMs"] == 1'500);
  CHECK(sent["Hearth"]["Configuration"]["Timeout"] == 2);
}

TEST_CASE("a daemon that takes code alone gets the configuration after it") {
  FakeControl control{
      .whole_updates = false,
      .configuration = {
          {"FunctionName", "hello"}, {"Handler", "old.handler"}, {"CodeSha256", "old"}}};
  TestDaemon daemon([&](const TestRequest& request) { return control(request); });
  FunctionFolder folder;
  folder.write("app.py");
  DeployOptions options = to<DeployOptions>(daemon);
  options.folders = {folder.path};
  TextOutput output;
  REQUIRE(run_deploy(options, output) == Exit::ok);
  CHECK(lines_of(daemon) == std::vector<std::string>{fmt::format("GET {}", kHello),
                                                     fmt::format("PUT {}/code", kHello),
                                                     fmt::format("PUT {}/configuration", kHello)});
  CHECK(control.configuration["Handler"] == "app.handler");
}

TEST_CASE("several folders are all tried and the first failure is the exit code") {
  FakeControl control;
  TestDaemon daemon([&](const TestRequest& request) { return control(request); });
  FunctionFolder good;
  good.write("app.py");
  FunctionFolder bad;
  bad.write("readme.txt");
  DeployOptions options = to<DeployOptions>(daemon);
  options.folders = {bad.path, good.path};
  TextOutput output;
  CHECK(run_deploy(options, output) == Exit::usage);
  CHECK_THAT(output.err_text, Contains("can't deploy " + bad.path) && Contains("app.py"));
  CHECK_THAT(output.out_text, Contains("created"));
}

TEST_CASE("a refused deploy says what, why and the status") {
  TestDaemon daemon([](const TestRequest& request) {
    return request.method == "GET" ? error(404, "ResourceNotFoundException", "no")
                                   : error(400, "InvalidParameterValueException", "memory is odd");
  });
  FunctionFolder folder;
  folder.write("app.py");
  DeployOptions options = to<DeployOptions>(daemon);
  options.folders = {folder.path};
  TextOutput output;
  CHECK(run_deploy(options, output) == Exit::refused);
  CHECK_THAT(output.err_text, Contains("can't deploy hello") && Contains("memory is odd") &&
                                  Contains("HTTP 400, InvalidParameterValueException"));
}

TEST_CASE("invoke prints the reply byte for byte") {
  TestDaemon daemon([](const TestRequest&) {
    return TestResponse{200, "{\"a\": 1}", "x-amzn-requestid: id-1\r\n"};
  });
  InvokeOptions options = to<InvokeOptions>(daemon);
  options.name = "hello";
  options.data = "{\"name\": \"you\"}";
  TextOutput output;
  CHECK(run_invoke(options, output) == Exit::ok);
  CHECK(output.out_text == "{\"a\": 1}");
  const TestRequest request = daemon.requests().front();
  CHECK(request.method == "POST");
  CHECK(request.target == "/2015-03-31/functions/hello/invocations");
  CHECK(request.body == options.data);
  CHECK_THAT(request.head, !Contains("Log-Type"));

  options.json = true;
  TextOutput as_json;
  CHECK(run_invoke(options, as_json) == Exit::ok);
  const json printed = json::parse(as_json.out_text);
  CHECK(printed["status"] == 200);
  CHECK(printed["error"].is_null());
  CHECK(printed["reply"] == json{{"a", 1}});
  CHECK(printed["request_id"] == "id-1");
  CHECK(printed["duration_ms"].is_number());
}

TEST_CASE("invoke reads the event from a file") {
  TestDaemon daemon([](const TestRequest& request) { return TestResponse{200, request.body, ""}; });
  FunctionFolder folder;
  folder.write("event.json", "[1]");
  InvokeOptions options = to<InvokeOptions>(daemon);
  options.name = "hello";
  options.data = "@" + folder.path + "/event.json";
  TextOutput output;
  CHECK(run_invoke(options, output) == Exit::ok);
  CHECK(output.out_text == "[1]");
  options.data = "@" + folder.path + "/gone";
  TextOutput gone;
  CHECK(run_invoke(options, gone) == Exit::usage);
  CHECK_THAT(gone.err_text, Contains("/gone"));
  options.data = "not json";
  TextOutput not_json;
  CHECK(run_invoke(options, not_json) == Exit::usage);
  CHECK_THAT(not_json.err_text, Contains("not JSON"));
}

TEST_CASE("each way in which a call fails has its exit code") {
  TestResponse response;
  TestDaemon daemon([&](const TestRequest&) { return response; });
  InvokeOptions options = to<InvokeOptions>(daemon);
  options.name = "hello";
  const auto run = [&](TestResponse r) {
    response = std::move(r);
    TextOutput output;
    const Exit exit = run_invoke(options, output);
    return std::pair(exit, output.out_text + output.err_text);
  };
  const char* unhandled = "X-Amz-Function-Error: Unhandled\r\nx-amzn-requestid: id-9\r\n";
  const auto failed = run({200, R"({"errorType":"ValueError","errorMessage":"no"})", unhandled});
  CHECK(failed.first == Exit::function_error);
  CHECK_THAT(failed.second,
             Contains("hello failed: ValueError") && Contains("hearth logs hello --request id-9"));
  CHECK(run({200, R"({"errorType":"Sandbox.Timedout"})", unhandled}).first == Exit::timeout);
  CHECK(run(error(404, "ResourceNotFoundException", "no")).first == Exit::refused);
  CHECK(run(error(429, "TooManyRequestsException", "full")).first == Exit::busy);
  CHECK(run(error(503, "ServiceException", "down")).first == Exit::busy);
  CHECK(run(error(413, "RequestTooLargeException", "big")).first == Exit::refused);
  options.json = true;
  CHECK_THAT(run(error(404, "ResourceNotFoundException", "no")).second,
             Contains("\"error\": \"ResourceNotFoundException\""));
}

TEST_CASE("invoke prints the tail of the log with control characters escaped") {
  TestDaemon daemon([](const TestRequest& request) {
    CHECK_THAT(request.head, Contains("X-Amz-Log-Type: Tail"));
    return TestResponse{200, "1",
                        "X-Amz-Log-Result: b25lChtbMzFtdHdvCg==\r\n"};  // "one\n\x1b[31mtwo\n"
  });
  InvokeOptions options = to<InvokeOptions>(daemon);
  options.name = "hello";
  options.log_tail = true;
  TextOutput output;
  CHECK(run_invoke(options, output) == Exit::ok);
  CHECK(output.out_text == "1");
  CHECK_THAT(output.err_text, Contains("one\n") && Contains("[31mtwo\n") && !Contains("\x1b"));
}

TEST_CASE("a daemon that is not there, or does not answer, is told apart") {
  InvokeOptions options;
  options.name = "hello";
  {
    TestDaemon daemon([](const TestRequest&) { return TestResponse{}; });
    options.server = daemon.url();
  }
  TextOutput gone;
  CHECK(run_invoke(options, gone) == Exit::refused);
  CHECK_THAT(gone.err_text,
             Contains(options.server) && Contains("hearth serve") && Contains("HEARTH_SERVER"));

  options.server = "ftp://x";
  TextOutput wrong;
  CHECK(run_invoke(options, wrong) == Exit::usage);
  CHECK_THAT(wrong.err_text, Contains("'ftp://x'"));

  UniqueFd silent(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(silent.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(silent.get(), 1) == 0);
  REQUIRE(::getsockname(silent.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  options.server = fmt::format("http://127.0.0.1:{}", ntohs(address.sin_port));
  options.wait = milliseconds(100);
  TextOutput late;
  CHECK(run_invoke(options, late) == Exit::timeout);
}

TEST_CASE("list is a table, follows markers, and is an array for scripts") {
  TestDaemon daemon([](const TestRequest& request) {
    if (request.target.find("Marker=a%2Fb") != std::string::npos)
      return TestResponse{200, R"({"Functions":[{"FunctionName":"two","Timeout":5}]})", ""};
    return TestResponse{
        200,
        R"({"NextMarker":"a/b","Functions":[{"FunctionName":"one","Runtime":"python3","Handler":"app.handler","MemorySize":128,)"
        R"("Timeout":2,"Hearth":{"TimeoutMs":1500},"RevisionId":"aaaaaaaaaaaaaaaa","LastModified":"2026-01-01"}]})",
        ""};
  });
  TextOutput output;
  CHECK(run_list(to<ListOptions>(daemon), output) == Exit::ok);
  CHECK(output.out_text ==
        "NAME  RUNTIME  HANDLER      TIMEOUT  MEMORY  REVISION      MODIFIED\n"
        "one   python3  app.handler  1500ms   128MB   aaaaaaaaaaaa  2026-01-01\n"
        "two                         5s       0MB                   \n");
  ListOptions options = to<ListOptions>(daemon);
  options.json = true;
  TextOutput as_json;
  CHECK(run_list(options, as_json) == Exit::ok);
  CHECK(json::parse(as_json.out_text).size() == 2);
}

TEST_CASE("delete asks nothing, and a function that is not there is exit 3") {
  int status = 204;
  TestDaemon daemon([&](const TestRequest&) {
    return TestResponse{status, status == 204 ? "" : "{}", ""};
  });
  DeleteOptions options = to<DeleteOptions>(daemon);
  options.name = "hello";
  TextOutput gone;
  CHECK(run_delete(options, gone) == Exit::ok);
  CHECK(gone.out_text == "hello  deleted\n");
  CHECK(lines_of(daemon).back() == fmt::format("DELETE {}", kHello));
  status = 404;
  TextOutput missing;
  CHECK(run_delete(options, missing) == Exit::refused);
  CHECK_THAT(missing.err_text, Contains("no function 'hello'") && Contains("hearth list"));
}

TEST_CASE("logs are printed by pages, with losses said and terminals protected") {
  TestDaemon daemon([](const TestRequest& request) {
    if (request.target.find("cursor=") != std::string::npos)
      return TestResponse{200, R"({"lines":[],"cursor":"c 1","lost":0})", ""};
    return TestResponse{
        200,
        R"({"lines":[{"time":"12:00:00.000","request_id":"0123456789abcdef","revision":"r","level":"info","text":"one\u001b[2J\ntwo\n"},)"
        R"({"time":"12:00:01.000","request_id":"","text":"boot"}],"cursor":"c 1","lost":3})",
        ""};
  });
  LogsOptions options = to<LogsOptions>(daemon);
  options.name = "hello";
  options.request_id = "a b";
  TextOutput piped;
  CHECK(run_logs(options, piped) == Exit::ok);
  CHECK_THAT(piped.out_text, Contains("3 lines were lost") &&
                                 Contains("12:00:00.000 01234567 one\x1b[2J\n    two\n") &&
                                 Contains("12:00:01.000          boot\n"));
  CHECK_THAT(daemon.requests()[0].target, Contains("request_id=a%20b"));
  CHECK_THAT(daemon.requests()[1].target, Contains("cursor=c%201"));
  TextOutput terminal;
  terminal.terminal = true;
  CHECK(run_logs(options, terminal) == Exit::ok);
  CHECK_THAT(terminal.out_text, !Contains("\x1b"));
  options.json = true;
  TextOutput as_json;
  CHECK(run_logs(options, as_json) == Exit::ok);
  CHECK_THAT(as_json.out_text,
             Contains("{\"lost\":3}\n") && Contains("\"request_id\":\"0123456789abcdef\""));
}

TEST_CASE("follow goes on until the daemon is gone") {
  int asked = 0;
  TestDaemon daemon([&](const TestRequest&) {
    if (++asked == 3) return error(503, "ServiceException", "shutting down");
    return TestResponse{
        200,
        fmt::format(R"({{"lines":[{{"time":"t","text":"line {}"}}],"cursor":"{}"}})", asked, asked),
        ""};
  });
  LogsOptions options = to<LogsOptions>(daemon);
  options.name = "hello";
  options.follow = true;
  TextOutput output;
  CHECK(run_logs(options, output) == Exit::busy);
  CHECK_THAT(output.out_text, Contains("line 1\n") && Contains("line 2\n"));
}

TEST_CASE("version needs no daemon, and shows one") {
  TestDaemon daemon([](const TestRequest&) {
    return TestResponse{200, R"({"version":"9.9"})", ""};
  });
  VersionOptions options = to<VersionOptions>(daemon);
  TextOutput output;
  CHECK(run_version(options, output) == Exit::ok);
  CHECK_THAT(output.out_text, Contains("hearth 0.") && Contains("9.9"));
  options.json = true;
  options.server = "http://127.0.0.1:1";
  TextOutput alone;
  CHECK(run_version(options, alone) == Exit::ok);
  CHECK(json::parse(alone.out_text)["server"].is_null());
}

TEST_CASE("doctor prints interpreters, layers and one verdict") {
  TestDaemon daemon([](const TestRequest&) {
    return TestResponse{200, R"({"mode":"user","layers":[{"name":"seccomp","on":true}]})", ""};
  });
  DoctorOptions options = to<DoctorOptions>(daemon);
  TextOutput output;
  const Exit exit = run_doctor(options, output);
  CHECK((exit == Exit::ok || exit == Exit::function_error));
  CHECK_THAT(output.out_text, Contains("interpreters\n") && Contains("python3") &&
                                  Contains("what this machine allows\n") && Contains("mode: user"));
  const std::string last =
      output.out_text.substr(output.out_text.rfind('\n', output.out_text.size() - 2) + 1);
  CHECK(last.starts_with(exit == Exit::ok ? "ready" : "not ready"));
  options.json = true;
  TextOutput as_json;
  CHECK(run_doctor(options, as_json) == exit);
  const json all = json::parse(as_json.out_text);
  CHECK(all["ready"] == (exit == Exit::ok));
  CHECK(all["daemon"]["mode"] == "user");
  CHECK(all["runtimes"].size() >= 4);
}

TEST_CASE("failures are told in three lines, with colour only where it is wanted") {
  TextOutput plain;
  CHECK(report(plain, {Exit::refused, "what\x1b", "why", "todo"}) == Exit::refused);
  CHECK_THAT(plain.err_text, Contains("hearth: what") && Contains("  why: why\n  try: todo\n") &&
                                 !Contains("\x1b"));
  TextOutput colour;
  colour.colour = true;
  report(colour, {Exit::refused, "what", "", ""});
  CHECK_THAT(colour.err_text, Contains("\x1b[1;31m") && !Contains("why"));
}

TEST_CASE("an answer that is no daemon's is told, not believed") {
  TestDaemon other([](const TestRequest&) { return TestResponse{200, "<html>hello</html>", ""}; });
  TextOutput list;
  CHECK(run_list(to<ListOptions>(other), list) == Exit::refused);
  CHECK_THAT(list.err_text, Contains(other.url() + " is no Hearth daemon") && Contains("--server"));
  LogsOptions logs = to<LogsOptions>(other);
  logs.name = "hello";
  TextOutput log;
  CHECK(run_logs(logs, log) == Exit::refused);
  FunctionFolder folder;
  folder.write("app.py");
  DeployOptions deploy = to<DeployOptions>(other);
  deploy.folders = {folder.path};
  TextOutput deployed;
  CHECK(run_deploy(deploy, deployed) == Exit::refused);
  CHECK_THAT(deployed.err_text, Contains("is no Hearth daemon"));
  CHECK(other.requests().back().method == "GET");

  TestDaemon stranger([](const TestRequest&) { return TestResponse{404, "<h1>Not Found", ""}; });
  TextOutput refused;
  CHECK(run_list(to<ListOptions>(stranger), refused) == Exit::refused);
  CHECK_THAT(refused.err_text, Contains("HTTP 404") && !Contains("<h1>"));
}

TEST_CASE("a name that is nearly a function's is told as it") {
  TestDaemon daemon([](const TestRequest& request) {
    if (request.target == "/2015-03-31/functions")
      return TestResponse{
          200, R"({"Functions":[{"FunctionName":"greeter"},{"FunctionName":"hello"}]})", ""};
    return error(404, "ResourceNotFoundException", "no");
  });
  for (const auto& [name, meant] : {std::pair("helo", true), std::pair("somebody", false)}) {
    InvokeOptions options = to<InvokeOptions>(daemon);
    options.name = name;
    TextOutput output;
    CHECK(run_invoke(options, output) == Exit::refused);
    CHECK((output.err_text.find("did you mean 'hello'?") != std::string::npos) == meant);
    CHECK_THAT(output.err_text, Contains("hearth list"));
  }
}
