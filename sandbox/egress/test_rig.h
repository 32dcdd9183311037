// For the tests of the broker: three network namespaces (the host's, where the agent connects; the
// world outside, where internet.py serves; the sandbox's own), and a worker process under the real
// filter, confined as far as the broker can tell.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "sandbox/egress/protocol.h"

namespace hearth::sandbox::egress {

// What the worker's own code left behind, in memory that test and worker share.
struct Notes {
  int values[16];
  char text[256];
};

// Makes the calling process a host with a link to the world outside. Once; later calls do nothing.
// False: this machine does not let us.
bool enter_test_network();
#define HEARTH_NEED_NETWORK()                                                   \
  if (!::hearth::sandbox::egress::enter_test_network()) {                       \
    WARN("skipped: this machine lets us make no network namespaces, or no ip"); \
    return;                                                                     \
  }

// After enter_test_network(): whether the process is root of the machine, not of a namespace.
bool is_real_root();

// Text as in a manifest; ends the test if it can't be read.
Rule rule(const char* text);
Config make_config(std::initializer_list<const char*> allow);

class Rig {
 public:
  // Runs `work` as the worker. Its result is the exit status. Needs enter_test_network().
  // `host_network`: it stays in the host's network, as with Network::kHost.
  explicit Rig(std::function<int(Notes&)> work, bool host_network = false);
  ~Rig();

  // Sends the rules, and lets the worker go if it did not yet.
  void configure(const Config& config);
  void go();
  int wait();  // for the worker: its exit status, 256 + signal, or -1 after 30 s
  void kill_agent();
  int agent() const { return agent_; }
  bool agent_ends();  // within 10 s
  // The last report, after the agent's end or once `done` says so (10 s).
  Report report(const std::function<bool(const Report&)>& done);
  uint64_t counted(Outcome outcome, uint64_t least);

  Notes* notes;

 private:
  int agent_ = -1, worker_ = -1;
  UniqueFd engine_, gate_;
  Report last_{};
};

}  // namespace hearth::sandbox::egress
