// Whether this machine can do `network: egress`, and what each agent is started from.
#pragma once
#include <linux/filter.h>

#include "base/unique_fd.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/sys.h"

namespace hearth::sandbox::egress {

class Tools {
 public:
  // In the spawner, when its own tree is in place. Never fails the spawner: reason() says why it is
  // not available. `agent_filter`: of the agents; null without namespaces.
  void prepare(Mode mode, const sock_fprog* agent_filter);

  bool available() const { return reason_[0] == '\0'; }
  const char* reason() const { return reason_; }
  int image() const { return image_.get(); }
  int filter() const { return filter_.get(); }

 private:
  const char* reason_ = "not prepared";
  UniqueFd image_, filter_;
};

}  // namespace hearth::sandbox::egress
