// Options over hearth.yaml over defaults.
#include "cli/serve_config.h"

#include <cstdlib>

#include "cli/test_daemon.h"
#include "config/read_file.h"
#include "tests/catch.h"
#include "tests/test_folder.h"

using namespace hearth;
using namespace hearth::cli;
using Catch::Matchers::Contains;
using hearth_test::FunctionFolder;

TEST_CASE("options win over the file, the file over the defaults") {
  FunctionFolder folder;
  folder.write("hearth.yaml",
               "listen: 127.0.0.1:1\nstate_dir: /from/file\nsandbox: {mode: user}\n");
  ServeOptions options;
  options.config = folder.path + "/hearth.yaml";
  auto config = serve_config(options, true);
  REQUIRE(config);
  CHECK((config->listen == "127.0.0.1:1" && config->state_dir == "/from/file" &&
         config->sandbox.mode == SandboxMode::user));
  options.listen = "[::1]:0";
  options.state = "/from/option";
  options.sandbox = "strict";
  config = serve_config(options, true);
  REQUIRE(config);
  CHECK((config->listen == "[::1]:0" && config->state_dir == "/from/option" &&
         config->sandbox.mode == SandboxMode::strict));
  options.state = "relative";
  CHECK(serve_config(options, true)->state_dir.ends_with("/relative"));
  CHECK(serve_config(options, true)->state_dir.starts_with("/"));
}

TEST_CASE("what weakens or exposes the daemon is refused at once") {
  ServeOptions options;
  options.state = "/s";
  options.sandbox = "off";
  CHECK_THAT(serve_config(options, false).error().detail, Contains("--i-know-this-is-unsafe"));
  options.know_this_is_unsafe = true;
  CHECK(serve_config(options, false));
  options.listen = "0.0.0.0:4327";
  CHECK(serve_config(options, false).error().code == Code::listen_not_allowed);
  options.listen = "nonsense";
  CHECK_THAT(serve_config(options, false).error().detail, Contains("'nonsense'"));
  options.listen.clear();
  options.config = "/nonexistent/hearth.yaml";
  CHECK(serve_config(options, false).error().code == Code::config_invalid);
}

TEST_CASE("the default state folder depends on who asks") {
  CHECK(*default_state_dir(true) == "/var/lib/hearth");
  ::setenv("XDG_STATE_HOME", "/xdg", 1);
  CHECK(*default_state_dir(false) == "/xdg/hearth");
  ::unsetenv("XDG_STATE_HOME");
  ::setenv("HOME", "/users/someone", 1);
  CHECK(*default_state_dir(false) == "/users/someone/.local/state/hearth");
  ::unsetenv("HOME");
  CHECK_THAT(default_state_dir(false).error().detail, Contains("--state"));
}

TEST_CASE("the listen file is replaced whole") {
  FunctionFolder folder;
  REQUIRE(write_listen_file(folder.path, "127.0.0.1:1"));
  REQUIRE(write_listen_file(folder.path, "127.0.0.1:22"));
  CHECK(*read_file(listen_file(folder.path), 100, Code::io_failed) == "127.0.0.1:22\n");
  CHECK(write_listen_file(folder.path + "/gone", "x").error().code == Code::state_unusable);
}
