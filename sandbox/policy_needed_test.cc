// Is a line of a policy really needed? Each line of the class `needed` names a check that has to
// fail without it; here the line is taken out of the spawner's own program, and the check is run.
// HEARTH_TEST_SCALE=1 tries every such line, otherwise a part of them that the seed chooses.
#include <stdlib.h>

#include <random>

#include "sandbox/policy.h"
#include "sandbox/runtime_checks.h"
#include "sandbox/test_rig.h"
#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

struct ClassifiedLine {
  PolicyLine line;
  std::string policy_class;  // what stands between the bars
};

std::string trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(' ');
  return first == text.npos
             ? ""
             : std::string(text.substr(first, text.find_last_not_of(' ') - first + 1));
}

std::vector<ClassifiedLine> lines_of(const char* policy) {
  std::vector<ClassifiedLine> lines;
  std::string_view text = policy_text(policy);
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    const size_t bar = line.find('|');
    if (line.empty() || line[0] == '#' || bar == line.npos) continue;
    lines.push_back({{policy, std::string(line)},
                     trimmed(line.substr(bar + 1, line.find('|', bar + 1) - bar - 1))});
  }
  return lines;
}

// What init is for: a worker's exit status comes out, and a daemon of it is reaped.
std::string init_check(const PolicyLine& without) {
  Rig rig(Mode::kUser);
  rig.without_line = {without.policy, without.text};
  rig.start();
  TestWorker worker = rig.spawn(0);
  if (worker.error != 0 || worker.line() != "HELLO") return "no hello";
  if (worker.attempt("daemon 0") != "0") return "no daemon";
  worker.send("exit 7");
  const ExitedMessage exited = rig.wait_exit();
  return WIFEXITED(exited.wait_status) && WEXITSTATUS(exited.wait_status) == 7 ? "0" : "no status";
}

using Results = std::map<std::string, std::string>;

// What comes of the checks without the line; empty `line.policy` = with all lines.
Results results_of(const std::string& runtime, const PolicyLine& line) {
  if (runtime == "init") return {{"exit", init_check(line)}};
  return run_checks(Mode::kUser, runtime, line);
}

const Results& results_with_all(const std::string& runtime) {
  static std::map<std::string, Results> known;
  Results& results = known[runtime];
  if (results.empty()) results = results_of(runtime, {});
  return results;
}

bool differs(const Results& expected, const Results& results, const std::string& check) {
  if (check == "start") return results.contains("start");
  const auto found = results.find(check);
  return found == results.end() || found->second != expected.at(check);
}

// Does the check "python3:files" fail without the line?
bool named_check_fails(const std::string& test, const PolicyLine& line) {
  const size_t colon = test.find(':');
  const std::string runtime = test.substr(0, colon), check = test.substr(colon + 1);
  const Results& expected = results_with_all(runtime);
  if (check != "start" && !expected.contains(check)) return false;
  return differs(expected, results_of(runtime, line), check);
}

}  // namespace

TEST_CASE("a check fails without each line that is called needed") {
  if (!mode_works_here(Mode::kUser)) {
    WARN("skipped: user mode is not available");
    return;
  }
  const char* text = getenv("HEARTH_TEST_SCALE");
  const double scale = text == nullptr ? 0.05 : atof(text);
  const unsigned seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  std::bernoulli_distribution chosen(scale < 1 ? scale : 1);
  size_t tried = 0, wrong = 0;
  for (const char* policy : {"base", "python3", "nodejs", "native", "init"}) {
    for (const ClassifiedLine& line : lines_of(policy)) {
      if (!line.policy_class.starts_with("needed ") || (tried > 0 && !chosen(random))) continue;
      const std::string test = line.policy_class.substr(7);
      const std::string runtime = test.substr(0, test.find(':'));
      if (runtime != "init" && interpreter(runtime == "nodejs" ? "node" : runtime).empty())
        continue;
      ++tried;
      if (named_check_fails(test, line.line)) continue;
      ++wrong;
      UNSCOPED_INFO(policy << ": its check passes without: " << line.line.text);
    }
  }
  CHECK(tried > 0);
  CHECK(wrong == 0);
}

}  // namespace hearth::sandbox
