// What the spawner and a sandbox's own processes do for outgoing connections: init binds the stub's
// socket, the worker loads its filter with a listener, and the spawner starts the agent.
#pragma once
#include <linux/filter.h>

#include <span>

#include "base/unique_fd.h"
#include "sandbox/egress/agent.h"
#include "sandbox/sys.h"

namespace hearth::sandbox::egress {

// In a sandbox's network namespace, before capabilities are dropped: a UDP socket on 127.0.0.1:53.
Failure open_stub_socket(UniqueFd& socket);

// As load_filter(), with a listener. Nothing that the filter notifies may be called before the
// agent runs.
Failure load_filter_with_listener(const sock_fprog& filter, UniqueFd& listener);

// A sealed memfd. `name` shows in /proc.
Failure make_sealed(const char* name, std::span<const std::byte> bytes, UniqueFd& fd);

// The descriptors stay the caller's. `user_namespace` -1: take `uid` instead. `stub` -1: the
// sandbox has the host's network (broker.h). Returns the pid of the agent, or -1 with errno. The
// agent ends with the caller.
struct AgentStart {
  int image, filter, listener, stub, engine, mounts, user_namespace;
  uint32_t uid;
};
pid_t start_agent(const AgentStart& start);

}  // namespace hearth::sandbox::egress
