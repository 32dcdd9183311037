// The engine's side of the spawner: starts it, asks for workers, hears how they end. Loop thread
// only; open() blocks until the spawner is ready.
#pragma once
#include <array>
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
  bool warm = false;  // a copy of the generic zygote
  UniqueFd channel;
  UniqueFd out;
  UniqueFd err;
  UniqueFd egress;  // not with Network::kNone
  UniqueFd api;     // of a runtime that speaks HTTP: its listening socket
};

// What a sandbox is given; 0 = the spawner's default or ceiling (spawner_protocol.h).
struct SandboxLimits {
  uint64_t memory_bytes = 0;
  uint64_t tmp_bytes = 0;  // fixed at the spawn
  uint32_t cpu_millis = 0;
};

struct SpawnKind {
  bool family = false;           // a zygote
  bool own_environment = false;  // waits for an ENVIRONMENT frame before its exec
};

// What the spawner made for a worker that is to be forked from a zygote.
struct ForkEnds {
  WorkerId worker;
  UniqueFd channel;
  UniqueFd out;
  UniqueFd err;
  std::array<UniqueFd, sandbox::kForkFds - size_t{sandbox::kPlainFds}> far;  // for the zygote
};

class Launcher {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // Of a forked worker without descriptors: they came with on_fork_ends.
    virtual void on_spawned(Spawned&& spawned) = 0;
    virtual void on_fork_ends(ForkEnds&& ends) = 0;
    virtual bool has_ends(WorkerId worker) const = 0;  // did on_fork_ends come?
    virtual void on_assigned(WorkerId worker, int error, std::string_view detail) = 0;
    // The answer to clear_leftovers; `names` are those of processes that it found.
    virtual void on_leftovers(WorkerId worker, int error, uint32_t count,
                              std::string_view names) = 0;
    virtual void on_exited(WorkerId worker, const sandbox::ExitedMessage& exited) = 0;
    // The spawner is gone, and every worker with it. Nothing follows.
    virtual void on_spawner_lost(std::string_view detail) = 0;
  };

  Launcher(Loop& loop, Owner& owner, Log log);
  ~Launcher();  // closes the lifeline: the spawner kills what is left; waits for it up to 5 s

  // Starts the spawner with `config`. Errors: sandbox_unavailable (a mode that can't be met, with
  // the fix), io_failed.
  Status open(const sandbox::SpawnerConfig& config);

  void spawn(WorkerId worker, uint32_t runtime, const SandboxLimits& limits,
             sandbox::Network network, std::string_view code_sha256, std::string_view entry,
             const SpawnKind& kind = {});
  // on_fork_ends and then on_spawned follow, or on_spawned with an error.
  void fork(WorkerId worker, WorkerId zygote, const SandboxLimits& limits);
  void assign(WorkerId worker, const SandboxLimits& limits, std::string_view code_sha256);
  void kill(WorkerId worker);
  // SIGTERM to the worker of a runtime that speaks HTTP.
  void terminate(WorkerId worker);
  // Stops every process of the sandbox where it stands, and lets it go on. Nothing where there is
  // no freezer (Layer::kFreezer).
  void freeze(WorkerId worker);
  void thaw(WorkerId worker);
  // Freezes, and kills or counts what is there beyond the worker. on_leftovers or on_exited
  // follows.
  void clear_leftovers(WorkerId worker, bool kill);

  const sandbox::ReadyMessage& ready() const { return ready_; }
  int pid() const { return process_.pid; }

 private:
  void send_slot(WorkerId worker, sandbox::MessageType type);
  template <class Message>
  void send(Message& message, sandbox::MessageType type);
  void on_poll(int events);
  bool receive_one();
  void handle(const char* data, size_t size, int* fds, int fd_count);
  void hand_over_ends(WorkerId worker, int* fds);
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
