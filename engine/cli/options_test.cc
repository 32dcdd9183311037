// The command line: every option reaches its field, every mistake is exit 2 and says what to do.
#include "cli/options.h"

#include <cstdlib>

#include "cli/test_daemon.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::cli;
using Catch::Matchers::Contains;

namespace {

template <class T>
T parsed(const std::vector<std::string>& arguments) {
  TextOutput output;
  const Command command = parse_command_line(arguments, output);
  INFO(output.err_text);
  REQUIRE(std::holds_alternative<T>(command));
  return std::get<T>(command);
}

// The exit code of a command line that is not carried out, and what was printed.
Exit done(const std::vector<std::string>& arguments, TextOutput& output) {
  const Command command = parse_command_line(arguments, output);
  REQUIRE(std::holds_alternative<Done>(command));
  return std::get<Done>(command).exit;
}

}  // namespace

TEST_CASE("every option reaches its field") {
  const auto serve =
      parsed<ServeOptions>({"serve", "--config", "h.yaml", "--state", "/s", "--listen",
                            "127.0.0.1:0", "--sandbox", "off", "--i-know-this-is-unsafe"});
  CHECK((serve.config == "h.yaml" && serve.state == "/s" && serve.listen == "127.0.0.1:0" &&
         serve.sandbox == "off"));
  CHECK(serve.know_this_is_unsafe);
  const auto deploy =
      parsed<DeployOptions>({"deploy", "a", "b", "--json", "--server", "http://127.0.0.1:9"});
  CHECK(deploy.folders == std::vector<std::string>{"a", "b"});
  CHECK((deploy.json && deploy.server == "http://127.0.0.1:9"));
  const auto invoke =
      parsed<InvokeOptions>({"invoke", "f", "--data", "@x", "--log-tail", "--wait", "5s"});
  CHECK(
      (invoke.name == "f" && invoke.data == "@x" && invoke.log_tail && invoke.wait == seconds(5)));
  CHECK(parsed<InvokeOptions>({"invoke", "f", "--data", "-"}).data == "-");
  CHECK(parsed<InvokeOptions>({"invoke", "f"}).data == "{}");
  CHECK(parsed<ListOptions>({"list", "--json"}).json);
  CHECK(parsed<DeleteOptions>({"delete", "f"}).name == "f");
  const auto logs = parsed<LogsOptions>({"logs", "f", "--follow", "--request", "abc"});
  CHECK((logs.name == "f" && logs.follow && logs.request_id == "abc"));
  CHECK(parsed<DoctorOptions>({"doctor", "--json"}).json);
  const auto fresh = parsed<NewOptions>({"new", "http-c", "d", "--json"});
  CHECK((fresh.name == "http-c" && fresh.folder == "d" && fresh.json && !fresh.list));
  CHECK(parsed<NewOptions>({"new", "--list"}).list);
  const auto event = parsed<EventOptions>({"event", "s3", "--bucket", "b", "--key", "k"});
  CHECK(event.name == "s3");
  CHECK(event.fields == std::map<std::string, std::string>{{"bucket", "b"}, {"key", "k"}});
  CHECK(parsed<EventOptions>({"event", "--list", "--json"}).list);
  CHECK(parsed<CompletionOptions>({"completion", "zsh"}).shell == "zsh");
  CHECK(parsed<CompletionOptions>({"completion", "--names", "functions"}).names == "functions");
  const auto dev = parsed<DevOptions>({"dev", "all", "--port", "0", "--debug", "9229", "--json"});
  CHECK((dev.folder == "all" && dev.port == 0 && dev.debug_port == 9229 && dev.json));
  CHECK(parsed<DevOptions>({"dev"}).folder == ".");
  const auto local = parsed<InvokeOptions>({"invoke", "--local", "d", "--event", "s3"});
  CHECK((local.local == "d" && local.event == "s3" && local.name.empty()));
  parsed<VersionOptions>({"version"});
  parsed<VersionOptions>({"--version"});
}

