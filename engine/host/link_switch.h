// One WorkerLink of two: workers that are processes, and the imaginary ones of host functions. A
// worker belongs to the link that started it. Engine thread only.
#pragma once
#include <vector>

#include "core/ports.h"

namespace hearth {

class LinkSwitch final : public WorkerLink {
 public:
  // Both must outlive this. `slots`: limits.workers.
  LinkSwitch(WorkerLink& processes, WorkerLink& host, size_t slots)
      : processes_(processes), host_(host), in_host_(slots) {}

  void start(WorkerId worker, const WorkerShape& shape, const FunctionSpecPtr& spec) override {
    in_host_[worker.slot] = shape.runtime == Runtime::host;
    of(worker).start(worker, shape, spec);
  }
  void bind(WorkerId worker, const FunctionSpecPtr& spec) override {
    of(worker).bind(worker, spec);
  }
  void send(WorkerId worker, CallFrame&& call) override {
    of(worker).send(worker, std::move(call));
  }
  void cancel(WorkerId worker, InvocationId call) override { of(worker).cancel(worker, call); }
  void recall(WorkerId worker, InvocationId call) override { of(worker).recall(worker, call); }
  void go_on(WorkerId worker, InvocationId call) override { of(worker).go_on(worker, call); }
  void ping(WorkerId worker, uint16_t sequence) override { of(worker).ping(worker, sequence); }
  bool has_zygotes() const override { return processes_.has_zygotes(); }
  void start_zygote(WorkerId zygote, const FunctionSpecPtr& spec) override {
    in_host_[zygote.slot] = false;
    processes_.start_zygote(zygote, spec);
  }
  void fork(WorkerId worker, WorkerId zygote, const FunctionSpecPtr& spec) override {
    in_host_[worker.slot] = false;
    processes_.fork(worker, zygote, spec);
  }
  void stop(WorkerId worker) override { of(worker).stop(worker); }
  void kill(WorkerId worker) override { of(worker).kill(worker); }
  void freeze(WorkerId worker) override { of(worker).freeze(worker); }
  void thaw(WorkerId worker) override { of(worker).thaw(worker); }
  void clear_leftovers(WorkerId worker, Leftovers how) override {
    of(worker).clear_leftovers(worker, how);
  }
  bool clears_forked() const override { return processes_.clears_forked(); }
  std::string_view log_tail(WorkerId worker, InvocationId call) override {
    return of(worker).log_tail(worker, call);
  }
  bool any_byte_sent(WorkerId worker, InvocationId call) const override {
    return of(worker).any_byte_sent(worker, call);
  }
  uint64_t memory_peak(WorkerId worker) const override { return of(worker).memory_peak(worker); }
  uint64_t memory_now(WorkerId worker) const override { return of(worker).memory_now(worker); }
  StartTimes start_times(WorkerId worker) const override { return of(worker).start_times(worker); }

 private:
  WorkerLink& of(WorkerId worker) const { return in_host_[worker.slot] ? host_ : processes_; }

  WorkerLink& processes_;
  WorkerLink& host_;
  std::vector<bool> in_host_;  // by slot
};

}  // namespace hearth
