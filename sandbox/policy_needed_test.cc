// Every line of a policy that says `needed` is needed: without it the check that its reason names
// fails, in the real interpreter under the real filter; and without a `compat` line none does.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "sandbox/filter.h"
#include "sandbox/policy.h"
#include "sandbox/sys.h"
#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

constexpr int kSilenceMs = 8'000;  // a check that says nothing for so long hangs

struct Checked {
  const char* runtime;
  const char* program;
  const char* option;
  const char* script;
};
constexpr Checked kChecked[] = {
    {"python3", "/usr/bin/python3", "-I", "check.py"},
    {"nodejs", "/usr/bin/node", "--max-old-space-size=128", "check.cjs"}};

// The policies with one line left out.
struct Without {
  std::string policy;
  std::string text;
};
Without g_without;

std::string_view lookup(std::string_view name) {
  return name == g_without.policy ? std::string_view(g_without.text) : policy_text(name);
}

std::vector<sock_filter> filter_without(const char* runtime, const std::string& policy,
                                        const std::string& line) {
  g_without = {policy, std::string(policy_text(policy))};
  if (!line.empty()) g_without.text.erase(g_without.text.find(line), line.size());
  Policy parsed;
  std::string error;
  REQUIRE(parse_policy(lookup(runtime), lookup, parsed, error));
  return compile_filter(parsed);
}

[[noreturn]] void run_script(const Checked& checked, const sock_fprog& program, int channel) {
  const std::string script = std::string(HEARTH_TESTCASES) + "/" + checked.script;
  const char* argv[] = {checked.program, checked.option, script.c_str(), nullptr};
  const char* envp[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/tmp", "TMPDIR=/tmp", nullptr};
  const int null = open("/dev/null", O_RDWR);
  if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 || dup2(channel, 3) < 0 ||
      sys::close_range_from(4, ~0u) != 0 || chdir("/tmp") != 0 || setsid() < 0 ||
      prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      syscall(SYS_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, 0, &program) != 0)
    _exit(125);
  execve(checked.program, const_cast<char* const*>(argv), const_cast<char* const*>(envp));
  _exit(126);
}

// Results by check; "END" is there when it came to its end.
std::map<std::string, std::string> run(const Checked& checked,
                                       const std::vector<sock_filter>& filter) {
  const sock_fprog program{static_cast<unsigned short>(filter.size()),
                           const_cast<sock_filter*>(filter.data())};
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  UniqueFd here(ends[0]), there(ends[1]);
  const pid_t pid = fork();
  if (pid == 0) run_script(checked, program, there.get());
  REQUIRE(pid > 0);
  there.reset();
  std::map<std::string, std::string> results;
  std::string text;
  char buffer[4096];
  pollfd wait{here.get(), POLLIN, 0};
  while (!results.contains("END") && poll(&wait, 1, kSilenceMs) == 1) {
    const ssize_t n = read(here.get(), buffer, sizeof buffer);
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
    for (size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
      const std::string line = text.substr(0, end);
      const size_t equals = line.find('=');
      results[line.substr(0, equals)] = equals == std::string::npos ? "0" : line.substr(equals + 1);
    }
  }
  kill(-pid, SIGKILL);
  kill(pid, SIGKILL);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) continue;
  return results;
}

// The first check that works with the whole policy and not without the line; "" = none.
std::string breaks(const Checked& checked, const std::map<std::string, std::string>& whole,
                   const std::string& policy, const std::string& line) {
  const auto results = run(checked, filter_without(checked.runtime, policy, line));
  if (!results.contains("HELLO")) return "start";
  for (const auto& [name, result] : whole) {
    if (result != "0" || name == "END") continue;
    const auto found = results.find(name);
    if (found == results.end() || found->second != "0") return name;
  }
  return "";
}

std::vector<std::string> lines_of(const std::string& policy) {
  std::vector<std::string> lines;
  std::string_view text = policy_text(policy);
  while (!text.empty()) {
    const size_t end = text.find('\n') + 1;
    const std::string line(text.substr(0, end));
    text.remove_prefix(end == 0 ? text.size() : end);
    if (line.find('|') != std::string::npos && line[0] != '#') lines.push_back(line);
  }
  return lines;
}

