#include "base/timer_wheel.h"

#include <vector>

#include "tests/catch.h"

using namespace hearth;

namespace {

struct Rig {
  ManualClock clock;
  TimerWheel wheel{clock.now()};
  int fired = 0;
  void on_fire() { ++fired; }
  Callback<void()> fire() { return Callback<void()>::to<&Rig::on_fire>(this); }
  void advance(milliseconds by) {
    clock.advance(by);
    wheel.advance(clock.now());
  }
};

}  // namespace

TEST_CASE("a timer fires once and never early") {
  Rig rig;
  Timer timer;
  rig.wheel.arm(timer, rig.clock.now() + milliseconds(10), rig.fire());
  rig.advance(milliseconds(9));
  CHECK(rig.fired == 0);
  rig.advance(milliseconds(1));
  CHECK(rig.fired == 1);
  CHECK_FALSE(timer.armed());
  rig.advance(milliseconds(10'000));
  CHECK(rig.fired == 1);
}

TEST_CASE("a disarmed timer does not fire and arming again moves it") {
  Rig rig;
  Timer a;
  Timer b;
  rig.wheel.arm(a, rig.clock.now() + milliseconds(5), rig.fire());
  rig.wheel.arm(b, rig.clock.now() + milliseconds(5), rig.fire());
  a.disarm();
  rig.wheel.arm(b, rig.clock.now() + milliseconds(50), rig.fire());
  rig.advance(milliseconds(49));
  CHECK(rig.fired == 0);
  rig.advance(milliseconds(1));
  CHECK(rig.fired == 1);
  CHECK(rig.wheel.armed() == 0);
}

TEST_CASE("a timer beyond one turn of the wheel waits its turns") {
  Rig rig;
  Timer timer;
  rig.wheel.arm(timer, rig.clock.now() + seconds(60), rig.fire());
  for (int i = 0; i < 59; ++i) rig.advance(milliseconds(1'000));
  CHECK(rig.fired == 0);
  rig.advance(milliseconds(1'000));
  CHECK(rig.fired == 1);
}

TEST_CASE("one long sleep fires everything that is due") {
  Rig rig;
  std::vector<std::unique_ptr<Timer>> timers;
  for (int i = 1; i <= 20'000; i += 7) {
    timers.push_back(std::make_unique<Timer>());
    rig.wheel.arm(*timers.back(), rig.clock.now() + milliseconds(i), rig.fire());
  }
  rig.advance(milliseconds(30'000));
  CHECK(rig.fired == static_cast<int>(timers.size()));
}

TEST_CASE("a callback may arm itself again and disarm another that is due") {
  ManualClock clock;
  TimerWheel wheel(clock.now());
  struct Chain {
    ManualClock& clock;
    TimerWheel& wheel;
    Timer mine;
    Timer other;
    int count = 0;
    int other_count = 0;
    void fire() {
      ++count;
      other.disarm();
      wheel.arm(mine, clock.now() + milliseconds(3), Callback<void()>::to<&Chain::fire>(this));
    }
    void fire_other() { ++other_count; }
  } chain{clock, wheel, {}, {}};
  wheel.arm(chain.mine, clock.now() + milliseconds(3), Callback<void()>::to<&Chain::fire>(&chain));
  wheel.arm(chain.other, clock.now() + milliseconds(3),
            Callback<void()>::to<&Chain::fire_other>(&chain));
  for (int i = 0; i < 9; ++i) {
    clock.advance(milliseconds(1));
    wheel.advance(clock.now());
  }
  CHECK(chain.count == 3);
  CHECK(chain.other_count == 0);
}

TEST_CASE("until_next names the next due tick") {
  Rig rig;
  Timer timer;
  CHECK(rig.wheel.until_next(rig.clock.now(), milliseconds(1'000)) == milliseconds(1'000));
  rig.wheel.arm(timer, rig.clock.now() + milliseconds(7), rig.fire());
  CHECK(rig.wheel.until_next(rig.clock.now(), milliseconds(1'000)) == milliseconds(7));
  rig.clock.advance(milliseconds(9));
  CHECK(rig.wheel.until_next(rig.clock.now(), milliseconds(1'000)) == milliseconds(0));
}
