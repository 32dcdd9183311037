#include "tests/sim/ledger.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

namespace hearth::sim {

void violation(const std::string& what) {
  fmt::print("violation: {}\n", what);
  std::fflush(stdout);
  _exit(kViolationExit);
}

CallRecord& Ledger::open(InvocationId id) {
  if (open_.count(id) != 0) violation("submit() gave out the id of a call that has not ended");
  open_.emplace(id, calls_.size());
  place_.emplace(id, order_.size());
  order_.push_back(id);
  CallRecord& record = calls_.emplace_back();
  record.id = id;
  return record;
}

void Ledger::close(InvocationId id) {
  const size_t place = place_.at(id);
  order_[place] = order_.back();
  place_[order_[place]] = place;
  order_.pop_back();
  place_.erase(id);
  open_.erase(id);
}

void Ledger::abandon(InvocationId id) {
  calls_[open_.at(id)].abandoned = true;
  close(id);
}

CallRecord& Ledger::end(InvocationId id) {
  const auto found = open_.find(id);
  if (found == open_.end()) violation("`done` ran for a call that had ended or was abandoned");
  CallRecord& record = calls_[found->second];
  record.ended = true;
  close(id);
  return record;
}

void Ledger::start(uint64_t tag, const FunctionSpecPtr& spec) {
  if (!knows(tag)) violation("a worker got a payload that nobody sent");
  CallRecord& record = calls_[tag];
  if (record.started) violation(fmt::format("call {} was started twice", tag));
  record.started = true;
  record.ran = spec;
}

}  // namespace hearth::sim
