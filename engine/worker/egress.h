// The engine's side of `network: egress`: gives the agent of a worker its function's rules, and
// hears what became of connects (sandbox/egress/protocol.h). Loop thread only.
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/callback.h"
#include "base/limits.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "core/function_spec.h"
#include "loop/loop.h"
#include "loop/poll.h"
#include "sandbox/egress/protocol.h"

namespace hearth::worker {

inline constexpr size_t kEgressOutcomes = sandbox::egress::kOutcomes;
// Label values of the metrics, in the order of sandbox::egress::Outcome.
std::string_view egress_outcome_name(sandbox::egress::Outcome outcome);

// What all functions share. Reads the host's resolv.conf and hosts files, again when what it has is
// older than 30 s.
class EgressRules {
 public:
  EgressRules();

  // `resolvers`: of hearth.yaml; empty = the host's. Errors: config_invalid, which names the entry.
  Status set_resolvers(const std::vector<std::string>& resolvers);
  // What each worker's agent allows. As hearth.yaml has them, so within the agent's ceilings.
  void set_limits(const Limits& limits);
  // A listener of the engine: no function may connect to it. At most kProtectedMax count.
  void protect(std::string_view address);

  // The rules of one function. Errors: invalid_parameter, which names the entry.
  Result<sandbox::egress::Config> config_of(const FunctionSpec& spec, MonotonicTime now);

 private:
  void refresh(MonotonicTime now);

  sandbox::egress::Config base_;
  bool own_resolvers_ = false;
  bool read_ = false;
  MonotonicTime read_at_{};
  std::string hosts_, resolv_conf_;
};

// The socket to one agent.
class EgressLink {
 public:
  using RefusedFn = Callback<void(const sandbox::egress::Report&)>;

  // `totals` must outlive this; counters are added as they come. `on_refused` runs for each refusal
  // that the agent tells one by one.
  Status open(Loop& loop, UniqueFd fd, std::array<uint64_t, kEgressOutcomes>& totals,
              RefusedFn on_refused);
  bool is_open() const { return fd_.valid(); }
  // Errors: worker_lost, the agent is gone.
  Status configure(const sandbox::egress::Config& config);
  // Takes what the agent has said so far, as at its end.
  void drain();

 private:
  void on_poll(int events);
  bool take_one();

  UniqueFd fd_;
  Poll poll_;
  std::array<uint64_t, kEgressOutcomes> seen_{};
  std::array<uint64_t, kEgressOutcomes>* totals_ = nullptr;
  RefusedFn on_refused_;
};

// "10.0.0.5:80: no rule permits it", "the name evil.example: ..."
std::string describe_refusal(const sandbox::egress::Report& report);

}  // namespace hearth::worker
