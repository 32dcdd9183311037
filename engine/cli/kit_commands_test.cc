// hearth event, new, completion, and the manual page: what they print and what they refuse.
#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/base64.h"
#include "cli/command_table.h"
#include "cli/commands.h"
#include "cli/json_problem.h"
#include "cli/test_daemon.h"
#include "config/manifest.h"
#include "kit/kit.h"
#include "tests/catch.h"
#include "tests/test_folder.h"

using namespace hearth;
using namespace hearth::cli;
using Catch::Matchers::Contains;
using hearth_test::FunctionFolder;
using nlohmann::json;

namespace {

json event(const std::string& name, std::map<std::string, std::string> fields = {}) {
  EventOptions options;
  options.name = name;
  options.fields = std::move(fields);
  TextOutput output;
  const Exit exit = run_event(options, output);
  INFO(output.err_text);
  REQUIRE(exit == Exit::ok);
  return json::parse(output.out_text);
}

std::string refused_event(const std::string& name, std::map<std::string, std::string> fields) {
  EventOptions options;
  options.name = name;
  options.fields = std::move(fields);
  TextOutput output;
  CHECK(run_event(options, output) == Exit::usage);
  CHECK(output.out_text.empty());
  return output.err_text;
}

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Exit make(const std::string& name, const std::string& folder, TextOutput& output,
          bool as_json = false) {
  NewOptions options;
  options.name = name;
  options.folder = folder;
  options.json = as_json;
  return run_new(options, output);
}

std::string refused_new(const std::string& name, const std::string& folder) {
  TextOutput output;
  CHECK(make(name, folder, output) == Exit::usage);
  CHECK(output.out_text.empty());
  return output.err_text;
}

}  // namespace

TEST_CASE("an event without options is its file") {
  for (const kit::SampleEvent& sample : kit::sample_events()) {
    EventOptions options;
    options.name = sample.name;
    TextOutput output;
    CHECK(run_event(options, output) == Exit::ok);
    CHECK(output.out_text == sample.json);
  }
}

TEST_CASE("events are listed for people and for scripts, and a wrong name has a nearest one") {
  EventOptions options;
  options.list = true;
  TextOutput text;
  CHECK(run_event(options, text) == Exit::ok);
  CHECK_THAT(text.out_text, Contains("kafka") && Contains("--topic --key --message"));
  options.json = true;
  TextOutput as_json;
  CHECK(run_event(options, as_json) == Exit::ok);
  CHECK(json::parse(as_json.out_text).size() == kit::sample_events().size());
  CHECK_THAT(refused_event("kafak", {}), Contains("'kafak'") && Contains("hearth event kafka"));
}

TEST_CASE("the http events carry method, path, query and body where each shape has them") {
  const std::map<std::string, std::string> fields = {{"method", "put"},
                                                     {"path", "/a%20b/c"},
                                                     {"query", "x=1&y=two%20words&x=3&empty"},
                                                     {"body", "{\"n\":1}"}};
  const json v2 = event("api-gateway-v2", fields);
  CHECK(v2["requestContext"]["http"]["method"] == "PUT");
  CHECK((v2["rawPath"] == "/a%20b/c" && v2["requestContext"]["http"]["path"] == "/a%20b/c"));
  CHECK(v2["rawQueryString"] == fields.at("query"));
  CHECK(v2["queryStringParameters"] == json{{"x", "1,3"}, {"y", "two words"}, {"empty", ""}});
  CHECK((v2["body"] == "{\"n\":1}" && v2["isBase64Encoded"] == false));
  CHECK(v2["headers"]["content-length"] == "7");
  CHECK(v2["headers"]["content-type"] == "application/json");

  const json v1 = event("api-gateway-v1", fields);
  CHECK((v1["httpMethod"] == "PUT" && v1["requestContext"]["httpMethod"] == "PUT"));
  CHECK((v1["path"] == "/a%20b/c" && v1["requestContext"]["path"] == "/prod/a%20b/c"));
  CHECK(v1["pathParameters"]["proxy"] == "a%20b/c");
  CHECK(v1["queryStringParameters"] == json{{"x", "3"}, {"y", "two words"}, {"empty", ""}});
  CHECK(v1["multiValueQueryStringParameters"]["x"] == json{"1", "3"});
  CHECK(v1["multiValueHeaders"]["Content-Length"] == json{"7"});
  CHECK(v1["body"] == "{\"n\":1}");
}

