// The engine's side of the spawner: starts it, asks for workers, hears how they end. Loop thread
// only; open() blocks until the spawner is ready.
#pragma once
#include <deque>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "core/ports.h"
#include "loop/loop.h"
#include "loop/poll.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/start.h"

namespace hearth::worker {

struct Spawned {
  WorkerId worker;
  int error = 0;
  std::string detail;  // what failed; in kAssigned: the folder at which the worker sees the code
  int pid = 0;
  UniqueFd channel;
  UniqueFd out;
  UniqueFd err;
};

class Launcher {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void on_spawned(Spawned&& spawned) = 0;
    virtual void on_assigned(WorkerId worker, int error, std::string_view detail) = 0;
    virtual void on_exited(WorkerId worker, int wait_status, bool by_request,
                           bool out_of_memory) = 0;
    // The spawner is gone, and every worker with it. Nothing follows.
    virtual void on_spawner_lost(std::string_view detail) = 0;
  };

  Launcher(Loop& loop, Owner& owner, Log log);
  ~Launcher();  // closes the lifeline: the spawner kills what is left; waits for it up to 5 s

  // Starts the spawner with `config`. Errors: sandbox_unavailable (a mode that can't be met, with
  // the fix), io_failed.
  Status open(const sandbox::SpawnerConfig& config);

  void spawn(WorkerId worker, uint32_t runtime, uint64_t memory_bytes, std::string_view code_sha256,
             std::string_view entry);
  void assign(WorkerId worker, uint64_t memory_bytes, std::string_view code_sha256);
  void kill(WorkerId worker);

  const sandbox::ReadyMessage& ready() const { return ready_; }
  int pid() const { return process_.pid; }

 private:
  template <class Message>
  void send(Message& message, sandbox::MessageType type);
  void on_poll(int events);
  bool receive_one();
  void handle(const char* data, size_t size, int* fds, int fd_count);
  void flush();
  void lost(std::string_view why);

  Loop& loop_;
  Owner& owner_;
  Log log_;
  sandbox::SpawnerProcess process_;
  sandbox::ReadyMessage ready_{};
  Poll poll_;
  std::deque<std::string>
      waiting_;  // requests that the socket had no room for; at most two a worker slot
  bool lost_ = false;
};

}  // namespace hearth::worker
