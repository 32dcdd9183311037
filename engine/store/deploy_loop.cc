// A test program: deploys in a loop until it is killed. After each change that was acknowledged it
// writes one line to its standard output: "NAME REVISION_ID" or "NAME -" when removed.
#include <unistd.h>

#include <cstdio>

#include "store/test_rig.h"

using namespace hearth;
using namespace hearth::test;

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  ServiceRig rig(ServiceRig::standard(), argv[1]);
  RequestIdSource random(static_cast<uint64_t>(std::strtoull(argv[2], nullptr, 10)));
  for (;;) {
    const std::string name = "f" + std::to_string(random.next_random() % 4);
    const UniqueFd zip = python_zip("v = " + std::to_string(random.next_random() % 8) +
                                    std::string(20'000, '#') + "\n");
    std::string state;
    if (random.next_random() % 5 == 0 && rig.service->remove(name)) state = "-";
    if (state.empty()) {
      auto record = rig.update(name, zip);
      if (!record) record = rig.create(python_spec(name), zip);
      if (!record) return 3;
      state = record->revision_id;
    }
    const std::string line = name + " " + state + "\n";
    if (!write_all(STDOUT_FILENO, line)) return 4;
  }
}