TEST_CASE("the http events without a query, at the root, and with a binary body") {
  const std::map<std::string, std::string> fields = {
      {"path", "/"}, {"query", ""}, {"body", "\xff\x01"}};
  const json v2 = event("api-gateway-v2", fields);
  CHECK(!v2.contains("queryStringParameters"));
  CHECK(v2["requestContext"]["http"]["method"] == "POST");
  CHECK((v2["body"] == "/wE=" && v2["isBase64Encoded"] == true));
  CHECK(v2["headers"]["content-type"] == "application/octet-stream");
  const json v1 = event("api-gateway-v1", fields);
  CHECK((v1["queryStringParameters"].is_null() && v1["multiValueQueryStringParameters"].is_null()));
  CHECK((v1["resource"] == "/" && v1["pathParameters"].is_null()));
  CHECK(!event("api-gateway-v2", {{"body", ""}}).contains("body"));
  CHECK(event("api-gateway-v1", {{"body", ""}})["body"].is_null());
}

TEST_CASE("kafka, s3, sqs and cloudevent carry what was chosen, encoded as their service does") {
  const json kafka = event("kafka", {{"topic", "t"}, {"key", "k"}, {"message", "\xff"}});
  REQUIRE(kafka["records"].size() == 1);
  const json record = kafka["records"]["t-0"][0];
  CHECK((record["topic"] == "t" && record["key"] == "aw==" && record["value"] == "/w=="));
  for (const json& byte : record["headers"][0].front())
    CHECK((byte.is_number_integer() && byte >= -128 && byte <= 127));

  const json s3 = event("s3", {{"bucket", "b"}, {"key", "a b/\xc3\xa9+.txt"}})["Records"][0]["s3"];
  CHECK((s3["bucket"]["name"] == "b" && s3["bucket"]["arn"] == "arn:aws:s3:::b"));
  CHECK(s3["object"]["key"] == "a+b/%C3%A9%2B.txt");

  const json sqs = event("sqs", {{"message", "hi"}})["Records"][0];
  CHECK((sqs["body"] == "hi" && sqs["md5OfBody"] == "49f68a5c8493ec2c0bf489821c21fc3b"));

  const json cloud = event("cloudevent", {{"type", "x.y"}, {"data", "[1]"}});
  CHECK((cloud["type"] == "x.y" && cloud["data"] == json{1} && cloud["specversion"] == "1.0"));
}

TEST_CASE("the sample events agree with themselves") {
  const json sqs = event("sqs")["Records"][0];
  CHECK(event("sqs", {{"message", sqs["body"]}})["Records"][0] == sqs);
  const json kafka = event("kafka");
  CHECK(event("kafka", {{"topic", "orders"}}) == kafka);
  const json v2 = event("api-gateway-v2");
  CHECK(event("api-gateway-v2", {{"query", v2["rawQueryString"]}, {"path", v2["rawPath"]}}) == v2);
  const json v1 = event("api-gateway-v1");
  CHECK(event("api-gateway-v1", {{"query", "name=world"}, {"path", "/greet"}}) == v1);
}

TEST_CASE("a value may come from a file") {
  FunctionFolder folder;
  folder.write("order.json", "{\"a\":1}");
  CHECK(event("cloudevent", {{"data", "@" + folder.path + "/order.json"}})["data"] ==
        json{{"a", 1}});
  // A bucket's name is no text to be read from somewhere.
  CHECK(event("s3", {{"bucket", "@x"}})["Records"][0]["s3"]["bucket"]["name"] == "@x");
  CHECK_THAT(refused_event("cloudevent", {{"data", "@" + folder.path + "/gone"}}),
             Contains("--data") && Contains("gone"));
}

TEST_CASE("values that can't be are refused with what is allowed") {
  const struct {
    const char* name;
    std::map<std::string, std::string> fields;
    const char* says;
  } cases[] = {{"s3", {{"topic", "x"}}, "the event s3 has no --topic: it has --bucket, --key"},
               {"scheduled", {{"key", "x"}}, "it has none"},
               {"api-gateway-v2", {{"path", "x"}}, "starts with '/'"},
               {"api-gateway-v2", {{"path", "/a?b"}}, "--query"},
               {"api-gateway-v1", {{"query", "a b"}}, "two%20words"},
               {"api-gateway-v1", {{"method", "GET /"}}, "such as GET or POST"},
               {"kafka", {{"topic", ""}}, "a topic has a name"},
               {"s3", {{"bucket", "\xff"}}, "a bucket has a name"},
               {"s3", {{"key", ""}}, "an object has a key"},
               {"sqs", {{"message", "\xff"}}, "UTF-8"},
               {"cloudevent", {{"type", ""}}, "has a type"},
               {"cloudevent", {{"data", "{x}"}}, "line 1, column 2"}};
  for (const auto& c : cases) {
    INFO(c.says);
    CHECK_THAT(refused_event(c.name, c.fields), Contains(c.says));
  }
}

