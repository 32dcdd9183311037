// The agent of one sandbox: gives up what it has, then serves until the sandbox is gone. One
// thread, one loop.
#pragma once
#include <stdint.h>

#include "sandbox/sys.h"

namespace hearth::sandbox::egress {

// Descriptors with which the agent is started. kStubFd, kUserNamespaceFd and kFilterFd may be
// closed.
enum AgentFd : int {
  kNotifyFd = 3,
  kStubFd = 4,    // UDP, bound in the sandbox; AgentPlan::host_network: none
  kEngineFd = 5,  // SEQPACKET
  kMountNamespaceFd = 6,
  kUserNamespaceFd = 7,  // user mode: the worker's
  kFilterFd = 8,         // the agent's own seccomp program, as an array of sock_filter
  kAgentFds = 6,
};

struct AgentPlan {
  pid_t parent;  // ends with it
  uint32_t uid;  // to take; 0 = none (user mode: kUserNamespaceFd says who it is)
  bool host_network;
};

// Before any byte of the worker is read. The caller has what the spawner has.
Failure give_up(const AgentPlan& plan, int& proc);

// Returns the exit code: 0 when the sandbox or the engine is gone.
int serve(const AgentPlan& plan, int proc);

}  // namespace hearth::sandbox::egress
