// Keeps a generic zygote running for the one runtime that has one (generic_zygote.h): starts it,
// replaces it after so many workers, and does without it for a while when it fails. Thread-free
// like the spawner whose part it is; takes no memory after prepare().
#pragma once
#include "base/unique_fd.h"
#include "sandbox/generic_zygote.h"
#include "sandbox/layers.h"

namespace hearth::sandbox {

class ZygoteKeeper {
 public:
  enum class State : uint8_t {
    kNone,     // start by an exec
    kBooting,  // the first one is on its way, and worth waiting for
    kReady,
  };

  // Before build_template(): finds the flagged runtime and looks at its interpreter.
  void choose(const SpawnerConfig& config);
  // After it: all that its processes need. What can't be had is reason(); a Failure is a spawner
  // that can't go on. `own_mounts` and `lifeline` are borrowed for good.
  Failure prepare(const Filters& filters, int landlock, int own_mounts, int lifeline);
  // Starts the first one; its events come with kTagZygote | pid.
  void open(int epoll);

  bool available() const { return available_; }
  const char* reason() const { return reason_; }
  uint32_t runtime() const { return runtime_; }

  State state() const;
  // Hands the descriptors over (-1: kStartGroup alone may be missing). False: it could not be sent.
  bool hand(ZygoteStart& start, const int (&fds)[kStartFds]);
  // A worker of it runs.
  void worked() { failures_ = 0; }
  // It did not do what it should: it is killed, and another one comes after a pause.
  void fail();

  void on_event(pid_t pid);
  bool is_one(pid_t pid) const;
  bool forget(pid_t pid);  // reaped; false: none of ours
  // Starts one if there is none and the pause after the last failure is over; gives up on one that
  // does not get ready. To be called at least every second while there is a deadline.
  void check_deadline();
  bool has_deadline() const { return next_.pid != 0 || missing(); }
  void end();  // kills them all

 private:
  struct Process {
    pid_t pid = 0;
    uint32_t forks = 0;
    int64_t deadline_ms = 0;  // until it is ready
    UniqueFd control;
  };
  bool missing() const { return available_ && serving_.pid == 0 && next_.pid == 0; }
  void start_next();
  void drop(Process& process);
  void pause();

  const SpawnerConfig* config_ = nullptr;
  const sock_fprog* filter_ = nullptr;
  uint32_t runtime_ = 0;
  int own_mounts_ = -1, lifeline_ = -1, epoll_ = -1;
  UniqueFd mounts_, plan_;
  Process serving_, next_;
  pid_t retired_ = 0;  // ends by itself when its last messages are read
  uint32_t failures_ = 0;
  int64_t retry_ms_ = 0;
  bool available_ = false, was_ready_ = false;
  const char* reason_ = "no runtime has one";
};

}  // namespace hearth::sandbox
