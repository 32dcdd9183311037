#include "sandbox/egress/reporter.h"

#include <string.h>
#include <sys/socket.h>

namespace hearth::sandbox::egress {
namespace {

constexpr int64_t kSecond = 1'000;

}  // namespace

void Reporter::count(Outcome outcome) {
  ++counters_[static_cast<size_t>(outcome)];
  dirty_ = true;
}

void Reporter::refused(Outcome outcome, const Address& address, uint16_t port, int64_t now_ms) {
  count(outcome);
  Report report{};
  report.outcome = outcome;
  report.address = address;
  report.port = port;
  tell(report, now_ms);
}

void Reporter::refused(Outcome outcome, const char* name, int64_t now_ms) {
  count(outcome);
  Report report{};
  report.outcome = outcome;
  for (size_t i = 0; i < kNameMax && name[i] != '\0'; ++i) report.name[i] = name[i];
  tell(report, now_ms);
}

void Reporter::tell(Report& report, int64_t now_ms) {
  if (now_ms - window_ms_ >= kSecond) {
    window_ms_ = now_ms;
    told_ = 0;
  }
  if (engine_ < 0 || told_ == kReportsPerSecond) return;
  ++told_;
  report.magic = kConfigMagic;
  report.has_event = 1;
  memcpy(report.counters, counters_, sizeof counters_);
  if (send(engine_, &report, sizeof report, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return;
  dirty_ = false;
  sent_ms_ = now_ms;
}

int Reporter::flush(int64_t now_ms) {
  if (!dirty_ || engine_ < 0) return -1;
  if (now_ms - sent_ms_ < kSecond) return static_cast<int>(sent_ms_ + kSecond - now_ms);
  sent_ms_ = now_ms;
  Report report{};
  report.magic = kConfigMagic;
  memcpy(report.counters, counters_, sizeof counters_);
  // Full: the next one has the same numbers and more.
  if (send(engine_, &report, sizeof report, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) dirty_ = false;
  return dirty_ ? static_cast<int>(kSecond) : -1;
}

}  // namespace hearth::sandbox::egress
