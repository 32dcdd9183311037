// Where the time of a cold call went: the phases always add up, whenever the call came.
#include "core/cold_start.h"

#include "core/test_rig.h"

using namespace hearth;

namespace {

uint32_t sum(const ColdPhases& p) { return p.queue_us + p.sandbox_us + p.runtime_us + p.init_us; }

}  // namespace

TEST_CASE("the phases of a cold call add up to its wait") {
  const StartTimes times{.sandbox_us = 300, .runtime_us = 17'000};
  for (const int64_t wait : {0, 1, 5'000, 5'001, 22'000, 22'300, 22'301, 90'000})
    CHECK(sum(cold_phases(wait, times, 5'000)) == wait);
  CHECK(sum(cold_phases(-5, times, 5'000)) == 0);
}

TEST_CASE("a call that came late waited for the last steps only") {
  const StartTimes times{.sandbox_us = 300, .runtime_us = 17'000};
  const ColdPhases whole = cold_phases(23'000, times, 5'000);
  CHECK(whole.init_us == 5'000);
  CHECK(whole.runtime_us == 17'000);
  CHECK(whole.sandbox_us == 300);
  CHECK(whole.queue_us == 700);
  const ColdPhases late = cold_phases(6'000, times, 5'000);
  CHECK(late.init_us == 5'000);
  CHECK(late.runtime_us == 1'000);
  CHECK(late.sandbox_us == 0);
  CHECK(late.queue_us == 0);
}

TEST_CASE("a cold call says what it waited for and a warm one does not") {
  Rig rig;
  const FunctionId f = rig.deploy(one_worker());
  const InvocationId cold = rig.call(f);
  rig.pass(milliseconds(10));
  rig.boot_all();
  rig.reply(rig.worker_of(cold), cold, 250);
  const ColdPhases waited = rig.end(cold).waited;
  CHECK(waited.init_us == 5'000);
  CHECK(waited.runtime_us == 2'000);
  CHECK(waited.sandbox_us == 1'000);
  CHECK(waited.queue_us == 2'000);
  const InvocationId warm = rig.call(f);
  rig.reply(rig.worker_of(warm), warm, 250);
  CHECK(sum(rig.end(warm).waited) == 0);
  const Histogram& handler = rig.core.cold().of(Runtime::python3, ColdPhase::handler);
  CHECK(handler.count() == 1);
  CHECK(handler.sum_us() == 250);
  CHECK(rig.core.cold().of(Runtime::python3, ColdPhase::queue).sum_us() == 2'000);
  CHECK(rig.core.cold().of(Runtime::nodejs, ColdPhase::queue).count() == 0);
}
