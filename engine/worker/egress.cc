#include "worker/egress.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "sandbox/egress/address.h"
#include "sandbox/egress/allow.h"

namespace hearth::worker {
namespace {

namespace egress = sandbox::egress;

constexpr milliseconds kFilesAge{30'000};
constexpr size_t kFileMax = 256 << 10;
constexpr int kReportsPerTurn = 64;

constexpr std::array<std::string_view, kEgressOutcomes> kNames = {
    "connected",    "failed", "timed_out", "denied_rule", "denied_special", "denied_engine",
    "denied_limit", "denied", "resolved",  "failed",      "broken"};

std::string read_file(const char* path) {
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  std::string text;
  char part[4096];
  ssize_t n;
  while (fd.valid() && text.size() < kFileMax && (n = ::read(fd.get(), part, sizeof part)) > 0)
    text.append(part, static_cast<size_t>(n));
  return text;
}

std::string_view reason_of(egress::Outcome outcome) {
  switch (outcome) {
    case egress::Outcome::kDeniedRule:
      return "no entry of network.allow permits it, or its name was not looked up before";
    case egress::Outcome::kDeniedSpecial:
      return "a private, local or otherwise special address, which only an entry that names it "
             "opens";
    case egress::Outcome::kDeniedEngine:
      return "the engine's own listener";
    case egress::Outcome::kDeniedLimit:
      return "too many connects";
    case egress::Outcome::kDeniedName:
      return "no entry of network.allow permits the name";
    default:
      return "refused";
  }
}

}  // namespace

std::string_view egress_outcome_name(egress::Outcome outcome) {
  return kNames[static_cast<size_t>(outcome)];
}

std::string describe_refusal(const egress::Report& report) {
  if (report.outcome == egress::Outcome::kDeniedName) {
    return fmt::format("the name {}: {}",
                       std::string_view(report.name, strnlen(report.name, sizeof report.name)),
                       reason_of(report.outcome));
  }
  char address[egress::kAddressTextMax];
  egress::format_address(report.address, address);
  const bool four = egress::is_v4(report.address);
  return fmt::format("{}{}{}:{}: {}", four ? "" : "[", address, four ? "" : "]", report.port,
                     reason_of(report.outcome));
}

EgressRules::EgressRules() : base_(egress::default_config()) {}

void EgressRules::set_limits(const Limits& limits) {
  base_.pending_max = limits.egress_connects;
  base_.rate = limits.egress_rate;
  base_.burst = limits.egress_burst;
  base_.connect_timeout_ms = static_cast<uint32_t>(limits.egress_connect_timeout.count());
  base_.question_timeout_ms = static_cast<uint32_t>(limits.egress_question_timeout.count());
  base_.answer_seconds_min = static_cast<uint32_t>(limits.egress_answer_min.count());
}

Status EgressRules::set_resolvers(const std::vector<std::string>& resolvers) {
  for (const std::string& text : resolvers) {
    if (const std::string wrong = egress::add_resolver(text, base_); !wrong.empty())
      return Error{Code::config_invalid, "network.resolvers: " + wrong};
  }
  own_resolvers_ = !resolvers.empty();
  return ok();
}

void EgressRules::protect(std::string_view address) {
  const size_t colon = address.rfind(':');
  uint16_t port = 0;
  if (colon == std::string_view::npos || base_.protected_count == egress::kProtectedMax) return;
  std::from_chars(address.data() + colon + 1, address.data() + address.size(), port);
  if (port != 0) base_.protected_ports[base_.protected_count++] = port;
}

void EgressRules::refresh(MonotonicTime now) {
  if (read_ && now - read_at_ < kFilesAge) return;
  read_ = true;
  read_at_ = now;
  hosts_ = read_file("/etc/hosts");
  resolv_conf_ = read_file("/etc/resolv.conf");
}

Result<egress::Config> EgressRules::config_of(const FunctionSpec& spec, MonotonicTime now) {
  refresh(now);
  egress::Config config = base_;
  if (const std::string wrong = egress::add_rules(spec.egress_allow, config); !wrong.empty())
    return Error{Code::invalid_parameter, "network.allow: " + wrong};
  egress::add_hosts_of(hosts_, config);
  if (!own_resolvers_) egress::add_resolvers_of(resolv_conf_, config);
  return config;
}

Status EgressLink::open(Loop& loop, UniqueFd fd, std::array<uint64_t, kEgressOutcomes>& totals,
                        RefusedFn on_refused) {
  fd_ = std::move(fd);
  totals_ = &totals;
  on_refused_ = on_refused;
  return poll_.start(loop, fd_.get(), UV_READABLE, Poll::EventFn::to<&EgressLink::on_poll>(this));
}

Status EgressLink::configure(const egress::Config& config) {
  if (fd_.valid() && ::send(fd_.get(), &config, sizeof config, MSG_NOSIGNAL | MSG_DONTWAIT) ==
                         static_cast<ssize_t>(sizeof config))
    return ok();
  return Error{Code::worker_lost, fmt::format("the agent of its network took no rules: {}",
                                              fd_.valid() ? std::strerror(errno) : "none there")};
}

void EgressLink::on_poll(int) {
  for (int i = 0; i < kReportsPerTurn; ++i)
    if (!take_one()) return;
}

void EgressLink::drain() {
  while (fd_.valid() && take_one()) continue;
  poll_.stop();
  fd_.reset();
}

bool EgressLink::take_one() {
  egress::Report report;
  const ssize_t n = ::recv(fd_.get(), &report, sizeof report, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (n != static_cast<ssize_t>(sizeof report) || report.magic != egress::kConfigMagic) {
    // It is gone: the worker's connects fail from now on, as they should.
    poll_.stop();
    return false;
  }
  for (size_t i = 0; i < kEgressOutcomes; ++i) {
    if (report.counters[i] <= seen_[i]) continue;
    (*totals_)[i] += report.counters[i] - seen_[i];
    seen_[i] = report.counters[i];
  }
  if (report.has_event == 1 && static_cast<size_t>(report.outcome) < kEgressOutcomes)
    on_refused_(report);
  return true;
}

}  // namespace hearth::worker
