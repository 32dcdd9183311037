#include "store/log_files.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "store/quiet_thread.h"

namespace hearth {
namespace {

constexpr size_t kNameMax = 64;          // kFunctionNameMax
constexpr size_t kDropNamesMax = 1'000;  // functions that are told what was dropped
constexpr size_t kHeader = 2 + sizeof(uint32_t);
constexpr size_t kControlRoom = 16 * 1024;  // adds and removes go in above pending_max

}  // namespace

LogFiles::LogFiles(int folder, const Clock& clock, Options options)
    : folder_(folder),
      clock_(clock),
      options_(options),
      writer_(folder, options.segment_bytes, options.segments) {
  pending_.reserve(options_.pending_max + kControlRoom);
}

LogFiles::~LogFiles() { stop(); }

void LogFiles::start() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    HEARTH_ASSERT(!running_ && !stopping_);
    running_ = true;
  }
  thread_ = start_quiet_thread("hearth-logs", [this] { run(); });
}

void LogFiles::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

void LogFiles::add(std::string_view function) { push(LogEntryKind::add, function, nullptr); }

void LogFiles::remove(std::string_view function) { push(LogEntryKind::remove, function, nullptr); }

Status LogFiles::remove_strangers() {
  // The writer thread does not run yet: what add() left waiting is applied here.
  write_batch(std::exchange(pending_, {}), {});
  pending_.reserve(options_.pending_max + kControlRoom);
  return writer_.remove_strangers();
}

void LogFiles::append(std::string_view function, const LogRecord& record) {
  push(LogEntryKind::line, function, &record);
}

// An entry: kind, length of the name, length of the line (4 bytes), name, line.
void LogFiles::push(LogEntryKind kind, std::string_view function, const LogRecord* record) {
  if (function.empty() || function.size() > kNameMax) return;
  const size_t line_max = record == nullptr ? 0 : log_line_max(*record);
  const std::lock_guard<std::mutex> lock(mutex_);
  const size_t begin = pending_.size();
  const size_t need = kHeader + function.size() + line_max;
  if (record != nullptr && (stopping_ || begin + need > options_.pending_max)) {
    return note_drop(function);
  }
  pending_.resize(begin + need);
  char* const start = pending_.data() + begin;
  start[0] = static_cast<char>(kind);
  start[1] = static_cast<char>(function.size());
  std::memcpy(start + kHeader, function.data(), function.size());
  char* const line = start + kHeader + function.size();
  char* const end = record == nullptr ? line : write_log_line(line, *record);
  const auto length = static_cast<uint32_t>(end - line);
  std::memcpy(start + 2, &length, sizeof length);
  pending_.resize(begin + static_cast<size_t>(end - start));
  ++appended_;
  if (idle_) wake_.notify_one();
  idle_ = false;
}

void LogFiles::note_drop(std::string_view function) {
  dropped_.fetch_add(1, std::memory_order_relaxed);
  if (drops_.size() < kDropNamesMax) ++drops_[std::string(function)];
}

void LogFiles::flush() {
  std::unique_lock<std::mutex> lock(mutex_);
  if (!running_) return;
  const uint64_t target = appended_;
  ++flushing_;
  wake_.notify_one();
  written_.wait(lock, [&] { return done_ >= target || !running_; });
  --flushing_;
}

void LogFiles::run() {
  std::string batch;
  batch.reserve(options_.pending_max + kControlRoom);
  std::map<std::string, uint64_t> drops;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    while (pending_.empty() && drops_.empty() && !stopping_) {
      idle_ = true;
      wake_.wait(lock);
    }
    idle_ = false;
    if (pending_.empty() && drops_.empty()) break;
    // Collect a little: many lines, one write. A flush and the end do not wait.
    const auto hurry = [this] { return flushing_ > 0 || stopping_; };
    wake_.wait_for(lock, options_.batch, hurry);
    pending_.swap(batch);
    drops.swap(drops_);
    const uint64_t upto = appended_;
    lock.unlock();
    write_batch(batch, drops);
    batch.clear();
    drops.clear();
    lock.lock();
    done_ = upto;
    if (flushing_ > 0) written_.notify_all();
  }
  running_ = false;
  written_.notify_all();
}

void LogFiles::write_batch(std::string_view batch, const std::map<std::string, uint64_t>& drops) {
  std::string lines;  // of one function, in a row
  std::string_view owner;
  const auto flush_lines = [&] {
    if (!lines.empty()) write_lines(owner, lines);
    lines.clear();
  };
  while (!batch.empty()) {
    const auto kind = static_cast<LogEntryKind>(batch[0]);
    const auto name_size = static_cast<size_t>(static_cast<unsigned char>(batch[1]));
    uint32_t length = 0;
    std::memcpy(&length, batch.data() + 2, sizeof length);
    const std::string_view name = batch.substr(kHeader, name_size);
    if (name != owner || kind != LogEntryKind::line) flush_lines();
    owner = name;
    if (kind == LogEntryKind::line) lines += batch.substr(kHeader + name_size, length);
    if (kind == LogEntryKind::add) writer_.add(name);
    if (kind == LogEntryKind::remove) {
      writer_.remove(name);
      if (const auto lost = lost_.find(name); lost != lost_.end()) lost_.erase(lost);
    }
    batch.remove_prefix(kHeader + name_size + length);
  }
  flush_lines();
  for (const auto& [name, count] : drops) {
    lost_[name] += count;
    write_lines(name, {});
  }
}

// Lines of one function, behind a line that tells how many are missing in front of them.
void LogFiles::write_lines(std::string_view function, std::string_view lines) {
  const auto lost = lost_.find(function);
  const uint64_t before = lost == lost_.end() ? 0 : lost->second;
  std::string text = before == 0 ? std::string() : drop_marker(before);
  text += lines;
  if (writer_.write(function, text)) {
    if (lost != lost_.end()) lost_.erase(lost);
    return;
  }
  const auto count = static_cast<uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
  dropped_.fetch_add(count, std::memory_order_relaxed);
  if (lost != lost_.end()) {
    lost->second += count;
  } else if (lost_.size() < kDropNamesMax) {
    lost_.emplace(function, count);
  }
}

std::string LogFiles::drop_marker(uint64_t count) const {
  const std::string text =
      fmt::format("[hearth] {} log lines dropped: the disk is slow or full", count);
  const LogRecord marker{clock_.wall(), {}, {}, "warning", text};
  std::string line(log_line_max(marker), '\0');
  line.resize(static_cast<size_t>(write_log_line(line.data(), marker) - line.data()));
  return line;
}

Result<LogPage> LogFiles::read(std::string_view function, const LogQuery& query) {
  flush();
  return read_log(folder_, function, query);
}

}  // namespace hearth
