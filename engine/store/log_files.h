// The functions' logs: rotating files under logs/NAME/, written in batches by a thread of their
// own, so that neither a slow disk nor SQLite's fsync holds the loop up.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/result.h"
#include "store/log_reader.h"
#include "store/log_record.h"
#include "store/log_writer.h"

namespace hearth {

enum class LogEntryKind : uint8_t { line, add, remove };

class LogFiles {
 public:
  struct Options {
    uint64_t segment_bytes = 8u << 20;  // limits.log_function_max / segments
    uint32_t segments = 8;              // files a function
    size_t pending_max = 4u << 20;      // bytes that wait for the writer; more are dropped, counted
    milliseconds batch{5};              // how long the writer collects before it writes
  };

  // `folder`: the logs folder's descriptor, which must outlive this.
  LogFiles(int folder, const Clock& clock, Options options);
  ~LogFiles();  // stop()
  LogFiles(const LogFiles&) = delete;
  LogFiles& operator=(const LogFiles&) = delete;

  // Starts the writer, with all signals blocked in it.
  void start();
  // Writes what was appended, then ends the writer. Later appends are dropped.
  void stop();

  // THREAD-SAFE, all below.
  // Only functions that were added are written for; removing one removes its files. In order with
  // append().
  void add(std::string_view function);
  void remove(std::string_view function);
  // Removes the files of functions that were not added. Before start().
  Status remove_strangers();

  // Takes a copy. Never blocks on the disk; allocates nothing unless it drops. When pending_max
  // bytes wait, or the disk takes no more, the record is dropped, and a line in the log tells how
  // many were as soon as there is one.
  void append(std::string_view function, const LogRecord& record);
  // Returns when everything appended before is in the files.
  void flush();

  // flush(), then read_log().
  Result<LogPage> read(std::string_view function, const LogQuery& query);

  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  void push(LogEntryKind kind, std::string_view function, const LogRecord* record);
  void note_drop(std::string_view function);
  void run();
  void write_batch(std::string_view batch, const std::map<std::string, uint64_t>& drops);
  void write_lines(std::string_view function, std::string_view lines);
  std::string drop_marker(uint64_t count) const;

  const int folder_;
  const Clock& clock_;
  const Options options_;
  LogWriter writer_;  // the writer thread's; before start() the starter's
  // Lines that no file has got and no line tells of yet, per function; the writer thread's too.
  std::map<std::string, uint64_t, std::less<>> lost_;

  std::mutex mutex_;  // guards what follows, up to thread_
  std::condition_variable wake_;
  std::condition_variable written_;
  std::string pending_;                    // entries, see push()
  std::map<std::string, uint64_t> drops_;  // lines dropped per function since the last batch
  uint64_t appended_ = 0;                  // entries so far
  uint64_t done_ = 0;                      // of these, in the files
  uint32_t flushing_ = 0;                  // callers inside flush()
  bool idle_ = false;                      // the writer waits without a time limit
  bool running_ = false;
  bool stopping_ = false;

  std::atomic<uint64_t> dropped_{0};
  std::thread thread_;
};

}  // namespace hearth
