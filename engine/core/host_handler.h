// A function of the host process: what runs it, as the core sees it. FunctionSpec::host holds it;
// destroyed, on the engine's thread, when no revision and no worker refers to it any more.
#pragma once
#include <string_view>

#include "base/clock.h"
#include "base/ids.h"
#include "base/request_id.h"

namespace hearth {

// Which call, and of which (imaginary) worker: what an answer has to name.
struct HostCallId {
  WorkerId worker;
  InvocationId call;
};

class HostHandler {
 public:
  virtual ~HostHandler() = default;
  // Takes a call. `event` is valid during this only. HostWorkers::answer() follows once, inside
  // this or later. Engine thread, never inside a submit.
  virtual void on_call(HostCallId call, std::string_view event, const RequestId& request_id,
                       Deadline deadline) = 0;
  // The call has ended for its caller: an answer may still come and is dropped.
  virtual void on_given_up(HostCallId call) = 0;
};

}  // namespace hearth
