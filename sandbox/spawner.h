// The spawner: one thread, one loop over the control socket, the lifeline and SIGCHLD. It holds at
// most slots_max sandboxes and takes no heap memory after its start. It ends, with all its
// sandboxes, when the lifeline or the control socket ends.
#pragma once
#include <memory>

#include "base/unique_fd.h"
#include "sandbox/egress/availability.h"
#include "sandbox/launch.h"
#include "sandbox/layers.h"
#include "sandbox/message.h"
#include "sandbox/spawner_protocol.h"

namespace hearth::sandbox {

class Spawner {
 public:
  // Takes the two descriptors over; -1, -1 for set_up() alone.
  Spawner(int control, int lifeline);

  // Takes the configuration from the control socket, sets everything up and answers kReady. False:
  // it answered why not.
  bool start();

  // The same without a socket, for probing: fills `ready`.
  bool set_up(const SpawnerConfig& config, ReadyMessage& ready);

  // Serves until the engine is gone; every sandbox is dead and reaped when it returns. The result
  // is the exit code.
  int serve();

 private:
  enum class State : uint8_t {
    kFree,
    kStarting,  // waits for the worker's exec
    kRunning,
    kEnding,  // init is gone; orphans of a mode without pid namespace remain to be killed
  };
  struct Slot {
    State state = State::kFree;
    bool worker_reported = false;
    bool bound = false;   // it has its code
    bool killed = false;  // by request
    uint32_t generation = 0;
    uint32_t runtime = 0;
    pid_t init = 0;
    pid_t worker = 0;
    int wait_status = 0;
    int64_t deadline_ms = 0;  // kStarting
    Failure failure;          // kStarting: why it failed
    char step[sizeof(Report{}.step)] = {};
    char detail[kDetailMax] = {};
    UniqueFd report, status, mounts;
    Network network = Network::kNone;
    UniqueFd stub, users, listener, agent_end;  // kEgress: what its agent is started with
    pid_t agent = 0;                            // kEgress: 0 = not yet, or it has ended
    UniqueFd engine_ends[kSpawnFds];
  };
  // What waits for room in the control socket.
  struct Outgoing {
    MessageType type;
    uint32_t slot, generation;
    int32_t error, pid, wait_status;
    bool killed;
    char detail[kDetailMax];
    UniqueFd fds[kSpawnFds];
  };

  Failure prepare(char (&detail)[kDetailMax]);
  Failure check_degraded_paths(char (&detail)[kDetailMax]) const;
  Failure raise_descriptor_limit() const;
  Failure run_trial();
  Failure watch(int fd, uint64_t tag, uint32_t events);
  bool receive_config(SpawnerConfig& config);

  void on_control(uint32_t events);
  void on_request(const Request& request);
  void spawn(const Request& request);
  Failure open_and_launch(Slot& slot, const Request& request, UniqueFd& report);
  void assign(const Request& request);
  Failure bind_code(Slot& slot, const Request& request);
  void kill_slot_processes(Slot& slot);
  Failure start_agent(Slot& slot);
  void end_agent(Slot& slot);
  bool forget_agent(pid_t pid);
  void take_descriptor(Slot& slot, uint32_t kind, int fd);
  void real_code_path(const char* code, char (&path)[kDetailMax]) const;

  void on_report(Slot& slot);
  bool read_report(Slot& slot);
  void on_started(Slot& slot);
  void fail_start(Slot& slot, const char* step, int error);
  void on_child();
  void on_init_exit(Slot& slot, int status);
  void finish(Slot& slot);
  void sweep_strays();
  void check_deadlines();
  void end_all();

  Outgoing& push(MessageType type, const Slot* slot, uint32_t index);
  void answer(MessageType type, uint32_t slot, uint32_t generation, int error, const char* detail);
  void flush();
  bool send_front();

  uint32_t index_of(const Slot& slot) const { return static_cast<uint32_t>(&slot - slots_.get()); }
  uint32_t uid_of(uint32_t slot) const;
  Slot* find_init(pid_t pid);
  int timeout_ms() const;

  UniqueFd control_, lifeline_, epoll_, signals_, own_mounts_;
  UniqueFd init_lifeline_read_, init_lifeline_write_;
  SpawnerConfig config_{};
  Filters filters_;
  egress::Tools egress_;
  LayerFacts facts_;
  std::unique_ptr<Slot[]> slots_;
  std::unique_ptr<Outgoing[]> outgoing_;  // a ring
  size_t outgoing_first_ = 0, outgoing_count_ = 0, outgoing_max_ = 0;
  uint32_t starting_ = 0, ending_ = 0;
  uint64_t dropped_ = 0;  // messages that made no sense
  bool as_root_ = false;
  bool wants_write_ = false;
  bool done_ = false;
};

}  // namespace hearth::sandbox
