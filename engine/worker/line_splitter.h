// Cuts a byte stream into lines of at most `most` bytes. Bounded memory.
#pragma once
#include <algorithm>
#include <string>
#include <string_view>

namespace hearth::worker {

class LineSplitter {
 public:
  explicit LineSplitter(size_t most) : most_(most) {}

  // `emit(line, continued)` for each line without its newline; `continued`: the line was longer and
  // goes on.
  template <class Emit>
  void feed(std::string_view bytes, Emit&& emit) {
    while (!bytes.empty()) {
      const size_t newline = bytes.find('\n');
      const size_t room = most_ - part_.size();
      if (newline != std::string_view::npos && newline <= room) {
        if (part_.empty()) {
          emit(bytes.substr(0, newline), false);
        } else {
          part_.append(bytes.substr(0, newline));
          emit(std::string_view(part_), false);
          part_.clear();
        }
        bytes.remove_prefix(newline + 1);
        continue;
      }
      const size_t n = std::min(room, bytes.size());
      part_.append(bytes.substr(0, n));
      bytes.remove_prefix(n);
      if (part_.size() == most_) {
        emit(std::string_view(part_), true);
        part_.clear();
      }
    }
  }

  // Is there a begun line?
  bool pending() const { return !part_.empty(); }

  // The last line, if it had no newline.
  template <class Emit>
  void end(Emit&& emit) {
    if (!part_.empty()) emit(std::string_view(part_), false);
    part_.clear();
  }

 private:
  const size_t most_;
  std::string part_;
};

}  // namespace hearth::worker
