// hearth-spawner: started by the engine with the control socket as descriptor 3 and the lifeline as
// descriptor 4, or as `hearth-spawner probe MODE` with a report pipe as descriptor 3. See
// spawner_protocol.h and README.md.
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "sandbox/probe_child.h"
#include "sandbox/spawner.h"

namespace {

constexpr int kControlFd = 3;
constexpr int kLifelineFd = 4;

}  // namespace

int main(int argc, char** argv) {
  prctl(PR_SET_NAME, "hearth-spawner", 0, 0, 0);
  if (argc == 2 && strcmp(argv[1], "probe") == 0) return hearth::sandbox::run_probe(kControlFd);
  if (argc != 1) return 2;
  static hearth::sandbox::Spawner spawner(kControlFd, kLifelineFd);
  return spawner.start() ? spawner.serve() : 1;
}
