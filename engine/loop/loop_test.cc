#include "loop/loop.h"

#include <sys/socket.h>

#include <string>
#include <thread>

#include "base/unique_fd.h"
#include "loop/mailbox.h"
#include "loop/poll.h"
#include "tests/catch.h"

using namespace hearth;

namespace {
struct Counter {
  Loop& loop;
  int fired = 0;
  void fire() {
    ++fired;
    loop.stop();
  }
};
}  // namespace

TEST_CASE("a timer of the wheel wakes the loop") {
  SystemClock clock;
  Loop loop(clock);
  Counter counter{loop};
  Timer timer;
  loop.timers().arm(timer, clock.now() + milliseconds(5),
                    Callback<void()>::to<&Counter::fire>(&counter));
  loop.run();
  CHECK(counter.fired == 1);
}

TEST_CASE("messages of other threads run in order on the loop and a full mailbox refuses") {
  SystemClock clock;
  Loop loop(clock);
  Mailbox mailbox(loop, 3);
  std::string order;
  std::thread other([&] {
    CHECK(mailbox.post([&] { order += 'a'; }));
    CHECK(mailbox.post([&] { order += 'b'; }));
    CHECK(mailbox.post([&] {
      order += 'c';
      loop.stop();
    }));
    CHECK_FALSE(mailbox.post([] {}));
  });
  other.join();
  loop.run();
  CHECK(order == "abc");
  mailbox.close();
  CHECK_FALSE(mailbox.post([] {}));
}

TEST_CASE("poll tells readability and may be destroyed by its callback") {
  SystemClock clock;
  Loop loop(clock);
  int fds[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  UniqueFd near(fds[0]);
  UniqueFd far(fds[1]);
  struct Watch {
    Loop& loop;
    std::unique_ptr<Poll> poll = std::make_unique<Poll>();
    int seen = 0;
    void on_event(int events) {
      seen = events;
      poll.reset();
      loop.stop();
    }
  } watch{loop};
  REQUIRE(watch.poll->start(loop, near.get(), UV_READABLE,
                            Poll::EventFn::to<&Watch::on_event>(&watch)));
  REQUIRE(::send(far.get(), "x", 1, 0) == 1);
  loop.run();
  CHECK(watch.seen == UV_READABLE);
}

TEST_CASE("the loop tells whether more waits, and does not take it") {
  SystemClock clock;
  Loop loop(clock);
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  const UniqueFd here(ends[0]), there(ends[1]);
  struct Reader {
    int fd;
    int events = 0;
    void on_event(int) {
      char byte;
      events += ::recv(fd, &byte, 1, 0) == 1;
    }
  } reader{here.get()};
  Poll poll;
  REQUIRE(poll.start(loop, here.get(), UV_READABLE,
                     Callback<void(int)>::to<&Reader::on_event>(&reader)));
  loop.step(milliseconds(0));
  CHECK_FALSE(loop.more_is_ready());
  REQUIRE(::send(there.get(), "ab", 2, 0) == 2);
  CHECK(loop.more_is_ready());
  CHECK(loop.more_is_ready());
  loop.step(milliseconds(0));
  CHECK(reader.events == 1);
  CHECK(loop.more_is_ready());
  loop.step(milliseconds(0));
  CHECK(reader.events == 2);
  CHECK_FALSE(loop.more_is_ready());
}

TEST_CASE("the loop tells how long its turns take") {
  ManualClock clock;
  Loop loop(clock);
  Mailbox mailbox(loop, 4);
  const auto turn_of = [&](milliseconds work) {
    REQUIRE(mailbox.post([&, work] { clock.advance(work); }));
    loop.step(milliseconds(0));
    clock.advance(seconds(9));  // the host's own time is none of ours
  };
  turn_of(milliseconds(7));
  turn_of(milliseconds(2));
  CHECK(loop.max_turn() == milliseconds(7));
  CHECK(loop.take_longest_turn() == milliseconds(7));
  turn_of(milliseconds(1));
  CHECK(loop.take_longest_turn() == milliseconds(1));
  CHECK(loop.take_longest_turn() == milliseconds(0));
  CHECK(loop.max_turn() == milliseconds(7));
  CHECK(loop.turn_times().count() >= 3);
  CHECK(loop.turn_times().sum_us() == 10'000);
}

TEST_CASE("a loop that runs counts its turns the same way") {
  SystemClock clock;
  Loop loop(clock);
  Mailbox mailbox(loop, 4);
  const auto busy = [&](milliseconds work) {
    for (const auto end = clock.now() + work; clock.now() < end;) {
    }
  };
  REQUIRE(mailbox.post([&] {
    busy(milliseconds(20));
    // In the next turn: this one is over by then.
    REQUIRE(mailbox.post([&] { loop.stop(); }));
  }));
  loop.run();
  CHECK(loop.max_turn() >= milliseconds(20));
  CHECK(loop.turn_times().count() >= 1);
}

TEST_CASE("step returns within its time when nothing happens") {
  SystemClock clock;
  Loop loop(clock);
  const auto before = clock.now();
  loop.step(milliseconds(3));
  CHECK(clock.now() - before >= milliseconds(2));
  CHECK(clock.now() - before < milliseconds(900));
}
