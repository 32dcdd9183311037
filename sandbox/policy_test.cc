// The policy parser takes what policy.h says, and refuses everything else with the line.
#include "sandbox/policy.h"

#include <errno.h>
#include <sys/syscall.h>

#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

std::string_view lookup(std::string_view name) {
  if (name == "small") return "read allow | compat | bytes in\n";
  if (name == "loop") return "include loop\n";
  if (name == "broken") return "read perhaps | compat | bytes in\n";
  return {};
}

// Empty = it was taken.
std::string problem(std::string_view text) {
  Policy policy;
  std::string error;
  return parse_policy(text, lookup, policy, error) ? "" : error;
}

}  // namespace

TEST_CASE("a policy is read with its defaults conditions and includes") {
  Policy policy;
  std::string error;
  const bool good = parse_policy(
      "# comment\n\n"
      "default errno ENOSYS\n"
      "include small\n"
      "socket errno EAFNOSUPPORT when arg0 == 40 and arg1 & 0xf != SOCK_STREAM | filtered | no\r\n"
      "socket allow when arg0 in AF_UNIX,AF_INET | filtered | yes\n"
      "reboot kill | refused | never\n"
      "brandnew=4000 allow | compat | by number",
      lookup, policy, error);
  CAPTURE(error);
  REQUIRE(good);
  CHECK(policy.default_action == Action{Action::Kind::kErrno, ENOSYS});
  CHECK(policy.calls.size() == 4);
  CHECK(policy.find(SYS_read)->rules[0].action.kind == Action::Kind::kAllow);
  CHECK(policy.find(SYS_reboot)->rules[0].action.kind == Action::Kind::kKill);
  CHECK(policy.find(4000)->name == "brandnew");
  const SyscallRules* socket = policy.find(SYS_socket);
  REQUIRE(socket != nullptr);
  REQUIRE(socket->rules.size() == 2);
  CHECK(socket->rules[0].action.error == EAFNOSUPPORT);
  REQUIRE(socket->rules[0].conditions.size() == 2);
  CHECK(socket->rules[0].conditions[1].mask == 0xf);
  CHECK(socket->rules[0].conditions[1].negated);
  CHECK(socket->rules[1].conditions[0].values == std::vector<uint32_t>{1, 2});
  CHECK(policy.find(SYS_write) == nullptr);
}

TEST_CASE("override replaces what an included policy said") {
  Policy policy;
  std::string error;
  CHECK(
      parse_policy("include small\noverride read errno EPERM when arg0 == 1 | compat | x\nread "
                   "allow | compat | x\n",
                   lookup, policy, error));
  CHECK(policy.find(SYS_read)->rules.size() == 2);
}

TEST_CASE("a line that is wrong is refused with its number") {
  CHECK(problem("read allow | compat | x\nread allow | compat | x\n")
            .starts_with("line 2: a line before this one decides already"));
  CHECK(problem("no_such_call allow | compat | x").starts_with("line 1: unknown system call"));
  CHECK(problem("read allow") != "");
  CHECK(problem("read allow | io") != "");
  CHECK(problem("read allow | compat | ") != "");
  CHECK(problem("read allow | io | x") != "");
  CHECK(problem("read allow | needed | x") != "");
  CHECK(problem("read allow | needed python3 | x") != "");
  CHECK(problem("read allow | needed :files | x") != "");
  CHECK(problem("read allow | needed python3:files more | x") != "");
  CHECK(problem("read allow | compat python3:files | x") != "");
  CHECK(problem("read allow | needed python3:files | x") == "");
  CHECK(problem("read maybe | compat | x") != "");
  CHECK(problem("read errno | compat | x") != "");
  CHECK(problem("read errno ENOSUCH | compat | x") != "");
  CHECK(problem("read allow if arg0 == 1 | compat | x") != "");
  CHECK(problem("read allow when | compat | x") != "");
  CHECK(problem("read allow when arg6 == 1 | compat | x") != "");
  CHECK(problem("read allow when arg0 | compat | x") != "");
  CHECK(problem("read allow when arg0 == | compat | x") != "");
  CHECK(problem("read allow when arg0 < 1 | compat | x") != "");
  CHECK(problem("read allow when arg0 == NO_SUCH | compat | x") != "");
  CHECK(problem("read allow when arg0 == 0x1ffffffff | compat | x") != "");
  CHECK(problem("read allow when arg0 == 1 and | compat | x") != "");
  CHECK(problem("read allow when arg0 == 1 or arg1 == 1 | compat | x") != "");
  CHECK(problem("read allow when arg0 in 1,,2 | compat | x") != "");
  CHECK(
      problem("read allow when arg0 == 1 and arg1 == 1 and arg2 == 1 and arg3 == 1 | compat | x") !=
      "");
  CHECK(problem("default allow\ndefault allow\n") != "");
  CHECK(problem("default allow now\n") != "");
  CHECK(problem("include nothing\n") != "");
  CHECK(problem("include small twice\n") != "");
  CHECK(problem("include broken\n") != "");
  CHECK(problem("include loop\n") != "");
  CHECK(problem("x=9999 allow | compat | x") != "");
  CHECK(problem("=1 allow | compat | x") != "");
}

TEST_CASE("a condition holds at most its number of values") {
  std::string line = "read allow when arg0 in 0";
  for (size_t i = 1; i < kPolicyValuesMax; ++i) line += "," + std::to_string(i);
  CHECK(problem(line + " | compat | x") == "");
  CHECK(problem(line + ",64 | compat | x") != "");
}

TEST_CASE("every embedded policy is valid") {
  for (const char* name : {"python3", "nodejs", "native", "custom", "init"}) {
    Policy policy;
    std::string error;
    CAPTURE(name);
    CHECK(parse_policy(policy_text(name), policy_text, policy, error));
    CHECK(error == "");
    CHECK(policy.has_default);
    if (std::string_view(name) != "init")
      CHECK(parse_policy(policy_text("degraded"), policy_text, policy, error));
  }
  CHECK(policy_text("java").empty());
}

}  // namespace hearth::sandbox
