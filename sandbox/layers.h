// Which layers of confinement are in force, and which policy each runtime gets. Made once, when the
// configuration has come.
#pragma once
#include <linux/filter.h>

#include <vector>

#include "sandbox/cgroup.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/sys.h"

namespace hearth::sandbox {

// The filters of all runtimes. Owns their memory; sock_fprog views stay valid as long as this does.
class Filters {
 public:
  // Reads and compiles the policies. On failure `detail` (kDetailMax bytes) says which line of
  // which policy is wrong.
  Failure compile(const SpawnerConfig& config, char (&detail)[kDetailMax]);

  const sock_fprog* of_runtime(uint32_t runtime) const {
    return runtimes_.empty() ? nullptr : &runtimes_[runtime].program;
  }
  // With Network::kEgress and kHost. Only in modes with namespaces.
  const sock_fprog* of_egress(uint32_t runtime) const { return &egress_[runtime].program; }
  const sock_fprog* of_host(uint32_t runtime) const { return &host_[runtime].program; }
  const sock_fprog* of_agent() const { return &agent_.program; }
  const sock_fprog* of_zygote() const { return &zygote_.program; }
  const sock_fprog* of_init() const { return &init_.program; }

 private:
  struct Filter {
    std::vector<sock_filter> code;
    sock_fprog program{};
  };
  // `overlay`: a policy that is laid over it, or null.
  static Failure compile_one(const char* name, const char* overlay, Filter& filter,
                             char (&detail)[kDetailMax]);

  std::vector<Filter> runtimes_;  // empty in mode off
  std::vector<Filter> egress_, host_;
  Filter init_, agent_, zygote_;
};

// What was found at the start and decides which layers are in force.
struct LayerFacts {
  bool as_root = false;  // the spawner may choose uids
  int landlock_abi = 0;
  int landlock_error = 0;  // why it is 0
  const Cgroups* cgroups = nullptr;
};

// Fills the layer table of a spawner whose trial sandbox went well.
void describe_layers(Mode mode, const LayerFacts& facts,
                     LayerState (&layers)[static_cast<size_t>(Layer::kLayersCount)]);

}  // namespace hearth::sandbox
