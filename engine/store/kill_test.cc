// Kill-safety: a program that deploys in a loop is killed at random points; afterwards everything
// that it acknowledged is there, and nothing half-made is.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <random>

#include "store/digest.h"
#include "store/test_rig.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::test;

namespace {

// Starts the deployer, kills it after `life`; returns what it wrote.
std::string run_and_kill(const std::string& state, uint64_t seed, microseconds life) {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const std::string seed_text = std::to_string(seed);
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ::dup2(write_end.get(), STDOUT_FILENO);
    ::execl(HEARTH_DEPLOY_LOOP, HEARTH_DEPLOY_LOOP, state.c_str(), seed_text.c_str(), nullptr);
    ::_exit(127);
  }
  write_end.reset();
  std::string output;
  char bytes[4'096];
  // The life begins with the first acknowledged change, so that a slow machine tests the same.
  ssize_t n = ::read(read_end.get(), bytes, sizeof bytes);
  REQUIRE(n > 0);
  output.append(bytes, static_cast<size_t>(n));
  ::usleep(static_cast<useconds_t>(life.count()));
  REQUIRE(::kill(pid, SIGKILL) == 0);
  while ((n = ::read(read_end.get(), bytes, sizeof bytes)) > 0)
    output.append(bytes, static_cast<size_t>(n));
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFSIGNALED(status));
  return output;
}

void apply(std::map<std::string, std::string>& known, const std::string& output) {
  for (size_t begin = 0; begin < output.size();) {
    const size_t end = output.find('\n', begin);
    if (end == std::string::npos) break;  // killed within the write: acknowledged to nobody
    const std::string line = output.substr(begin, end - begin);
    known[line.substr(0, 2)] = line.substr(3);
    begin = end + 1;
  }
}

// What the store holds against what was acknowledged. The very last change may have been committed
// without its acknowledgement having come through, so that one function may differ.
void check_store(ServiceRig& rig, std::map<std::string, std::string>& known) {
  std::map<std::string, std::string> found;
  for (const auto& record : ServiceRig::take(rig.service->load_all())) {
    found[record.spec.name] = record.revision_id;
    const std::string folder = rig.state.code_path(record.spec.code_sha256);
    CHECK(std::filesystem::exists(folder + "/app.py"));
    Sha256 hash;
    hash.update(read_file(rig.state.path() + "/archives/" + record.spec.code_sha256 + ".zip"));
    CHECK(to_hex(hash.finish()) == record.spec.code_sha256);
  }
  size_t different = 0;
  for (const char* name : {"f0", "f1", "f2", "f3"}) {
    const std::string acknowledged = known.contains(name) && known[name] != "-" ? known[name] : "";
    const std::string there = found.contains(name) ? found[name] : "";
    if (acknowledged != there) ++different;
    known[name] = there.empty() ? "-" : there;
  }
  CHECK(different <= 1);
  CHECK(ServiceRig::take(list_names(rig.state.staging())).empty());
  CHECK(rig.database.check());
}

}  // namespace

TEST_CASE("what was acknowledged survives kills at random points") {
  const TempFolder folder;
  const std::string state = folder.path() + "/state";
  const char* given = std::getenv("HEARTH_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  INFO("HEARTH_SEED=" << seed);
  std::mt19937_64 random(seed);
  std::map<std::string, std::string> known;
  size_t changes = 0;
  for (int round = 0; round < 50; ++round) {
    const std::string output = run_and_kill(state, random(), microseconds(random() % 20'000));
    changes += static_cast<size_t>(std::count(output.begin(), output.end(), '\n'));
    apply(known, output);
    ServiceRig rig(ServiceRig::standard(), state);
    check_store(rig, known);
  }
  CHECK(changes >= 50);
}
