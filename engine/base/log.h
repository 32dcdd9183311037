// The engine's own log (not the functions'): one line an event, to a sink that the host gives.
// Thread-safe.
#pragma once
#include <fmt/core.h>

#include <atomic>
#include <string>
#include <string_view>

namespace hearth {

enum class LogLevel : uint8_t { debug, info, warning, error };

// Where lines go. write() may be called from any thread, one call at a time.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void write(LogLevel level, std::string_view area, std::string_view text) = 0;
};

// Writes `TIME LEVEL area: text` lines to a file descriptor that it does not own. Control
// characters are escaped.
class FdLogSink final : public LogSink {
 public:
  explicit FdLogSink(int fd) : fd_(fd) {}
  void write(LogLevel level, std::string_view area, std::string_view text) override;

 private:
  int fd_;
};

// Cheap handle that modules keep; the sink must outlive it. A Log without sink drops everything.
class Log {
 public:
  Log() = default;
  Log(LogSink* sink, LogLevel least) : sink_(sink), least_(least) {}

  template <class... Args>
  void info(std::string_view area, fmt::format_string<Args...> f, Args&&... args) const {
    if (enabled(LogLevel::info))
      emit(LogLevel::info, area, fmt::format(f, std::forward<Args>(args)...));
  }
  template <class... Args>
  void warning(std::string_view area, fmt::format_string<Args...> f, Args&&... args) const {
    if (enabled(LogLevel::warning))
      emit(LogLevel::warning, area, fmt::format(f, std::forward<Args>(args)...));
  }
  template <class... Args>
  void error(std::string_view area, fmt::format_string<Args...> f, Args&&... args) const {
    if (enabled(LogLevel::error))
      emit(LogLevel::error, area, fmt::format(f, std::forward<Args>(args)...));
  }
  template <class... Args>
  void debug(std::string_view area, fmt::format_string<Args...> f, Args&&... args) const {
    if (enabled(LogLevel::debug))
      emit(LogLevel::debug, area, fmt::format(f, std::forward<Args>(args)...));
  }
  bool enabled(LogLevel level) const { return sink_ != nullptr && level >= least_; }

 private:
  void emit(LogLevel level, std::string_view area, const std::string& text) const {
    sink_->write(level, area, text);
  }
  LogSink* sink_ = nullptr;
  LogLevel least_ = LogLevel::info;
};

// Appends `text` with control characters (and DEL) as \xNN, so that it can be shown on a terminal.
// UTF-8 passes.
void append_escaped(std::string& out, std::string_view text);

}  // namespace hearth