TEST_CASE("new makes a folder that can be deployed, of every template") {
  FunctionFolder place;
  for (const kit::Template& t : kit::templates()) {
    const std::string folder = fmt::format("{}/in/my_{}", place.root, t.name);
    TextOutput output;
    INFO(t.name);
    REQUIRE(make(std::string(t.name), folder + "/", output) == Exit::ok);
    CHECK_THAT(output.out_text, Contains("next:\n") && Contains("hearth dev " + folder) &&
                                    Contains("hearth deploy " + folder) &&
                                    Contains(std::string(t.test)));
    CHECK_THAT(output.out_text, Contains(t.http ? "curl '" : "hearth invoke my_"));
    for (const kit::TemplateFile& file : t.files) {
      const std::string text = read_all(fmt::format("{}/{}", folder, file.path));
      if (file.path != "README.md" && file.path != "function.yaml") CHECK(text == file.bytes);
    }
    CHECK_THAT(read_all(folder + "/README.md"), Contains("# my_" + std::string(t.name)));
    if (t.built) {
      std::ofstream(folder + "/app") << "x";
      ::chmod((folder + "/app").c_str(), 0755);
    }
    const auto spec = load_function(folder);
    REQUIRE(spec);
    CHECK(spec->name == fmt::format("my_{}", t.name));
    CHECK(runtime_name(spec->runtime) == t.runtime);
  }
}

TEST_CASE("new takes an empty folder, and says what it did for scripts") {
  FunctionFolder place;
  TextOutput output;
  REQUIRE(make("http-node", place.path, output, true) == Exit::ok);
  const json made = json::parse(output.out_text);
  CHECK(
      (made["name"] == "hello" && made["template"] == "http-node" && made["folder"] == place.path));
  CHECK(made["files"].size() == kit::find_template("http-node")->files.size());
  CHECK(made["next"].size() == 3);
}

TEST_CASE("new quotes what a shell would take apart") {
  FunctionFolder place;
  TextOutput output;
  REQUIRE(make("event-c", place.root + "/it's here/fn", output) == Exit::ok);
  CHECK_THAT(output.out_text, Contains("make -C '" + place.root + "/it'\\''s here/fn'"));
}

TEST_CASE("new refuses what it can't do and leaves nothing behind") {
  FunctionFolder place;
  place.write("kept", "mine");
  CHECK_THAT(refused_new("http-pyton", place.root + "/x"), Contains("`http-python`"));
  CHECK_THAT(refused_new("http-c", place.path), Contains("none is ever overwritten"));
  CHECK(read_all(place.path + "/kept") == "mine");
  CHECK_THAT(refused_new("http-c", place.path + "/kept"), Contains("is not a folder"));
  CHECK_THAT(refused_new("http-c", place.root + "/my.fn/"),
             Contains("1 to 64 letters, digits, '-' and '_'") &&
                 Contains("hearth new http-c " + place.root + "/my-fn"));
  CHECK_THAT(refused_new("http-c", place.root + "/" + std::string(65, 'a')), Contains("1 to 64"));
  CHECK_THAT(refused_new("http-c", place.path + "/kept/below/fn"), Contains("Not a directory"));
  CHECK(!std::filesystem::exists(place.root + "/x"));
  CHECK(!std::filesystem::exists(place.root + "/my.fn"));
  // A file that can't be written in the middle: what was made before is taken back.
  CHECK_THAT(refused_new("http-c", "/proc/self/fdinfo/x/fn"), Contains("/proc/self/fdinfo/x"));
}

