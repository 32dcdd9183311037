// How many workers a queue justifies, in numbers.
#include "core/scaling.h"

#include "tests/catch.h"

using namespace hearth;

TEST_CASE("an empty queue starts nothing") {
  CHECK(workers_to_start({.queued = 0, .workers_max = 10}) == 0);
}

TEST_CASE("a cold function starts one worker however long its queue is") {
  CHECK(workers_to_start({.queued = 1, .workers_max = 10}) == 1);
  CHECK(workers_to_start({.queued = 1'000, .workers_max = 10}) == 1);
}

TEST_CASE("before the first reply one worker is enough for 64 calls and four for any number") {
  CHECK(workers_to_start({.queued = 64, .starting = 1, .workers_max = 50}) == 0);
  CHECK(workers_to_start({.queued = 65, .starting = 1, .workers_max = 50}) == 1);
  CHECK(workers_to_start({.queued = 1'000, .starting = 1, .workers_max = 50}) == 3);
  CHECK(workers_to_start({.queued = 1'000, .starting = 4, .workers_max = 50}) == 0);
  CHECK(workers_to_start({.queued = 1'000, .starting = 1, .workers_max = 2}) == 1);
}

TEST_CASE("short calls are left to the workers that there are") {
  CHECK(workers_to_start(
            {.queued = 64, .ready = 1, .workers_max = 50, .mean_known = true, .mean_us = 10}) == 0);
}

TEST_CASE(
    "a queue that takes longer than the target asks for more workers and at most doubles them") {
  ScaleInput in{.queued = 100, .ready = 2, .workers_max = 50, .mean_known = true, .mean_us = 2'000};
  CHECK(workers_to_start(in) == 2);  // 100 x 2 ms = 10 workers for 20 ms
  in.ready = 8;
  CHECK(workers_to_start(in) == 2);
  in.ready = 10;
  CHECK(workers_to_start(in) == 0);
}

TEST_CASE("workers that wait already are taken for a shorter queue, and no more of them") {
  ScaleInput in{.queued = 1,
                .ready = 1,
                .workers_max = 50,
                .mean_known = true,
                .mean_us = 100,
                .oldest_running = microseconds(4'000)};
  CHECK(workers_to_start(in) == 0);  // it may be a pause of the machine
  in.spares = 1;
  CHECK(workers_to_start(in) == 1);
  in.oldest_running = microseconds(1'900);
  CHECK(workers_to_start(in) == 0);
  in = {.queued = 10, .ready = 4, .workers_max = 50, .mean_known = true, .mean_us = 4'000};
  CHECK(workers_to_start(in) == 0);
  in.spares = 2;
  CHECK(workers_to_start(in) == 2);
  in.workers_max = 5;
  CHECK(workers_to_start(in) == 1);
}

TEST_CASE("workers on their way count") {
  const ScaleInput in{.queued = 100,
                      .starting = 8,
                      .ready = 2,
                      .workers_max = 50,
                      .mean_known = true,
                      .mean_us = 2'000};
  CHECK(workers_to_start(in) == 0);
}

TEST_CASE("the age of a running call stands in for an unknown mean") {
  ScaleInput in{.queued = 49, .ready = 32, .workers_max = 50};
  in.oldest_running = milliseconds(30);
  CHECK(workers_to_start(in) == 18);
}

TEST_CASE("one long call does not outvote a known mean until it is older than the target") {
  ScaleInput in{.queued = 50, .ready = 4, .workers_max = 50, .mean_known = true, .mean_us = 100};
  in.oldest_running = milliseconds(20);
  CHECK(workers_to_start(in) == 0);
  in.oldest_running = milliseconds(21);
  CHECK(workers_to_start(in) == 4);
}

TEST_CASE("calls that run at once in a worker divide the need") {
  const ScaleInput in{.queued = 100,
                      .ready = 2,
                      .workers_max = 50,
                      .per_worker = 5,
                      .mean_known = true,
                      .mean_us = 2'000};
  CHECK(workers_to_start(in) == 0);
}

TEST_CASE("no more workers than queued calls or the limit are started") {
  ScaleInput in{
      .queued = 2, .ready = 10, .workers_max = 50, .mean_known = true, .mean_us = 1'000'000};
  CHECK(workers_to_start(in) == 2);
  in.workers_max = 11;
  CHECK(workers_to_start(in) == 1);
  in.workers_max = 10;
  CHECK(workers_to_start(in) == 0);
}
