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

TEST_CASE("step returns within its time when nothing happens") {
  SystemClock clock;
  Loop loop(clock);
  const auto before = clock.now();
  loop.step(milliseconds(3));
  CHECK(clock.now() - before >= milliseconds(2));
  CHECK(clock.now() - before < milliseconds(900));
}
