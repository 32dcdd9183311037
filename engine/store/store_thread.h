// The store's thread: owns the state folder, the database, the function service and the logs. The
// loop posts jobs to it; results come back through the loop's mailbox.
#pragma once
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
  using Listener = std::function<void(const FunctionChange&)>;
  struct Options {
    std::string state_folder;
    Limits limits;
    RuntimeSet runtimes{};
    size_t jobs_max = 256;      // jobs that wait
    uint32_t log_segments = 8;  // files a function's log is cut into
  };

  // `mailbox` is the loop's, `clock` is read from several threads; both must outlive this.
  StoreThread(Mailbox& mailbox, const Clock& clock, Log log, Options options);
  ~StoreThread();  // stop()
  StoreThread(const StoreThread&) = delete;
  StoreThread& operator=(const StoreThread&) = delete;

  // On the caller's thread, before start(): takes the folder, migrates, checks the database,
  // removes what a kill left behind. Returns every function's current revision. No thread runs yet.
  // Errors: state_unusable, disk_full, store_failed, io_failed.
  Result<std::vector<FunctionSpecPtr>> open();

  // `on_change` runs on the loop's thread for each committed change, in order, and before whatever
  // the job that made it answers: once a client hears of a change, the engine has applied it.
  // Before start().
  void set_listener(Listener on_change) { on_change_ = std::move(on_change); }

  // Starts the store's and the logs' threads, with all signals blocked in them.
  void start();
  // Runs the jobs that wait, then ends the threads. Answers that the mailbox does not take any more
  // are dropped. On the loop's thread.
  void stop();

  // THREAD-SAFE. Jobs run in order. False: jobs_max wait already, or it is stopping.
  bool post(Job job);
  // For jobs, on the store's thread: runs `message` on the loop's thread. Waits while the mailbox
  // is full.
  void answer(Mailbox::Message message);

  // THREAD-SAFE, as LogFiles says; after open().
  LogFiles& logs() { return *logs_; }
  // After open(). Constant.
  const StateFolder& folder() const { return *folder_; }

 private:
  void run();
  void on_committed(const FunctionChange& change);

  Mailbox& mailbox_;
  const Clock& clock_;
  Log log_;
  const Options options_;
  Listener on_change_;

  std::optional<StateFolder> folder_;
  std::optional<Database> database_;
  std::optional<CodeStore> code_;
  std::optional<FunctionService> service_;
  std::optional<LogFiles> logs_;

  std::mutex mutex_;  // guards what follows, up to thread_
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace hearth
