// Where the functions' own log lines go, and how much of them: the rate limit and the tail of the
// call that runs.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/request_id.h"
#include "core/function_spec.h"

namespace hearth::worker {

enum class LineLevel : uint8_t { plain, debug, info, warning, error, critical };  // the aux of LOG

// Implemented by the store's log files. Called on the loop thread; must not block. `request_id` is
// null outside of any call.
class FunctionLogSink {
 public:
  virtual ~FunctionLogSink() = default;
  // One line, without its newline; `continued`: the line goes on in the next one.
  virtual void line(const FunctionSpec& spec, const RequestId* request_id, LineLevel level,
                    std::string_view text, bool continued) = 0;
};

// A token bucket in bytes with one marker for what was dropped.
class RateLimit {
 public:
  RateLimit(uint64_t rate, uint64_t burst) : rate_(rate), burst_(burst), tokens_(burst) {}
  // May `bytes` pass now? Counts the line as dropped when not. `dropped`: how many were dropped
  // before this one, to be told first.
  bool pass(uint64_t bytes, MonotonicTime now, uint64_t& dropped);
  uint64_t take_dropped() { return std::exchange(dropped_, 0); }
  uint64_t dropped_total() const { return dropped_total_; }

 private:
  uint64_t rate_;
  uint64_t burst_;
  uint64_t tokens_;
  MonotonicTime last_{};
  uint64_t dropped_ = 0;
  uint64_t dropped_total_ = 0;
};

// The last 4 KiB of what one call wrote. Allocates on the first line that a worker writes, then
// never again.
class LogTail {
 public:
  static constexpr size_t kSize = 4096;
  void add(InvocationId call, std::string_view text);
  // Of `call`; an id without generation asks for whatever came last.
  std::string_view view(InvocationId call) const;

 private:
  InvocationId call_;
  std::string text_;
};

}  // namespace hearth::worker