TEST_CASE("the server comes from the option, the environment, or the default") {
  ::unsetenv("HEARTH_SERVER");
  CHECK(parsed<ListOptions>({"list"}).server == kDefaultServer);
  ::setenv("HEARTH_SERVER", "http://127.0.0.1:1", 1);
  CHECK(parsed<ListOptions>({"list"}).server == "http://127.0.0.1:1");
  CHECK(parsed<ListOptions>({"list", "--server", "http://127.0.0.1:2"}).server ==
        "http://127.0.0.1:2");
  ::unsetenv("HEARTH_SERVER");
}

TEST_CASE("mistakes are usage errors that say what to do") {
  const struct {
    std::vector<std::string> arguments;
    const char* says;
  } cases[] = {{{}, "hearth help"},
               {{"depoly", "x"}, "hearth deploy"},
               {{"deploy"}, "hearth deploy"},
               {{"list", "--jsn"}, "--jsn"},
               {{"invoke"}, "hearth invoke --help"},
               {{"invoke", "a b"}, "'a b'"},
               {{"delete", "../x"}, "'../x'"},
               {{"invoke", "f", "--wait", "soon"}, "'soon'"},
               {{"serve", "--sandbox", "strickt"}, "'strict'"},
               {{"help", "lst"}, "hearth list"},
               {{"list", "--servr=x"}, "`--server`"},
               {{"invoke", "f", "g"}, "'g' is one argument too many"},
               {{"--jsn"}, "--jsn"},
               {{"new"}, "hearth new --list"},
               {{"new", "http-c"}, "no folder"},
               {{"event"}, "hearth event --list"},
               {{"completion"}, "bash, zsh or fish"},
               {{"dev", "--sandbox", "strickt"}, "strict"},
               {{"dev", "--port", "70000"}, "--port: '70000' is not a port: 0 to 65535"},
               {{"dev", "--port", ""}, "'' is not a port"},
               {{"dev", "--port", "-1"}, "'-1' is not a port"},
               {{"invoke", "--local", "d", "--event", ""}, "--event"},
               {{"invoke", "--local", "d", "--event", "s3", "--data", "{}"}, "one too many"},
               {{"invoke", "--local", "d", "--wait", "1s"}, "through a daemon"},
               {{"invoke", "--local", "d", "--log-tail"}, "through a daemon"},
               {{"dev", "--debug", "0"}, "--debug"},
               {{"invoke", "--local", "d", "f"}, "one too many"},
               {{"invoke", "f", "--env", "x"}, "--local"},
               {{"completion", "zsh", "--names", "functions"}, "one shell"}};
  for (const auto& c : cases) {
    TextOutput output;
    INFO(c.says);
    CHECK(done(c.arguments, output) == Exit::usage);
    CHECK_THAT(output.err_text, Contains(c.says));
    CHECK(output.out_text.empty());
  }
}

TEST_CASE("a developer's engine without a sandbox has to be asked for twice") {
  TextOutput output;
  CHECK(done({"dev", "--sandbox", "off"}, output) == Exit::usage);
  CHECK_THAT(output.err_text, Contains("--i-know-this-is-unsafe"));
  CHECK(done({"invoke", "--local", ".", "--sandbox", "off"}, output) == Exit::usage);
  CHECK(parsed<DevOptions>({"dev", "--sandbox", "off", "--i-know-this-is-unsafe"}).sandbox ==
        "off");
  CHECK(parsed<DevOptions>({"dev", "--sandbox", "degraded"}).sandbox == "degraded");
}

TEST_CASE("help is printed for all and for one, with exit codes") {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"help"}, {"--help"}}) {
    TextOutput output;
    CHECK(done(arguments, output) == Exit::ok);
    for (const char* word :
         {"serve", "deploy", "invoke", "list", "delete", "logs", "doctor", "version", "new",
          "event", "completion", "Exit codes", "HEARTH_SERVER"}) {
      CHECK_THAT(output.out_text, Contains(word));
    }
  }
  TextOutput of_help;
  CHECK(done({"help", "serve"}, of_help) == Exit::ok);
  TextOutput of_option;
  CHECK(done({"serve", "--help"}, of_option) == Exit::ok);
  CHECK_THAT(of_help.out_text,
             Contains("70") && Contains("78") && Contains("--i-know-this-is-unsafe"));
  CHECK(of_help.out_text == of_option.out_text);
}