TEST_CASE("templates are listed for people and for scripts") {
  NewOptions options;
  options.list = true;
  TextOutput text;
  CHECK(run_new(options, text) == Exit::ok);
  CHECK(std::count(text.out_text.begin(), text.out_text.end(), '\n') ==
        static_cast<long>(kit::templates().size()) + 1);
  options.json = true;
  TextOutput as_json;
  CHECK(run_new(options, as_json) == Exit::ok);
  CHECK(json::parse(as_json.out_text)[0]["name"] == "http-python");
}

TEST_CASE("completions know every command, option, template and event") {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    INFO(shell);
    CompletionOptions options;
    options.shell = shell;
    TextOutput output;
    REQUIRE(run_completion(options, output) == Exit::ok);
    for (const CommandInfo& command : command_table()) {
      CHECK_THAT(output.out_text, Contains(command.name));
      for (const OptionInfo& option : command.options)
        CHECK_THAT(
            output.out_text,
            Contains(shell == std::string("fish") ? "-l " + option.name.substr(2) : option.name));
    }
    for (const char* kind : kKindsOfWords) {
      CHECK(!words_for(kind).empty());
      for (const std::string& word : words_for(kind)) CHECK_THAT(output.out_text, Contains(word));
    }
  }
  CompletionOptions wrong;
  wrong.shell = "fiish";
  TextOutput output;
  CHECK(run_completion(wrong, output) == Exit::usage);
  CHECK_THAT(output.err_text, Contains("hearth completion fish"));
}

TEST_CASE("function names for completions come from the daemon, quietly") {
  CompletionOptions options;
  options.names = "functions";
  {
    TestDaemon daemon([](const TestRequest& request) {
      const bool first = request.target.find("Marker=m") == std::string::npos;
      const json page =
          first ? json{{"NextMarker", "m"}, {"Functions", {{{"FunctionName", "one"}}}}}
                : json{{"Functions", {{{"FunctionName", "two"}}, {{"FunctionName", "$(x)"}}}}};
      return TestResponse{200, page.dump(), ""};
    });
    options.server = daemon.url();
    TextOutput output;
    CHECK(run_completion(options, output) == Exit::ok);
    CHECK(output.out_text == "one\ntwo\n");
  }
  for (const std::string& server : {options.server, std::string("nonsense")}) {
    options.server = server;
    TextOutput output;
    CHECK(run_completion(options, output) == Exit::ok);
    CHECK((output.out_text.empty() && output.err_text.empty()));
  }
  TestDaemon other([](const TestRequest&) { return TestResponse{200, "<html>", ""}; });
  options.server = other.url();
  TextOutput output;
  CHECK(run_completion(options, output) == Exit::ok);
  CHECK((output.out_text.empty() && output.err_text.empty()));
  options.names = "fruit";
  CHECK(run_completion(options, output) == Exit::usage);
}

TEST_CASE("the manual page has every command and option of the help") {
  TextOutput output;
  CHECK(run({"help", "--man"}, output) == 0);
  const std::string& page = output.out_text;
  CHECK(page.starts_with(".TH HEARTH 1 "));
  std::set<std::string> commands;
  for (const CommandInfo& command : command_table()) {
    commands.insert(command.name);
    CHECK_THAT(page, Contains(".SS hearth " + command.name + "\n"));
    for (const OptionInfo& option : command.options) {
      std::string name;
      for (const char c : option.name) name += c == '-' ? "\\-" : std::string(1, c);
      CHECK_THAT(page, Contains("\\fB" + name + "\\fR"));
    }
    // The table is that of --help: each option of the one stands in the other.
    TextOutput help;
    CHECK(run({command.name, "--help"}, help) == 0);
    for (const OptionInfo& option : command.options)
      CHECK_THAT(help.out_text, Contains(option.name));
  }
  CHECK(commands.count("serve") == 1);
  TextOutput all;
  CHECK(run({"--help"}, all) == 0);
  for (const std::string& command : commands) CHECK_THAT(all.out_text, Contains("\n  " + command));
}

TEST_CASE("why a text is not json is told with the place") {
  CHECK(json_problem("{\"a\": [1, null, \"x\", 2.5, true, -1]}").empty());
  CHECK_THAT(json_problem("{\"a\":\n nope}"), Contains("line 2, column 3"));
  CHECK_THAT(json_problem(""), Contains("line 1, column 1"));
  CHECK(!json_problem("[1").empty());
  CHECK(!json_problem("\"\xff\"").empty());
  CHECK(json_problem(std::string(100'000, '[') + std::string(100'000, ']')).empty());
}
