// The spawner: one thread, one loop over the control socket, the lifeline and SIGCHLD. It holds at
// most slots_max sandboxes and takes no heap memory after its start. It ends, with all its
// sandboxes, when the lifeline or the control socket ends.
#pragma once
#include <sys/epoll.h>

#include <memory>

#include "base/unique_fd.h"
#include "sandbox/cgroup.h"
#include "sandbox/egress/availability.h"
#include "sandbox/launch.h"
#include "sandbox/layers.h"
#include "sandbox/leftovers.h"
#include "sandbox/message.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/zygote_keeper.h"

namespace hearth::sandbox {

// Sandboxes that start at the same time; requests beyond wait in the control socket.
inline constexpr uint32_t kStartingMax = 128;

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
  static constexpr uint32_t kNone = UINT32_MAX;

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
    bool zygote = false;
    bool forked = false;
    bool ended = false;  // a family's last worker: gone, and its sandbox is on its way out
    bool with_family = false;
    bool ended_before_kill = false;
    bool frozen = false;
    uint32_t generation = 0;
    uint32_t runtime = 0;
    uint64_t tmp_bytes = 0;
    CgroupLimits limits{};  // of a family's worker
    CgroupEvents before;    // of the slot's group, when this life began
    pid_t init = 0;         // 0 while starting: the generic zygote has not made it yet
    pid_t reported_init = 0;
    pid_t worker = 0;
    uint32_t warm = kNone;  // kStarting by the generic zygote: index into warm_
    uint32_t family = kNone;
    uint32_t uid_index = 0;
    pid_t inner_pid = 0;  // of a family's worker, as its init sees it
    int wait_status = 0;
    int64_t deadline_ms = 0;  // kStarting; of a running worker whose end init did not tell
    Failure failure;          // kStarting: why it failed
    char step[sizeof(Report{}.step)] = {};
    char detail[kDetailMax] = {};
    UniqueFd report, status, mounts, pidfd;
    Network network = Network::kNone;
    UniqueFd stub, users, listener, agent_end;  // what its agent is started with
    pid_t agent = 0;                            // 0 = none, not yet, or it has ended
    UniqueFd engine_ends[kSpawnFds];
  };
  // The sandbox of a zygote and its workers. It has at least one slot as long as it lives.
  struct Family {
    pid_t init = 0;
    uint32_t slots = 0;
    bool taken = false;  // the kill of one takes all
    UniqueFd status;
  };
  // A start by the generic zygote, until its worker runs.
  struct WarmStart {
    bool taken = false;
    bool handed = false;  // to the zygote; until then the ends are here
    uint32_t slot = 0;
    Request request{};
    UniqueFd ends[kStartFds];
  };
  // What waits for room in the control socket.
  struct Outgoing {
    MessageType type;
    uint32_t slot, generation;
    int32_t error, pid, wait_status;
    uint32_t leftovers;
    bool killed, oom, oom_child, pids_hit, with_family, warm;
    uint8_t fds_there;
    char detail[kDetailMax];
    UniqueFd fds[kForkFds];
  };

  Failure prepare(char (&detail)[kDetailMax]);
  Failure check_degraded_paths(char (&detail)[kDetailMax]) const;
  Failure raise_descriptor_limit() const;
  void open_cgroups();
  Failure run_trial();
  Failure run_trial_or_without_cgroups();
  Failure watch(int fd, uint64_t tag, uint32_t events);
  bool receive_config(SpawnerConfig& config);

  void on_control(uint32_t events);
  void on_request(const Request& request);
  void spawn(const Request& request);
  Failure begin(Slot& slot, const Request& request);
  Failure open_and_launch(Slot& slot, const Request& request);
  Failure open_sandbox(Slot& slot, const Request& request, UniqueFd (&ends)[kStartFds]);
  static Failure open_ends(Slot& slot, UniqueFd (&there)[kForkFds]);
  Failure start_in_cgroup(uint32_t slot, pid_t init, int report);
  CgroupLimits group_limits(const Request& request, uint32_t runtime, uint64_t tmp_bytes) const;
  uint64_t data_limit(const Request& request, uint32_t runtime, uint64_t tmp_bytes) const;
  uint32_t nproc_limit(uint32_t slot) const;
  void freeze(Slot& slot, bool frozen);
  void tell_events(const Slot& slot, Outgoing& out) const;
  void request_kill(Slot& slot);
  // spawner_leftovers.cc
  void clear_leftovers(Slot& slot, bool kill);
  Failure clear_group(const Slot& slot, Leftovers& found);
  Failure clear_tree(const Slot& slot, Leftovers& found);
  void assign(const Request& request);
  Failure bind_code(Slot& slot, const Request& request);
  void kill_slot_processes(Slot& slot);
  Failure open_egress(Slot& slot, Network network);
  const sock_fprog* filter_of(const Request& request) const;
  Failure start_agent(Slot& slot);
  void end_agent(Slot& slot);
  bool forget_agent(pid_t pid);
  bool is_agent(pid_t pid) const;
  void take_descriptor(Slot& slot, uint32_t kind, int fd);
  void real_code_path(const char* code, char (&path)[kDetailMax]) const;

  void on_report(Slot& slot);
  bool read_report(Slot& slot);
  void on_started(Slot& slot);
  void hold_worker(Slot& slot) const;
  void fail_start(Slot& slot, const char* step, int error);
  void on_child();
  void on_init_exit(Slot& slot, int status);
  void finish(Slot& slot);
  void sweep_strays();
  void check_deadlines();
  void end_all();

  // spawner_zygote.cc
  bool may_start_warm(const Request& request);
  Failure start_warm(Slot& slot, const Request& request);
  void hand_warm_starts();
  bool hand_warm_start(const Slot& slot, WarmStart& start);
  Failure take_init(Slot& slot, pid_t pid);
  void start_anew(Slot& slot);
  void end_warm_start(Slot& slot);
  void abandon_start(Slot& slot, const Failure& why);
  static bool awaits_init(const Slot& slot) { return slot.warm != kNone && slot.init == 0; }

  // spawner_family.cc
  uint32_t free_family() const;
  uint32_t family_group(uint32_t family) const { return config_.slots_max + family; }
  Failure found_family(Slot& slot);
  Failure join_own_group(Slot& slot);
  void request_kill_in_family(Slot& slot);
  void leave_family(Slot& slot);
  void fork_worker(const Request& request);
  Failure open_fork(Slot& slot, const Slot& zygote, const Request& request);
  void on_fork_report(Slot& slot);
  Failure read_fork_report(Slot& slot);
  Failure know_process(Slot& slot);
  void fail_fork(Slot& slot, const char* step, int error);
  void on_family_event(uint64_t tag);
  void on_process_gone(Slot& slot);
  void read_ends(uint32_t family);
  void end_member(Slot& slot, int status);
  void kill_family(Slot& slot);
  bool on_family_exit(pid_t init);
  uint32_t free_uid_index(uint32_t preferred) const;

  Outgoing& push(MessageType type, const Slot* slot, uint32_t index);
  void answer(MessageType type, uint32_t slot, uint32_t generation, int error, const char* detail);
  void flush();
  bool crowded() const { return starting_ >= kStartingMax; }
  bool send_front();

  uint32_t index_of(const Slot& slot) const { return static_cast<uint32_t>(&slot - slots_.get()); }
  uint32_t uid_of(uint32_t uid_index) const;
  Slot* find_init(pid_t pid);
  bool is_init(pid_t pid);
  int timeout_ms() const;

  UniqueFd control_, lifeline_, epoll_, signals_, own_mounts_;
  UniqueFd init_lifeline_read_, init_lifeline_write_;
  SpawnerConfig config_{};
  Filters filters_;
  egress::Tools egress_;
  LayerFacts facts_;
  Cgroups cgroups_;
  ZygoteKeeper zygotes_;
  std::unique_ptr<WarmStart[]> warm_;  // kStartingMax
  std::unique_ptr<Slot[]> slots_;
  std::unique_ptr<Outgoing[]> outgoing_;  // a ring
  size_t outgoing_first_ = 0, outgoing_count_ = 0, outgoing_max_ = 0;
  std::unique_ptr<Family[]> families_;
  uint32_t starting_ = 0, ending_ = 0;
  uint32_t untold_ = 0;   // running slots whose process is gone, and init has not told its status
  uint64_t dropped_ = 0;  // messages that made no sense
  bool as_root_ = false;
  uint32_t control_events_ = EPOLLIN | EPOLLRDHUP;  // that the control socket is watched for
  bool done_ = false;
};

}  // namespace hearth::sandbox
