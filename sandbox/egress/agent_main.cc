// hearth-egress PARENT UID egress|host: the agent of one sandbox, started by the spawner with the
// descriptors of agent.h.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "sandbox/egress/agent.h"

int main(int argc, char** argv) {
  using namespace hearth::sandbox::egress;
  if (argc != 4) return 2;
  prctl(PR_SET_NAME, "hearth-egress", 0, 0, 0);
  const AgentPlan plan{static_cast<pid_t>(strtol(argv[1], nullptr, 10)),
                       static_cast<uint32_t>(strtoul(argv[2], nullptr, 10)),
                       strcmp(argv[3], "host") == 0};
  int proc = -1;
  if (const hearth::sandbox::Failure failure = give_up(plan, proc))
    return failure.error > 0 && failure.error < 96 ? 128 + failure.error : 3;
  return serve(plan, proc);
}
