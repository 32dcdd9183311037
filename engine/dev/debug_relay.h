// Carries the connections of a developer's debugger, made to 127.0.0.1, into the network of the
// worker that runs the function now. A debugger that comes before the worker's own one listens, at
// the start or after a save, waits for it. Loop thread only; gone before the loop.
#pragma once
#include <cstdint>
#include <functional>
#include <list>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/timer_wheel.h"
#include "base/unique_fd.h"
#include "dev/worker_socket.h"
#include "loop/loop.h"
#include "loop/poll.h"

namespace hearth::dev {

class DebugRelay {
 public:
  static constexpr size_t kLinksMax = 16;           // connections at once; more are closed
  static constexpr size_t kBufferMax = 256 * 1024;  // bytes that wait in one direction
  static constexpr milliseconds kRetry{50};         // between two tries to reach the worker
  static constexpr milliseconds kWaitMax{10'000};   // then a connection without a worker is closed

  // `worker` gives the pid of the function's worker, 0 when there is none.
  DebugRelay(Loop& loop, std::function<int()> worker) : loop_(loop), worker_(std::move(worker)) {}
  ~DebugRelay();
  DebugRelay(const DebugRelay&) = delete;
  DebugRelay& operator=(const DebugRelay&) = delete;

  // Listens at 127.0.0.1:`port`; the worker's debugger has the same port in its own network.
  // Errors: listen_failed.
  Status listen(uint16_t port);

 private:
  struct Side {
    UniqueFd fd;
    Poll poll;
    std::string out;     // to be written here
    bool ended = false;  // no more comes from here
  };
  struct Link {
    DebugRelay* relay = nullptr;
    MonotonicTime until;  // it may wait for the worker
    WorkerSocket asked;
    Poll answer;
    bool waiting = true;  // for a worker to ask for
    Side client, worker;
    bool over = false;
    void ask();
    void wait();
    bool client_has_gone() const;
    void on_answer(int events);
    void on_client(int events);
    void on_worker(int events);
    void pump(Side& from, Side& to, int events);
    void update();
  };
  void on_accept(int events);
  void on_retry();

  Loop& loop_;
  std::function<int()> worker_;
  uint16_t port_ = 0;
  UniqueFd listener_;
  Poll accept_;
  Timer retry_;
  std::list<Link> links_;
};

}  // namespace hearth::dev
