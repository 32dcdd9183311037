// Counts outcomes and tells the engine: refusals one by one, up to kReportsPerSecond, and the
// counters at most once a second. Never blocks; what the engine does not read in time is only
// counted.
#pragma once
#include "sandbox/egress/protocol.h"

namespace hearth::sandbox::egress {

class Reporter {
 public:
  // `engine` stays the caller's; -1: nobody is told.
  explicit Reporter(int engine) : engine_(engine) {}

  void count(Outcome outcome);
  void refused(Outcome outcome, const Address& address, uint16_t port, int64_t now_ms);
  void refused(Outcome outcome, const char* name, int64_t now_ms);

  // Sends the counters if they changed and a second has passed. Returns the milliseconds until the
  // next call has something to do, or -1.
  int flush(int64_t now_ms);

 private:
  void tell(Report& report, int64_t now_ms);

  int engine_;
  uint64_t counters_[kOutcomes] = {};
  bool dirty_ = false;
  int64_t sent_ms_ = -1'000;
  int64_t window_ms_ = -1'000;  // of the limit on single reports
  int told_ = 0;
};

}  // namespace hearth::sandbox::egress
