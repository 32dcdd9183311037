// What is true about every call of a run, kept apart from the engine that is being checked.
#pragma once
#include <string>
#include <unordered_map>
#include <vector>

#include "core/ports.h"

namespace hearth::sim {

// A rule is broken: says so on stdout and ends the process with kViolationExit. The run has its own
// process.
inline constexpr int kViolationExit = 3;
[[noreturn]] void violation(const std::string& what);

struct CallRecord {
  InvocationId id;
  uint32_t function = 0;  // index of the simulator's function
  uint32_t generation =
      0;  // of that function: it grows when the function is removed and made again
  MonotonicTime submitted;
  bool own_deadline = false;
  bool abandoned = false;
  bool ended = false;
  bool started = false;  // a fake worker began to execute it
  bool replied = false;  // a fake worker answered it with its own id
  FunctionSpecPtr ran;   // the revision of the worker that executed it
};

class Ledger {
 public:
  // The tag that goes into the payload of the next call.
  uint64_t next_tag() const { return calls_.size(); }
  CallRecord& open(InvocationId id);
  CallRecord& call(uint64_t tag) { return calls_[tag]; }
  bool knows(uint64_t tag) const { return tag < calls_.size(); }

  // The caller goes away: no `done` may come any more.
  void abandon(InvocationId id);
  // `done` came. A violation if the call has ended, was abandoned or never was.
  CallRecord& end(InvocationId id);
  // A fake worker starts to execute. A violation if any worker did so before.
  void start(uint64_t tag, const FunctionSpecPtr& spec);

  size_t open_calls() const { return open_.size(); }
  uint64_t submitted() const { return calls_.size(); }
  // Of the open calls; only for choosing one.
  const std::vector<InvocationId>& order() const { return order_; }
  // The tag of an open call.
  uint64_t tag(InvocationId id) const { return open_.at(id); }

 private:
  void close(InvocationId id);

  std::vector<CallRecord> calls_;                    // by tag
  std::unordered_map<InvocationId, uint64_t> open_;  // to the tag
  std::vector<InvocationId> order_;                  // the keys of open_, without order of meaning
  std::unordered_map<InvocationId, size_t> place_;   // where in order_
};

}  // namespace hearth::sim
