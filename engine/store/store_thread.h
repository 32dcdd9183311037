// The store's threads: they own the state folder, the database, the function service and the logs.
// The loop posts jobs; results come back through the loop's mailbox. One thread has the database.
// A second one takes uploads apart, so that no list and no log waits for a large deploy.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "loop/mailbox.h"
#include "store/function_service.h"
#include "store/log_files.h"
#include "store/state_folder.h"

namespace hearth {

class StoreThread {
 public:
  using Job = std::function<void(FunctionService&)>;
  // What is const in the service is thread-safe.
  using CodeJob = std::function<void(const FunctionService&)>;
  using Listener = std::function<void(const FunctionChange&)>;
  struct Options {
    std::string state_folder;
    Limits limits;
    RuntimeCatalogue runtimes;
    // The mode in force; any = off. Below user, an unpacker of archives that can't confine itself
    // works all the same.
    SandboxLeast sandbox = SandboxLeast::strict;
    NetworkProblems network;    // which of its modes can't be had
    size_t jobs_max = 256;      // jobs that wait, for each of the two threads
    uint32_t log_segments = 8;  // files a function's log is cut into
  };

  // `mailbox` is the loop's, `clock` is read from several threads; both must outlive this.
  StoreThread(Mailbox& mailbox, const Clock& clock, Log log, Options options);
  ~StoreThread();  // stop()
  StoreThread(const StoreThread&) = delete;
  StoreThread& operator=(const StoreThread&) = delete;

  // The mode in force, known once the spawner runs. Before open().
  void set_sandbox(SandboxLeast mode, NetworkProblems network) {
    options_.sandbox = mode;
    options_.network = std::move(network);
  }
  // On the caller's thread, before start(): opens the folder, migrates, checks the database,
  // removes what a kill left behind. Returns every function's current revision. No thread runs yet.
  // Errors: state_unusable, disk_full, store_failed, io_failed.
  Result<std::vector<FunctionSpecPtr>> open(StateLock lock);
  // The same after StateLock::take() of options.state_folder.
  Result<std::vector<FunctionSpecPtr>> open();

  // `on_change` runs on the loop's thread for each committed change, in order, and before whatever
  // the job that made it answers: once a client hears of a change, the engine has applied it.
  // Before start().
  void set_listener(Listener on_change) { on_change_ = std::move(on_change); }

  // Starts the threads, with all signals blocked in them.
  void start();
  // Runs the jobs that wait for the database, drops the code jobs that wait (they have changed
  // nothing, and nobody was told anything), gives up an unpacking, then ends the threads. Answers
  // that the mailbox does not take any more are dropped. On the loop's thread.
  void stop();

  // THREAD-SAFE. Jobs run in order. False: jobs_max wait already, or it is stopping.
  bool post(Job job);
  // THREAD-SAFE. The same for what takes long and changes nothing but staging/; such a job ends
  // with a post() or an answer(). In order among themselves, beside the jobs of post().
  bool post_code(CodeJob job);
  // For jobs of both kinds: runs `message` on the loop's thread. Waits while the mailbox is full.
  void answer(Mailbox::Message message);

  // THREAD-SAFE, as LogFiles says; after open().
  LogFiles& logs() { return *logs_; }
  // THREAD-SAFE, after open().
  const UnpackStats& unpack_stats() const { return code_->stats(); }
  // After open(). Constant.
  const StateFolder& folder() const { return *folder_; }

 private:
  void run();
  void run_code();
  void on_committed(const FunctionChange& change);
  void on_layers(uint32_t layers, const std::string& missing);

  Mailbox& mailbox_;
  const Clock& clock_;
  Log log_;
  Options options_;  // fixed by open()
  Listener on_change_;

  std::optional<StateFolder> folder_;
  std::optional<Database> database_;
  std::optional<CodeStore> code_;
  std::optional<FunctionService> service_;
  std::optional<LogFiles> logs_;

  std::mutex mutex_;  // guards what follows, up to thread_
  std::condition_variable wake_;
  std::condition_variable code_wake_;
  std::condition_variable stop_wake_;
  std::deque<Job> jobs_;
  std::deque<CodeJob> code_jobs_;
  bool stopping_ = false;
  bool code_busy_ = false;  // a code job runs

  std::atomic<uint32_t> layers_logged_ = ~0U;

  std::thread thread_;
  std::thread code_thread_;
};

}  // namespace hearth
