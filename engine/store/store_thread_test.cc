// The store's thread: jobs in order, changes in front of answers, bounded queues, a clean stop.
#include "store/store_thread.h"

#include <pthread.h>
#include <signal.h>

#include <future>

#include "store/test_rig.h"
#include "tests/catch.h"

using namespace hearth;
using namespace hearth::test;

namespace {

struct Rig {
  explicit Rig(size_t mailbox_max = 64, size_t jobs_max = 256)
      : loop(clock), mailbox(loop, mailbox_max), store(mailbox, clock, Log(), options(jobs_max)) {}
  StoreThread::Options options(size_t jobs_max) const {
    StoreThread::Options o;
    o.state_folder = folder.path() + "/state";
    o.runtimes = python_and_node();
    o.jobs_max = jobs_max;
    return o;
  }
  void run_until(const bool& done) {
    for (int i = 0; i < 1'000 && !done; ++i) loop.step(milliseconds(10));
    REQUIRE(done);
  }
  TempFolder folder;
  SystemClock clock;
  Loop loop;
  Mailbox mailbox;
  StoreThread store;
};

StoreThread::Job create_job(StoreThread& store, const std::string& name,
                            std::function<void()> then) {
  return [&store, name, then](FunctionService& service) {
    const auto made = service.create(python_spec(name), service.prepare_code(python_zip().get()));
    HEARTH_ASSERT(made);
    store.answer(then);
  };
}

}  // namespace

TEST_CASE("the engine hears of a change before the client hears its answer") {
  Rig rig;
  const auto specs = rig.store.open();
  REQUIRE(specs);
  CHECK(specs->empty());
  std::vector<std::string> heard;
  rig.store.set_listener(
      [&](const FunctionChange& change) { heard.push_back("change " + change.name); });
  rig.store.start();
  bool done = false;
  REQUIRE(rig.store.post(create_job(rig.store, "a", [&] { heard.push_back("answer a"); })));
  REQUIRE(rig.store.post(create_job(rig.store, "b", [&] {
    heard.push_back("answer b");
    done = true;
  })));
  rig.run_until(done);
  CHECK(heard == std::vector<std::string>{"change a", "answer a", "change b", "answer b"});
}

TEST_CASE("a store that is opened again knows its functions") {
  const TempFolder folder;
  SystemClock clock;
  for (const size_t expected : {size_t{0}, size_t{1}}) {
    Loop loop(clock);
    Mailbox mailbox(loop, 64);
    StoreThread::Options options;
    options.state_folder = folder.path();
    options.runtimes = python_and_node();
    StoreThread store(mailbox, clock, Log(), options);
    const auto specs = store.open();
    REQUIRE(specs);
    CHECK(specs->size() == expected);
    store.start();
    if (expected == 0) REQUIRE(store.post(create_job(store, "kept", [] {})));
    store.stop();  // drains
  }
}

TEST_CASE("jobs beyond the limit are refused and those accepted run before the stop") {
  Rig rig(64, 3);
  REQUIRE(rig.store.open());
  std::atomic<int> ran{0};
  std::promise<void> gate;
  std::promise<void> entered;
  auto opened = gate.get_future().share();
  rig.store.start();
  REQUIRE(rig.store.post([&entered, opened](FunctionService&) {
    entered.set_value();
    opened.wait();
  }));
  entered.get_future().wait();
  for (int i = 0; i < 3; ++i) REQUIRE(rig.store.post([&](FunctionService&) { ++ran; }));
  CHECK_FALSE(rig.store.post([&](FunctionService&) { ++ran; }));
  gate.set_value();
  rig.store.stop();
  CHECK(ran == 3);
  CHECK_FALSE(rig.store.post([&](FunctionService&) { ++ran; }));
}

TEST_CASE("a full mailbox holds answers back and loses none") {
  Rig rig(1);
  REQUIRE(rig.store.open());
  rig.store.start();
  int answers = 0;
  bool done = false;
  for (int i = 0; i < 20; ++i) {
    REQUIRE(rig.store.post(
        [&](FunctionService&) { rig.store.answer([&] { done = ++answers == 20; }); }));
  }
  rig.run_until(done);
  CHECK(answers == 20);
}

TEST_CASE("the database's jobs do not wait for a code job") {
  Rig rig;
  REQUIRE(rig.store.open());
  rig.store.start();
  std::promise<void> gate;
  bool listed = false;
  bool created = false;
  REQUIRE(rig.store.post_code([&](const FunctionService& prepare) {
    auto code = std::make_shared<Result<StagedCode>>(prepare.prepare_code(python_zip().get()));
    gate.get_future().wait();  // a large archive
    HEARTH_ASSERT(rig.store.post([&, code](FunctionService& service) {
      HEARTH_ASSERT(service.create(python_spec("big"), std::move(*code)));
      rig.store.answer([&] { created = true; });
    }));
  }));
  REQUIRE(rig.store.post([&](FunctionService& service) {
    HEARTH_ASSERT(service.list("", 10)->records.empty());
    rig.store.answer([&] { listed = true; });
  }));
  rig.run_until(listed);
  CHECK_FALSE(created);
  gate.set_value();
  rig.run_until(created);
}

TEST_CASE("deploys and lists at the same time get on") {
  Rig rig;
  REQUIRE(rig.store.open());
  rig.store.start();
  constexpr int kDeploys = 30;
  int created = 0;
  bool done = false;
  for (int i = 0; i < kDeploys; ++i) {
    REQUIRE(rig.store.post_code([&, i](const FunctionService& prepare) {
      // Every second archive has the content of the one before.
      const UniqueFd zip = python_zip("v = " + std::to_string(i / 2) + "\n");
      auto code = std::make_shared<Result<StagedCode>>(prepare.prepare_code(zip.get()));
      HEARTH_ASSERT(rig.store.post([&, i, code](FunctionService& service) {
        HEARTH_ASSERT(service.create(python_spec("f" + std::to_string(i)), std::move(*code)));
        rig.store.answer([&] { done = ++created == kDeploys; });
      }));
    }));
    REQUIRE(rig.store.post([](FunctionService& service) { HEARTH_ASSERT(service.list("", 50)); }));
  }
  rig.run_until(done);
  CHECK(ServiceRig::take(list_names(rig.store.folder().code())).size() == kDeploys / 2);
  CHECK(ServiceRig::take(list_names(rig.store.folder().staging())).empty());
}

TEST_CASE("a stop drops the code jobs that wait and ends the one that runs") {
  Rig rig;
  REQUIRE(rig.store.open());
  rig.store.start();
  std::promise<void> entered;
  std::promise<void> gate;
  std::atomic<bool> posted{true};
  std::atomic<int> ran{0};
  REQUIRE(rig.store.post_code([&](const FunctionService&) {
    entered.set_value();
    gate.get_future().wait();
    // Until the stop; one at a time, so that it isn't their number for which they are refused.
    while (posted) {
      std::promise<void> done;
      posted = rig.store.post([&](FunctionService&) { done.set_value(); });
      if (posted) done.get_future().wait();
    }
  }));
  REQUIRE(rig.store.post_code([&](const FunctionService&) { ++ran; }));
  entered.get_future().wait();
  gate.set_value();
  rig.store.stop();
  CHECK_FALSE(posted);
  CHECK(ran == 0);
  CHECK_FALSE(rig.store.post_code([&](const FunctionService&) { ++ran; }));
}

TEST_CASE("signals do not run in the store's threads") {
  Rig rig;
  REQUIRE(rig.store.open());
  rig.store.start();
  std::promise<bool> blocked;
  REQUIRE(rig.store.post([&](FunctionService&) {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    blocked.set_value(sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGCHLD) == 1);
  }));
  CHECK(blocked.get_future().get());
  sigset_t mine;
  pthread_sigmask(SIG_SETMASK, nullptr, &mine);
  CHECK(sigismember(&mine, SIGTERM) == 0);
}

TEST_CASE("a stop does not wait for a loop that reads no mail") {
  Rig rig(1);
  REQUIRE(rig.store.open());
  rig.store.start();
  for (int i = 0; i < 10; ++i) {
    REQUIRE(rig.store.post([&](FunctionService&) { rig.store.answer([] {}); }));
  }
  rig.store.stop();
}
