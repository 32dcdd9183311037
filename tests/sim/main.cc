// hearth_sim: runs the core against fake processes, seed by seed, each in a process of its own: an
// assertion ends that one only.
#include <fmt/core.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <random>
#include <string>

#include "tests/sim/simulator.h"

namespace {

using hearth::sim::RunOptions;
using hearth::sim::RunResult;

struct Options {
  uint32_t seeds = 200;
  uint32_t steps = 10'000;
  std::optional<uint64_t> seed;
  std::optional<double> scale;
  std::string fault;
  bool expect_violation = false;
  bool verbose = false;
};

// True: the run kept every rule. Its totals are added up in `sum`.
bool run_in_child(const RunOptions& options, RunResult& sum) {
  int fds[2];
  if (pipe(fds) != 0) std::abort();
  std::fflush(stdout);
  const pid_t child = fork();
  if (child < 0) std::abort();
  if (child == 0) {
    close(fds[0]);
    const RunResult result = hearth::sim::Simulator(options).run();
    const bool written = write(fds[1], &result, sizeof result) == sizeof result;
    std::fflush(stdout);
    _exit(written ? 0 : 1);
  }
  close(fds[1]);
  RunResult result;
  const bool whole = read(fds[0], &result, sizeof result) == sizeof result;
  close(fds[0]);
  int status = 0;
  if (waitpid(child, &status, 0) != child) std::abort();
  if (!whole || status != 0) return false;
  sum.submitted += result.submitted;
  sum.refused += result.refused;
  sum.replies += result.replies;
  sum.errors += result.errors;
  sum.abandoned += result.abandoned;
  sum.workers += result.workers;
  sum.simulated_seconds += result.simulated_seconds;
  return true;
}

// 0: every rule was kept. 1: one was broken; how to replay that is printed.
int run_seeds(const Options& options) {
  const auto began = std::chrono::steady_clock::now();
  RunOptions run;
  run.steps = options.steps;
  run.forget_calls_of_lost_worker = options.fault == "forget-calls-of-lost-worker";
  uint64_t fresh = std::random_device()() + (uint64_t{1} << 32);
  const uint32_t fixed = options.seed ? 0 : options.seeds;
  if (options.seed) fresh = *options.seed;
  fmt::print("{} fixed seeds and seed {}, {} steps each\n", fixed, fresh, options.steps);
  RunResult sum;
  for (uint32_t i = 1; i <= fixed + 1; ++i) {
    run.seed = i <= fixed ? i : fresh;
    if (options.verbose) fmt::print("seed {}\n", run.seed);
    if (run_in_child(run, sum)) continue;
    fmt::print("seed {} broke a rule. To replay it:\n  hearth_sim --seed {} --steps {}{}{}\n",
               run.seed, run.seed, run.steps, options.fault.empty() ? "" : " --fault ",
               options.fault);
    return 1;
  }
  const double took =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  fmt::print(
      "{} calls submitted ({} more refused): {} answered, {} ended with an error, {} abandoned; {} "
      "workers; {:.0f} s simulated in {:.1f} s\n",
      sum.submitted, sum.refused, sum.replies, sum.errors, sum.abandoned, sum.workers,
      sum.simulated_seconds, took);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Runs Hearth's core in a seeded simulator and checks its rules after every step");
  app.add_option("--seeds", options.seeds,
                 "how many fixed seeds, 1 to N; one fresh seed comes on top");
  app.add_option("--steps", options.steps, "steps a seed");
  app.add_option("--seed", options.seed, "run only this seed");
  app.add_option("--scale", options.scale, "multiplies --seeds (or HEARTH_TEST_SCALE)");
  app.add_option("--fault", options.fault, "break the core on purpose")
      ->check(CLI::IsMember({"forget-calls-of-lost-worker"}));
  app.add_flag("--expect-violation", options.expect_violation,
               "succeed only if a rule is seen to be broken");
  app.add_flag("--verbose", options.verbose, "print each seed before it runs");
  CLI11_PARSE(app, argc, argv);
  const char* scale = std::getenv("HEARTH_TEST_SCALE");
  if (!options.scale && scale != nullptr) options.scale = std::strtod(scale, nullptr);
  if (options.scale)
    options.seeds =
        std::max(1u, static_cast<uint32_t>(std::lround(options.seeds * *options.scale)));
  const rlimit no_core{0, 0};
  if (setrlimit(RLIMIT_CORE, &no_core) != 0) std::abort();
  const int code = run_seeds(options);
  if (!options.expect_violation) return code;
  fmt::print("{}\n", code != 0 ? "the violation was seen, as expected"
                               : "no violation was seen, but one was expected");
  return code != 0 ? 0 : 1;
}