bool unconditional_allow(const std::string& line) {
  const std::string rule = line.substr(0, line.find('|'));
  return rule.find(" allow ") != std::string::npos && rule.find(" when ") == std::string::npos &&
         !rule.starts_with("override");
}

}  // namespace

TEST_CASE("each line of a policy has a class that fits what it does") {
  std::map<std::string, int> count;
  for (const char* policy : {"base", "degraded", "init", "native", "nodejs", "python3"}) {
    for (const std::string& line : lines_of(policy)) {
      CAPTURE(policy, line);
      const size_t first = line.find('|'), second = line.find('|', first + 1);
      REQUIRE(second != std::string::npos);
      const std::string rule = line.substr(0, first);
      std::string kind = line.substr(first + 1, second - first - 1);
      kind.erase(0, kind.find_first_not_of(' '));
      kind.erase(kind.find_last_not_of(' ') + 1);
      const bool condition = rule.find(" when ") != std::string::npos;
      const bool allow = rule.find(" allow") != std::string::npos;
      if (condition)
        CHECK(kind == "filtered");
      else if (allow)
        CHECK((kind == "needed" || kind == "compat"));
      else
        CHECK(kind == "refused");
      ++count[kind];
    }
  }
  CHECK(count["needed"] >= 40);
  CHECK(count.size() == 4);
}

// All lines with HEARTH_TEST_SCALE=1; else a twentieth of them, chosen by HEARTH_TEST_SEED.
TEST_CASE("without a needed line the check that it names fails") {
  const char* scale = getenv("HEARTH_TEST_SCALE");
  const char* seed = getenv("HEARTH_TEST_SEED");
  const bool all = scale != nullptr && atof(scale) >= 1;
  const unsigned start = seed == nullptr ? 1 : static_cast<unsigned>(atoi(seed));
  CAPTURE(start);
  std::minstd_rand random(start);
  for (const Checked& checked : kChecked) {
    if (access(checked.program, X_OK) != 0) {
      WARN("skipped: there is no " << checked.program);
      continue;
    }
    const std::string mark = std::string("(") + checked.runtime + ": ";
    std::map<std::string, std::string> whole;
    for (const char* policy : {"base", checked.runtime}) {
      for (const std::string& line : lines_of(policy)) {
        const size_t at = line.rfind(mark);
        if (at == std::string::npos || (!all && random() % 20 != 0)) continue;
        const std::string name = line.substr(at + mark.size(), line.rfind(')') - at - mark.size());
        if (whole.empty()) whole = run(checked, filter_without(checked.runtime, "base", ""));
        CAPTURE(line);
        REQUIRE(unconditional_allow(line));
        // The control: with the line it works.
        const std::string shown = name == "start" ? "HELLO" : name;
        REQUIRE(whole.contains(shown));
        CHECK(whole.at(shown) == "0");
        CHECK(breaks(checked, {{shown, "0"}}, policy, line) == name);
      }
    }
  }
}

// The other way round, so that what is needed can't stand there as merely harmless.
TEST_CASE("without a compat line every check goes on working") {
  const char* scale = getenv("HEARTH_TEST_SCALE");
  const char* seed = getenv("HEARTH_TEST_SEED");
  const bool all = scale != nullptr && atof(scale) >= 1;
  const unsigned start = seed == nullptr ? 1 : static_cast<unsigned>(atoi(seed));
  CAPTURE(start);
  std::minstd_rand random(start);
  for (const Checked& checked : kChecked) {
    if (access(checked.program, X_OK) != 0) {
      WARN("skipped: there is no " << checked.program);
      continue;
    }
    const auto whole = run(checked, filter_without(checked.runtime, "base", ""));
    for (const char* policy : {"base", checked.runtime}) {
      for (const std::string& line : lines_of(policy)) {
        // A thread that can't end crashes or hangs the process or not, as its race goes.
        if (line.starts_with("exit ")) continue;
        if (line.find("| compat ") == std::string::npos || (!all && random() % 20 != 0)) continue;
        CAPTURE(line);
        REQUIRE(unconditional_allow(line));
        CHECK(breaks(checked, whole, policy, line) == "");
      }
    }
  }
}

}  // namespace hearth::sandbox
