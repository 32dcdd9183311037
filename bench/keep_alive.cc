// Compares the keep-alive policies on synthetic traces: what share of the calls is cold, and how
// long a worker's memory is held for it. One function a trace, one worker, calls that take no time;
// the policies are those of engine/core. The same seed gives the same table everywhere.
//
//     keep_alive [SEED]
#include <fmt/core.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/keep_alive.h"

namespace {

using namespace hearth;

constexpr double kDays = 14;
constexpr double kEnd = kDays * 86'400;
constexpr double kFixedSeconds = 600;  // pool.idle_timeout
constexpr double kMemoryMb = 128;

// xorshift64*; uniform in (0, 1).
class Uniform {
 public:
  explicit Uniform(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 1) {}
  double operator()() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return (static_cast<double>((state_ * 0x2545F4914F6CDD1Dull) >> 11) + 0.5) / 9007199254740992.0;
  }
  double exponential(double mean) { return -mean * std::log((*this)()); }

 private:
  uint64_t state_;
};

struct Trace {
  std::string name;
  std::vector<double> calls;  // seconds
};

Trace periodic(Uniform& u, std::string name, double period, double jitter) {
  Trace trace{std::move(name), {}};
  for (double t = period; t < kEnd; t += period) trace.calls.push_back(t + (u() - 0.5) * jitter);
  return trace;
}

Trace poisson(Uniform& u, std::string name, double mean) {
  Trace trace{std::move(name), {}};
  for (double t = u.exponential(mean); t < kEnd; t += u.exponential(mean)) trace.calls.push_back(t);
  return trace;
}

// Twenty calls some seconds apart, then silence.
Trace bursty(Uniform& u, std::string name, double silence) {
  Trace trace{std::move(name), {}};
  for (double t = u.exponential(silence); t < kEnd; t += u.exponential(silence)) {
    for (int i = 0; i < 20; ++i, t += u.exponential(5)) trace.calls.push_back(t);
  }
  return trace;
}

struct Result {
  size_t cold = 0;
  double loaded = 0;  // seconds
};

Result replay(const Trace& trace, KeepAlivePolicy policy, double fixed_seconds = kFixedSeconds) {
  Result result;
  IdleHistogram histogram;
  const auto fixed = std::chrono::duration<double>(fixed_seconds);
  const auto as_seconds = [](nanoseconds d) { return std::chrono::duration<double>(d).count(); };
  double last = -1;
  KeepAliveWindow window;
  for (const double call : trace.calls) {
    if (last < 0) {
      ++result.cold;
    } else {
      const double silent = call - last;
      const double prewarm = as_seconds(window.prewarm);
      const double until = as_seconds(window.until);
      const bool loaded = silent >= prewarm && silent < until;
      if (!loaded) ++result.cold;
      if (silent > prewarm) result.loaded += std::min(silent, until) - prewarm;
      if (policy == KeepAlivePolicy::histogram)
        histogram.record(
            std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(silent)));
    }
    last = call;
    const auto fallback = std::chrono::duration_cast<nanoseconds>(fixed);
    window = policy == KeepAlivePolicy::histogram ? histogram.window(fallback)
                                                  : KeepAliveWindow{.until = fallback};
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  Uniform u(seed);
  const std::vector<Trace> traces = {
      periodic(u, "every minute", 60, 5),       periodic(u, "every 15 minutes", 900, 20),
      periodic(u, "every hour", 3'600, 120),    poisson(u, "poisson, 30 s", 30),
      poisson(u, "poisson, 20 minutes", 1'200), bursty(u, "bursts, an hour apart", 3'600),
      poisson(u, "rare, 6 hours", 6 * 3'600.0),
  };
  fmt::print("{:<24}{:>8}{:>14}{:>14}{:>16}{:>16}\n", "trace, 14 days", "calls", "cold fixed",
             "cold hist.", "GB*h fixed", "GB*h hist.");
  Result sums[2];
  size_t calls = 0;
  for (const Trace& trace : traces) {
    const Result fixed = replay(trace, KeepAlivePolicy::fixed);
    const Result learnt = replay(trace, KeepAlivePolicy::histogram);
    const auto share = [&](const Result& r) {
      return 100.0 * static_cast<double>(r.cold) / static_cast<double>(trace.calls.size());
    };
    const auto held = [](const Result& r) { return r.loaded * kMemoryMb / 1'024 / 3'600; };
    fmt::print("{:<24}{:>8}{:>12.1f} %{:>12.1f} %{:>16.2f}{:>16.2f}\n", trace.name,
               trace.calls.size(), share(fixed), share(learnt), held(fixed), held(learnt));
    calls += trace.calls.size();
    sums[0].cold += fixed.cold;
    sums[0].loaded += fixed.loaded;
    sums[1].cold += learnt.cold;
    sums[1].loaded += learnt.loaded;
  }
  fmt::print("all: {} calls; cold {} fixed, {} histogram; memory of histogram {:.0f} % of fixed\n",
             calls, sums[0].cold, sums[1].cold, 100 * sums[1].loaded / sums[0].loaded);
  // A fixed time that holds as much memory as the histogram: how many calls are cold then?
  double equal = kFixedSeconds;
  Result as_much;
  while (as_much.loaded < sums[1].loaded && equal < 86'400) {
    equal += 60;
    as_much = {};
    for (const Trace& trace : traces) {
      const Result one = replay(trace, KeepAlivePolicy::fixed, equal);
      as_much.cold += one.cold;
      as_much.loaded += one.loaded;
    }
  }
  fmt::print("fixed at {:.0f} minutes holds as much memory as the histogram: {} cold\n", equal / 60,
             as_much.cold);
  return sums[1].cold < sums[0].cold && sums[1].cold < as_much.cold ? 0 : 1;
}
