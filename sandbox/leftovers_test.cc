// What a call leaves behind is killed or counted, with a freezer and without: strict mode has
// cgroups where the machine lets it, user mode as nobody has none.
#include "sandbox/test_rig.h"
#include "tests/catch.h"

namespace hearth::sandbox {
namespace {

Answer ask(Rig& rig, const TestWorker& worker, MessageType type) {
  const SlotRequest request{{kSpawnerMagic, type}, worker.slot, worker.generation};
  rig.send_raw(&request, sizeof request);
  UniqueFd fds[kSpawnFds];
  return rig.wait_answer(fds);
}

void thaw(Rig& rig, const TestWorker& worker) {
  const SlotRequest request{{kSpawnerMagic, MessageType::kThaw}, worker.slot, worker.generation};
  rig.send_raw(&request, sizeof request);
}

}  // namespace

TEST_CASE("leftovers are counted, then killed, and the worker lives on") {
  const Mode mode = GENERATE(Mode::kStrict, Mode::kUser, Mode::kDegraded, Mode::kOff);
  CAPTURE(mode_name(mode));
  if (!allowed(mode)) return;
  Rig rig(mode);
  rig.start();
  TestWorker worker = rig.spawn(0);
  REQUIRE(worker.line() == "HELLO");
  TestWorker bystander = rig.spawn(1);
  REQUIRE(bystander.line() == "HELLO");
  REQUIRE(bystander.attempt("daemon") == "0");
  Answer answer = ask(rig, worker, MessageType::kKillLeftovers);
  CHECK(answer.header.type == MessageType::kLeftovers);
  CHECK(answer.error == 0);
  CHECK(answer.leftovers == 0);
  thaw(rig, worker);
  CHECK(worker.attempt("daemon") == "0");
  CHECK(worker.attempt("fork_bomb 10") == "0");
  answer = ask(rig, worker, MessageType::kCountLeftovers);
  CHECK(answer.error == 0);
  const uint32_t there = answer.leftovers;
  CHECK(there >= 10);
  answer = ask(rig, worker, MessageType::kKillLeftovers);
  CHECK(answer.error == 0);
  CHECK(answer.leftovers == there);
  CHECK(std::string(answer.detail).find("worker") != std::string::npos);
  answer = ask(rig, worker, MessageType::kKillLeftovers);
  CHECK(answer.error == 0);
  CHECK(answer.leftovers == 0);
  thaw(rig, worker);
  CHECK(worker.attempt("descriptors") == "0");
  answer = ask(rig, bystander, MessageType::kCountLeftovers);
  CHECK(answer.leftovers == 1);  // a neighbour's are left alone
}

TEST_CASE("leftovers of a generation that is gone are not asked for") {
  Rig rig(Mode::kDegraded);
  rig.start();
  TestWorker worker = rig.spawn(0);
  REQUIRE(worker.line() == "HELLO");
  TestWorker other = rig.spawn(1);
  REQUIRE(other.line() == "HELLO");
  TestWorker stale;
  stale.slot = worker.slot;
  stale.generation = worker.generation + 7;
  const SlotRequest request{
      {kSpawnerMagic, MessageType::kKillLeftovers}, stale.slot, stale.generation};
  rig.send_raw(&request, sizeof request);
  const Answer answer = ask(rig, other, MessageType::kCountLeftovers);
  CHECK(answer.slot == other.slot);  // the stale one has no answer
}

}  // namespace hearth::sandbox
