// For the tests of the spawner: a temp folder with a code store, a spawner started on it, and the
// engine's side of the protocol.
#pragma once
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/start.h"

namespace hearth::sandbox {

bool running_as_root();

// A folder below /var/tmp that goes with the object. World-readable, as a worker's own uid must get
// into it; not in /tmp, which a sandbox has for itself.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string code_hash(char digit);  // 64 times that digit: names a folder of the rig's code store

struct TestWorker {
  uint32_t slot = 0, generation = 0;
  int pid = 0;
  int error = 0;
  std::string detail;
  UniqueFd channel, out, err, egress, api;
  bool warm = false;  // a copy of the generic zygote

  // Reads one line from the channel; empty = the end, or nothing came within 10 s.
  std::string line();
  // Runs an attempt of testcases/worker.c; "0", "E13", "S31".
  std::string attempt(const std::string& text);
  void send(const std::string& text);
};

// Mode user as root runs the spawner as `nobody`: that is what it is for.
class Rig {
 public:
  explicit Rig(Mode mode, uint32_t slots = 8);
  ~Rig();

  SpawnerConfig config;
  TempFolder folder;
  bool as_nobody = true;            // as root, for mode user
  std::vector<std::string> groups;  // as nobody: cgroups that the spawner is moved into first
  // A line of an embedded policy which the spawner is to do without: {policy, text of the line}.
  std::pair<std::string, std::string> without_line;
  std::string ready_error;  // empty = it is ready
  ReadyMessage ready{};

  void start();
  void make_code(char digit, const std::string& file, const std::string& text);
  std::string code_path(char digit) const;
  uint32_t add_runtime(const char* name, const std::string& path,
                       const std::vector<std::string>& args);

  SpawnRequest spawn_request(uint32_t slot, uint32_t runtime) const;
  TestWorker spawn(uint32_t slot, uint32_t runtime = 0, uint64_t memory = 0,
                   Network network = Network::kNone);
  TestWorker spawn(SpawnRequest request);  // with a generation of its own
  Answer assign(const TestWorker& worker, const std::string& hash, uint64_t memory = 0);
  void kill(const TestWorker& worker);
  // A worker with `family` set, whose program is testcases/zygote.c.
  TestWorker spawn_zygote(uint32_t slot, uint32_t runtime);
  // Asks for a fork and hands the far ends to the zygote with `command`. What the spawner makes of
  // it is waited for by forked().
  TestWorker fork(const TestWorker& zygote, uint32_t slot, const std::string& command);
  void forked(TestWorker& worker);  // takes the spawner's word into pid, error, detail
  ExitedMessage wait_exit();        // generation 0xffffffff: none came
  void send_raw(const void* bytes, size_t size);
  // The next message other than kExited, which are kept for wait_exit().
  Answer wait_answer(UniqueFd (&fds)[kSpawnFds]);

  int spawner_pid() const { return pid_; }
  void close_lifeline() { lifeline_.reset(); }
  bool spawner_ends(int timeout_ms);  // reaps it
  int control() const { return control_.get(); }

 private:
  std::string image() const;
  void start_program(bool as_nobody);
  bool receive(std::vector<char>& message, std::vector<UniqueFd>& fds);
  Answer wait_answer(std::vector<UniqueFd>& fds);

  UniqueFd control_, lifeline_, pidfd_;
  int pid_ = -1;
  uint32_t generation_ = 0;
  std::vector<ExitedMessage> exits_;
};

// Waits until `pid` is gone or a zombie of somebody else; false: still there after 10 s.
bool process_ends(int pid);

const char* mode_name(Mode mode);

// Whether this machine can run it; warns when not.
bool allowed(Mode mode);

}  // namespace hearth::sandbox
