// The engine's side of an agent: rules out, reports in.
#include "worker/egress.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>
#include <span>

#include "loop/loop.h"
#include "sandbox/egress/address.h"
#include "sandbox/egress/allow.h"
#include "sandbox/egress/rules.h"
#include "tests/catch.h"

namespace hearth::worker {
namespace {

namespace egress = sandbox::egress;

struct Ends {
  Ends() {
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    engine.reset(fds[0]);
    agent.reset(fds[1]);
  }
  UniqueFd engine, agent;
};

struct Refusals {
  void on_refused(const egress::Report& report) { texts.push_back(describe_refusal(report)); }
  std::vector<std::string> texts;
};

egress::Report report_of(egress::Outcome outcome, uint64_t connected, uint64_t denied) {
  egress::Report report{};
  report.magic = egress::kConfigMagic;
  report.has_event = outcome == egress::Outcome::kConnected ? 0 : 1;
  report.outcome = outcome;
  report.address = egress::v4(0x0a000005);
  report.port = 80;
  report.counters[static_cast<size_t>(egress::Outcome::kConnected)] = connected;
  report.counters[static_cast<size_t>(egress::Outcome::kDeniedRule)] = denied;
  return report;
}

TEST_CASE("each limit of hearth.yaml reaches the agent, which takes it at both ends of its range") {
  const auto taken = [](const Limits& limits) {
    EgressRules rules;
    rules.set_limits(limits);
    FunctionSpec spec;
    spec.egress_allow = {"api.example.com:443"};
    const auto config = rules.config_of(spec, MonotonicTime{});
    REQUIRE(config);
    egress::Rules agent;
    CHECK(agent.configure(std::as_bytes(std::span(&*config, 1))) == nullptr);
    return *config;
  };
  Limits low;
  low.egress_connects = low.egress_rate = low.egress_burst = 1;
  low.egress_connect_timeout = low.egress_question_timeout = milliseconds(1);
  low.egress_answer_min = seconds(60);
  const egress::Config least = taken(low);
  CHECK(least.pending_max == 1);
  CHECK(least.rate == 1);
  CHECK(least.burst == 1);
  CHECK(least.connect_timeout_ms == 1);
  CHECK(least.question_timeout_ms == 1);
  CHECK(least.answer_seconds_min == 60);
  Limits high;
  high.egress_connects = egress::kPendingMax;
  high.egress_rate = high.egress_burst = egress::kRateMax;
  high.egress_connect_timeout = milliseconds(600'000);
  high.egress_question_timeout = milliseconds(60'000);
  high.egress_answer_min = seconds(3'600);
  const egress::Config most = taken(high);
  CHECK(most.pending_max == egress::kPendingMax);
  CHECK(most.connect_timeout_ms == 600'000);
  CHECK(most.answer_seconds_min == 3'600);
  // Without a hearth.yaml both sides mean the same.
  const egress::Config usual = taken(Limits{});
  const egress::Config own = egress::default_config();
  CHECK(usual.pending_max == own.pending_max);
  CHECK(usual.rate == own.rate);
  CHECK(usual.burst == own.burst);
  CHECK(usual.connect_timeout_ms == own.connect_timeout_ms);
  CHECK(usual.question_timeout_ms == own.question_timeout_ms);
  CHECK(usual.answer_seconds_min == own.answer_seconds_min);
}

TEST_CASE("rules of a function are what its agent takes") {
  EgressRules rules;
  REQUIRE(rules.set_resolvers({"192.0.2.53:5353"}));
  rules.protect("127.0.0.1:4327");
  rules.protect("[::1]:80");
  FunctionSpec spec;
  spec.egress_allow = {"api.example.com:443", "*.example.org", "10.1.0.0/16:5432"};
  const auto config = rules.config_of(spec, MonotonicTime{});
  REQUIRE(config);
  CHECK(config->rules_count == 3);
  CHECK(config->resolvers_count == 1);
  CHECK(config->resolvers[0].port == 5353);
  REQUIRE(config->protected_count == 2);
  CHECK(config->protected_ports[0] == 4327);
  CHECK(config->protected_ports[1] == 80);
  auto taken = std::make_unique<egress::Rules>();
  CHECK(taken->configure(std::as_bytes(std::span(&*config, 1))) == nullptr);
  spec.egress_allow = {"*"};
  const auto wrong = rules.config_of(spec, MonotonicTime{});
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().code == Code::invalid_parameter);
  CHECK(wrong.error().detail.find("\"*\"") != std::string::npos);
  CHECK_FALSE(EgressRules().set_resolvers({"dns.example"}));
}

TEST_CASE("counters of an agent are added up, and its refusals told in words") {
  SystemClock clock;
  Loop loop(clock);
  Ends ends;
  Refusals refusals;
  std::array<uint64_t, kEgressOutcomes> totals{};
  EgressLink link;
  REQUIRE(link.open(loop, std::move(ends.engine), totals,
                    EgressLink::RefusedFn::to<&Refusals::on_refused>(&refusals)));
  for (const egress::Report& report :
       {report_of(egress::Outcome::kConnected, 3, 0), report_of(egress::Outcome::kDeniedRule, 3, 1),
        report_of(egress::Outcome::kConnected, 5, 1)})
    REQUIRE(send(ends.agent.get(), &report, sizeof report, 0) == sizeof report);
  link.drain();
  CHECK(totals[static_cast<size_t>(egress::Outcome::kConnected)] == 5);
  CHECK(totals[static_cast<size_t>(egress::Outcome::kDeniedRule)] == 1);
  REQUIRE(refusals.texts.size() == 1);
  CHECK(refusals.texts[0].starts_with("10.0.0.5:80: "));
  CHECK_FALSE(link.is_open());
}

TEST_CASE("an agent that is gone takes no rules") {
  SystemClock clock;
  Loop loop(clock);
  Ends ends;
  Refusals refusals;
  std::array<uint64_t, kEgressOutcomes> totals{};
  EgressLink link;
  REQUIRE(link.open(loop, std::move(ends.engine), totals,
                    EgressLink::RefusedFn::to<&Refusals::on_refused>(&refusals)));
  ends.agent.reset();
  auto config = std::make_unique<egress::Config>();
  const Status sent = link.configure(*config);
  REQUIRE_FALSE(sent);
  CHECK(sent.error().code == Code::worker_lost);
  CHECK_FALSE(EgressLink().configure(*config));
}

}  // namespace
}  // namespace hearth::worker
