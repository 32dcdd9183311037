// Writes lines to the segments of many functions and rotates them. One thread.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace hearth {

class LogWriter {
 public:
  LogWriter(int folder, uint64_t segment_bytes, uint32_t segments)
      : folder_(folder), segment_bytes_(segment_bytes), segments_(segments) {}

  void add(std::string_view function) { known_.emplace(function); }
  // Forgets the function and removes its files.
  void remove(std::string_view function);
  Status remove_strangers();

  // `lines`: one or more whole lines. Lines of functions that are not known are dropped. False: the
  // disk did not take them.
  bool write(std::string_view function, std::string_view lines);

 private:
  struct Open {
    UniqueFd folder;
    UniqueFd file;
    uint64_t segment = 0;
    uint64_t size = 0;
    uint64_t used = 0;  // for choosing which to close
  };
  static constexpr size_t kOpenMax = 64;  // two descriptors each

  Result<Open*> open(std::string_view function);
  Status start_segment(Open& open, uint64_t number);
  Status write_lines(Open& open, std::string_view lines);

  const int folder_;
  const uint64_t segment_bytes_;
  const uint32_t segments_;
  std::set<std::string, std::less<>> known_;
  std::map<std::string, Open, std::less<>> open_;
  uint64_t uses_ = 0;
};

}  // namespace hearth
